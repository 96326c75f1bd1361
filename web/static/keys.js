// Keys for who does not use the mouse; `?` lists them. None of them decides anything:
// `a` and `d` only go to the place where that is done.

const ITEMS = "[data-item]";
// Where a letter is text; a tick or a choice takes only the space and arrow keys.
const TYPED = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], .terminal";
const help = document.getElementById("keys");

function items() {
  return [...document.querySelectorAll(ITEMS)].filter((one) => one.offsetParent !== null);
}

function move(step) {
  const all = items();
  if (!all.length) return;
  const at = all.findIndex((one) => one.contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step;
  const item = all[Math.min(Math.max(next, 0), all.length - 1)];
  const target = item.querySelector("a.sent") ?? item.querySelector("a, button, summary, input:not([type=hidden]), textarea") ?? item;
  target.focus();
  item.scrollIntoView({ block: "nearest" });
}

function go(testid, fallback) {
  const here = document.querySelector(testid);
  if (here) {
    here.focus();
    here.scrollIntoView({ block: "center" });
    return;
  }
  const item = document.activeElement?.closest(ITEMS) ?? document.querySelector(fallback);
  item?.querySelector("a[href^='/approvals/']")?.click();
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  a: () => go("[data-testid=approve]", "[data-testid=approval]"),
  d: () => go("#reason", "[data-testid=approval]"),
  "/": () => document.querySelector("[data-search]")?.focus(),
  "?": () => (help.open ? help.close() : help.showModal()),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.(TYPED)) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
