// The fields of a page, and whether the user has changed them.

export function inputs(section) {
  return section.querySelectorAll("input:not([type=hidden]), textarea, select");
}

export function keyOf(field) {
  return field.id || `${field.form?.getAttribute("action")} ${field.name}`;
}

export function isBox(field) {
  return field.type === "checkbox" || field.type === "radio";
}

export function isChanged(field) {
  if (isBox(field)) return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT")
    return field.selectedIndex !== Math.max(0, [...field.options].findIndex((one) => one.defaultSelected));
  return field.value !== field.defaultValue;
}

// A key by which a form is found in the next rendering of its section.
export function keyOfForm(form) {
  return form.id || [...form.elements].find((one) => one.id)?.id || form.getAttribute("action");
}

export function formOf(root, key) {
  return [...root.querySelectorAll("form")].find((one) => key && keyOfForm(one) === key);
}

// Fields in which a letter is text; a checkbox or a select uses only space and arrow keys.
const TYPED = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], .terminal";

// Whether a key is for the page, and neither for a field nor for the browser.
export function isShortcut(event) {
  return !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest?.(TYPED);
}
