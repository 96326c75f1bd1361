// Replaces a section by its new rendering, keeping what the user typed, opened and focused. It
// waits while a pointer is down in the section or text in it is selected: otherwise a click would
// miss its button, and a selection would be lost. A section in which a single click decides also
// waits until the mouse over it has rested for its data-steady milliseconds, so that no button
// moves under the pointer at the last moment.

import { formOf, inputs, isBox, isChanged, keyOf, keyOfForm } from "./fields.js";
import { ages } from "./times.js";

const waiting = new Map(); // sections and what they are to show
const AGAIN_MS = 200; // a section is looked at that waits for the mouse to rest

let pressed = null; // where the pointer is down
let moved = -Infinity; // when the mouse last moved
let timer = 0;

// Describes the position of an element so that it is found in the section's next rendering: the
// nearest named element, and the index among its controls.
function placeOf(section, element) {
  const near = element.closest("[id], [data-item]");
  const { testid, id, agent } = near.dataset;
  const known = Object.entries({ testid, id, agent }).filter(([, value]) => value !== undefined);
  const name = near.id
    ? `#${CSS.escape(near.id)}`
    : known.map(([key, value]) => `[data-${key}="${CSS.escape(value)}"]`).join("");
  return { near: near === section ? null : name, index: controls(near).indexOf(element) };
}

function controls(element) {
  return [...element.querySelectorAll("a[href], button, summary, input, select, textarea")];
}

function remember(section) {
  const kept = { values: new Map(), open: new Set(), refused: new Map(), focus: null };
  for (const field of inputs(section))
    if (isChanged(field)) kept.values.set(keyOf(field), isBox(field) ? field.checked : field.value);
  for (const one of section.querySelectorAll("details[open][id]")) kept.open.add(one.id);
  for (const one of section.querySelectorAll("[data-refusal]"))
    kept.refused.set(keyOfForm(one.closest("form")), one);
  const active = document.activeElement;
  if (active !== section && section.contains(active))
    kept.focus = { ...placeOf(section, active), from: active.selectionStart, to: active.selectionEnd };
  return kept;
}

function restore(section, kept) {
  for (const field of inputs(section)) {
    const value = kept.values.get(keyOf(field));
    if (value === undefined) continue;
    if (typeof value === "boolean") field.checked = value;
    else field.value = value;
  }
  for (const id of kept.open) {
    const details = section.querySelector(`#${CSS.escape(id)}`);
    if (details) details.open = true;
  }
  for (const [key, said] of kept.refused) formOf(section, key)?.append(said);
  if (kept.focus && !section.contains(document.activeElement)) focus(section, kept.focus);
}

// The focused element may be gone, such as a message marked as read: then the section gets the
// focus, and the next Tab continues from there.
function focus(section, { near, index, from, to }) {
  const place = near === null ? section : section.querySelector(near);
  const field = index < 0 ? place : place && controls(place)[index];
  const next = field ?? section.querySelector("[data-next]"); // as after a decision
  if (!next && !section.hasAttribute("tabindex")) section.tabIndex = -1;
  (next ?? section).focus({ preventScroll: true });
  if (field && from != null) field.setSelectionRange?.(from, to);
}

function isAimedAt(section) {
  return performance.now() - moved < Number(section.dataset.steady) && section.matches(":hover");
}

function isHeld(section) {
  if (pressed && section.contains(pressed)) return true;
  if (isAimedAt(section)) return true;
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(section, true);
}

export function swap(section, html) {
  if (isHeld(section)) {
    waiting.set(section, html);
    timer ||= setTimeout(letGo, AGAIN_MS);
  } else put(section, html);
}

function put(section, html) {
  waiting.delete(section);
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  const kept = remember(section);
  const whole = [...section.querySelectorAll("[data-keep][id][open]")];
  for (const one of whole) fresh.content.getElementById(one.id)?.replaceWith(one);
  section.replaceChildren(fresh.content);
  restore(section, kept);
  ages();
  section.dispatchEvent(new Event("hive:swapped", { bubbles: true }));
}

function letGo() {
  for (const [section, html] of [...waiting]) if (!isHeld(section)) put(section, html);
  clearTimeout(timer);
  timer = [...waiting.keys()].some(isAimedAt) ? setTimeout(letGo, AGAIN_MS) : 0;
}

// The click follows the pointer's release; the decided item disappears immediately.
function up() {
  pressed = null;
  moved = -Infinity;
  setTimeout(letGo, 0);
}

document.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") moved = performance.now(); });
document.addEventListener("pointerdown", (event) => { pressed = event.target; });
document.addEventListener("pointerup", up);
document.addEventListener("pointercancel", up);
document.addEventListener("selectionchange", () => { if (waiting.size) letGo(); });
