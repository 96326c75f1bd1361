// Selects agents in the table: Shift+click selects a range, a box everything shown. The toolbar
// shows how many are selected, and how many of them are in a turn.

const form = document.getElementById("bulk");
const everyone = document.getElementById("pick-all");
const count = document.getElementById("bulk-count");
const NONE = "None selected";

let last = null; // the box that was clicked last

function boxes() {
  return [...document.querySelectorAll("[data-select]")];
}

function say() {
  const all = boxes();
  const chosen = all.filter((one) => one.checked);
  const busy = chosen.filter((one) => one.closest("tr").hasAttribute("data-in-turn")).length;
  const text = chosen.length ? `${chosen.length} selected${busy ? `, ${busy} in a turn` : ""}` : NONE;
  if (count.textContent !== text) count.textContent = text;
  everyone.checked = all.length > 0 && chosen.length === all.length;
  everyone.indeterminate = !everyone.checked && chosen.length > 0;
  form.dataset.chosen = chosen.length;
}

function tick({ target, shiftKey }) {
  if (!target.matches?.("[data-select]")) return;
  const all = boxes();
  const [from, to] = [all.findIndex((one) => one.id === last), all.indexOf(target)];
  if (shiftKey && from >= 0)
    for (const one of all.slice(Math.min(from, to), Math.max(from, to) + 1)) one.checked = target.checked;
  last = target.id;
  say();
}

export function watchSelection() {
  if (!form) return;
  document.getElementById("bulk-all").hidden = false;
  document.addEventListener("click", tick);
  everyone.addEventListener("change", () => {
    for (const one of boxes()) one.checked = everyone.checked;
    say();
  });
  form.addEventListener("reset", () => setTimeout(say, 0));
  document.addEventListener("hive:swapped", say);
  say();
}
