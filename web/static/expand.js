// Shows more lines around the changes of a file in place. The links lead to the page with these
// lines, so if a file cannot be updated, the link is followed.

async function show(link) {
  const file = link.closest("[data-testid=file]");
  const to = new URL(link.href);
  const [id, index] = [location.pathname, file.id].map((name) => name.match(/\d+/)[0]);
  const top = link.getBoundingClientRect().top;
  const answer = await fetch(`/fragments/approval/${id}/file/${index}${to.search}`).catch(() => null);
  if (!answer?.ok) return location.assign(link.href);
  const fresh = document.createElement("template");
  fresh.innerHTML = await answer.text();
  file.querySelector(".diff").replaceWith(fresh.content.querySelector(".diff"));
  file.dispatchEvent(new Event("hive:expanded", { bubbles: true })); // comments are put back
  const row = document.getElementById(to.hash.slice(1));
  row.tabIndex = -1;
  row.focus({ preventScroll: true });
  scrollBy(0, row.getBoundingClientRect().top - top);
}

let busy = false;

document.addEventListener("click", async (event) => {
  const link = event.target.closest?.("a[data-more]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (busy) return;
  busy = true;
  await show(link).finally(() => { busy = false; });
});
