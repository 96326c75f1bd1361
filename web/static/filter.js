// The overview's search as one types, and the order of the table. The list is the server's: this changes the address
// of its fragment (and the page's, so that a reload keeps it), and reads it anew. Without
// this script the form does the same by loading the page.

const WAIT_MS = 150;

const form = document.getElementById("agents-filter");
const rows = document.getElementById("agents-rows");
let timer = 0;

function query() {
  const given = [...new FormData(form)].filter(([, value]) => value.trim());
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

export function watchFilter(refresh) {
  if (!form) return;
  const search = () => {
    clearTimeout(timer);
    const asked = query();
    const place = `/fragments/agents${asked}`;
    if (rows.dataset.fragment === place) return;
    rows.dataset.fragment = place;
    history.replaceState(null, "", `/${asked}`);
    refresh(rows);
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, WAIT_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  rows.addEventListener("click", (event) => {
    const head = event.target.closest?.("a[data-sort]");
    if (!head || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    form.elements.sort.value = new URL(head.href).searchParams.get("sort");
    search();
  });
}
