// Keyboard shortcuts; `?` lists them. None of them approves or denies: `a` and `d` only go to the
// place where that is done. A digit presses the button with that number in the focused item.

import { isShortcut } from "./fields.js";

const ITEMS = "[data-item]";
const help = document.getElementById("keys");
const place = () => document.querySelector("dialog.drawer[open]") ?? document;
const focused = () => document.activeElement?.closest(ITEMS);

function items() {
  return [...place().querySelectorAll(ITEMS)].filter((one) => one.offsetParent !== null);
}

// From the focused item, else from the focus's position among the items.
function from(all, step) {
  const active = document.activeElement;
  const at = all.findIndex((one) => one.contains(active));
  if (at >= 0) return at + step;
  if (active === document.body) return step > 0 ? 0 : all.length - 1;
  const after = all.findIndex((one) => active.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING);
  const next = after < 0 ? all.length : after;
  return step > 0 ? next : next - 1;
}

function move(step) {
  const all = items();
  if (!all.length) return;
  const next = from(all, step);
  const item = all[Math.min(Math.max(next, 0), all.length - 1)];
  const target = item.querySelector("a.sent") ?? item.querySelector("a") ?? item.querySelector("button, summary, input:not([type=hidden]), textarea") ?? item;
  target.focus();
  item.scrollIntoView({ block: "nearest" });
}

function arrive(place) {
  const here = document.querySelector(place);
  here?.closest("details")?.setAttribute("open", "");
  here?.focus();
  here?.scrollIntoView({ block: "center" });
  return here !== null;
}

// To a place on this page, else on the page of the focused or first approval.
function go(place, hash) {
  if (arrive(place)) return;
  const link = "a[href^='/approvals/']";
  const item = focused()?.querySelector(link) ?? document.querySelector(`[data-testid=approval] ${link}`);
  if (item) location.assign(item.href + hash);
}

// A button of the focused message, or of the message of this page. A marked message may leave the
// list: then the next one gets the focus.
function mark(key) {
  const button = `[data-key="${key}"]`;
  const found = focused()?.querySelector(button) ?? place().querySelector(`.thread ${button}`);
  if (!found) return;
  if (focused()?.contains(found)) move(items().at(-1) === focused() ? -1 : 1);
  found.click();
}

function reply() {
  const found = focused()?.querySelector("[data-reply]") ?? place().querySelector("form[data-reply]");
  if (!found) return;
  if (found.tagName === "DETAILS") found.open = true;
  found.querySelector("textarea").focus();
}

function pick(number) {
  focused()?.querySelectorAll("[data-pick]")[number - 1]?.click();
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  a: () => go("[data-testid=approve]", ""), // what is approved is read first
  d: () => go("#reason", "#reason"),
  x: () => focused()?.querySelector("[data-select]")?.click(),
  e: () => mark("e"),
  u: () => mark("u"),
  r: reply,
  A: () => place().querySelector('[data-key="A"]')?.click(),
  "/": () => document.querySelector("[data-search]")?.focus(),
  "?": () => (help.open ? help.close() : help.showModal()),
};

document.addEventListener("keydown", (event) => {
  const act = KEYS[event.key] ?? (/^[1-9]$/.test(event.key) ? () => pick(Number(event.key)) : null);
  if (!act || !isShortcut(event)) return;
  event.preventDefault();
  act();
});
if (location.hash === "#reason") arrive("#reason");
