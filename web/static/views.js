// Saved views: a named filter and order of the agents table, as links beside the counts. They are
// stored in this browser, and validated and treated as text when read.

import { FIELDS, query } from "./filter.js";

const KEY = "hive-views";
const MOST = 20;
const NAME_MAX = 30;

const place = document.getElementById("views");
const folded = document.getElementById("save-view");

const make = (tag, className, textContent) => Object.assign(document.createElement(tag), { className, textContent });
const clean = (text) => query(Object.fromEntries([...new URLSearchParams(text)].filter(([key]) => FIELDS.includes(key))));

function stored() {
  let found = null;
  try {
    found = JSON.parse(localStorage.getItem(KEY));
  } catch {
    // invalid: none
  }
  if (!Array.isArray(found)) return [];
  return found.filter((one) => typeof one?.name === "string" && typeof one.query === "string")
    .map((one) => ({ name: one.name.slice(0, NAME_MAX), query: clean(one.query) }))
    .filter((one) => one.name.trim() && one.query).slice(0, MOST);
}

function keep(views) {
  localStorage.setItem(KEY, JSON.stringify(views.slice(-MOST)));
  show();
}

function chip(view, now) {
  const box = make("span", "chip view");
  const link = make("a", "", view.name);
  link.href = `/${view.query}#agents`;
  link.dataset.view = "";
  if (view.query === now) link.setAttribute("aria-current", "true");
  const button = make("button", "quiet", "✕");
  button.type = "button";
  button.setAttribute("aria-label", `Remove the view ${view.name}`);
  button.addEventListener("click", () => {
    keep(stored().filter((one) => one.name !== view.name));
    folded.hidden ? place.querySelector("a")?.focus() : folded.firstElementChild.focus();
  });
  box.append(link, button);
  return box;
}

// The current view can be saved, unless it shows everything or is already saved. The form stays in
// its place: an element that is moved loses the focus, and with it what is typed just then.
function show() {
  const [views, now] = [stored(), clean(location.search)];
  for (const old of place.querySelectorAll(".view")) old.remove();
  folded.before(...views.map((one) => chip(one, now)));
  folded.hidden = !now || views.some((one) => one.query === now);
  place.hidden = folded.hidden && !views.length;
}

export function watchViews() {
  if (!place) return;
  const form = folded.querySelector("form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = form.querySelector("input").value.trim();
    if (!name) return;
    const asked = query(); // the form's: what was typed last may not be in the address yet
    keep([...stored().filter((one) => one.name !== name), { name, query: asked }]);
    form.reset();
    folded.open = false;
    place.querySelector("[aria-current]")?.focus();
  });
  folded.addEventListener("toggle", () => { if (folded.open) form.querySelector("input").focus(); });
  folded.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    folded.open = false;
    folded.firstElementChild.focus();
  });
  document.addEventListener("hive:filter", show);
  addEventListener("storage", ({ key }) => { if (key === KEY) show(); });
  show();
}
