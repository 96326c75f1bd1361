// A panel at the side of the page: shows the target of a link with `data-drawer` without leaving
// the list. It shows the main part of a page as rendered by the server, or a part of this page,
// which is moved into it. Without this script such links open their targets.

import { ages } from "./times.js";
import { inputs, isBox, isChanged, keyOf } from "./fields.js";

const drawer = document.getElementById("drawer");
const [title, place, page] = ["h2", ".drawer-body", "a"].map((one) => drawer?.querySelector(one));
const typed = new Map(); // by address: what was typed there and is not sent
let shown = null; // the address, and of a borrowed part where it was
let opener = null;

function remember() {
  if (!shown || shown.hole) return;
  const kept = [...inputs(place)].filter((one) => !isBox(one) && isChanged(one)).map((one) => [keyOf(one), one.value]);
  if (kept.length) typed.set(shown.href, new Map(kept));
  else typed.delete(shown.href);
}

// Empties it; a moved part goes back to its place.
function clear() {
  remember();
  shown?.hole?.replaceWith(...place.children);
  shown = null;
  place.replaceChildren();
}

function present(heading, content, next) {
  clear();
  shown = next;
  title.textContent = heading;
  place.append(...content);
  page.hidden = Boolean(next.hole);
  page.href = next.href;
  for (const field of inputs(place)) {
    const text = typed.get(next.href)?.get(keyOf(field));
    if (text !== undefined) field.value = text;
  }
  ages();
  if (!drawer.open) drawer.showModal();
  drawer.scrollTop = 0;
  (next.hole ? place.querySelector("input:not([type=hidden]), select, textarea") : title)?.focus();
}

function borrow(href, part) {
  const hole = document.createComment("");
  const heading = part.querySelector("h2");
  part.before(hole);
  present(heading.textContent, [part], { href, hole });
}

async function read(href) {
  const answer = await fetch(href, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok || answer.redirected) return location.assign(href);
  const main = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  if (!main) return location.assign(href);
  const heading = main.querySelector("h1");
  main.querySelectorAll("h1, .crumbs, .flash").forEach((one) => one.remove());
  main.querySelectorAll("form[method=post]").forEach((one) => { one.dataset.stay = ""; });
  present(heading?.textContent ?? "", [...main.childNodes], { href });
}

function open(link) {
  if (!drawer.contains(link)) opener = link;
  const { href, pathname, hash } = new URL(link.href);
  const part = pathname === location.pathname && hash ? document.querySelector(hash) : null;
  if (part) borrow(href, part);
  else read(href);
}

// The list may have been updated in the meantime: then the link is a new element.
function leave() {
  clear();
  const back = opener?.isConnected ? opener : [...document.querySelectorAll("a[data-drawer]")].find((one) => one.href === opener?.href);
  back?.focus();
  opener = null;
}

if (drawer) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-drawer]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    open(link);
  });
  drawer.addEventListener("click", (event) => { if (event.target === drawer) drawer.close(); }); // beside it
  drawer.querySelector("button").addEventListener("click", () => drawer.close());
  drawer.addEventListener("close", leave);
  document.addEventListener("hive:done", ({ target }) => {
    if (!drawer.contains(target)) return;
    typed.delete(shown?.href);
    drawer.close();
  });
}
