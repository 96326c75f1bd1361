// Agents' text, with every hidden character by its name: as pyglue/web/pages/text.py does for
// pages, for text inserted by scripts. A test compares the two.

import { HIDDEN } from "./invisible.js";

function name(char) {
  if (char === "\n" || char === "\t" || char === " ") return char;
  const code = char.codePointAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `\u2039U+${code.toString(16).toUpperCase().padStart(4, "0")}\u203a`;
}

// A sentence by us for an element, with its `commands` marked up.
export function coded(text) {
  return visible(text).split(/`([^`\n]+)`/).map((part, at) =>
    at % 2 ? Object.assign(document.createElement("code"), { textContent: part }) : part);
}

export function visible(text) {
  return text.replace(HIDDEN, name);
}
