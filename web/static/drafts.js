// Unsent text, kept in this tab for when the page is reloaded. Logging out deletes it.

import { keyOf } from "./fields.js";

const PREFIX = "hive-draft ";
export const REVIEWS = "hive-comments"; // comments that are not sent, of comments.js
const FIELDS = "form[method=post] textarea, form[method=post] input:not([type])";

// Includes the page's own suggestion: a different suggestion is a different draft.
function name(field) {
  return `${PREFIX}${location.pathname} ${keyOf(field)} ${field.defaultValue}`;
}

// Confirmations must be typed each time.
function isKept(field) {
  return field.matches?.(FIELDS) && field.name !== "confirm";
}

export function forget(form) {
  for (const field of form.elements) if (isKept(field)) sessionStorage.removeItem(name(field));
}

function write({ target: field }) {
  if (!isKept(field)) return;
  try {
    if (field.value) sessionStorage.setItem(name(field), field.value);
    else sessionStorage.removeItem(name(field));
  } catch {
    // more text than the browser keeps: the field still has it
  }
}

function forgetAll() {
  for (const key of Object.keys(sessionStorage))
    if (key.startsWith(PREFIX)) sessionStorage.removeItem(key);
  try {
    localStorage.removeItem(REVIEWS);
  } catch {
    // not allowed here: nothing was kept either
  }
}

export function watchDrafts() {
  for (const field of document.querySelectorAll(FIELDS)) {
    const text = isKept(field) ? sessionStorage.getItem(name(field)) : null;
    if (!text || field.value !== field.defaultValue) continue;
    field.value = text;
    field.closest("details")?.setAttribute("open", "");
  }
  document.addEventListener("input", write);
  document.querySelector("form[action$='/logout']")?.addEventListener("submit", forgetAll);
}
