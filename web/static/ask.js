// The server's confirmation before an action: what is lost, and for which agents.

import { coded, visible } from "./text.js";

function element(name, fields, ...inside) {
  const made = Object.assign(document.createElement(name), fields);
  made.append(...inside);
  return made;
}

// Resolves to true once the action is confirmed, to false if it is cancelled.
export function ask({ title, text, rows, button }) {
  const list = element("ul", { className: "asked", tabIndex: 0 }, ...rows.map(([name, doing]) =>
    element("li", {}, element("b", { textContent: visible(name) }), " ", element("span", { className: "hint" }, ...coded(doing)))));
  list.setAttribute("aria-label", "Agents in a turn");
  const form = element("form", { method: "dialog", className: "row end" },
    element("button", { value: "", textContent: "Go back", autofocus: true }),
    element("button", { value: "yes", className: "danger", textContent: button }));
  const dialog = element("dialog", { id: "ask", className: "card" },
    element("h2", { id: "h-ask", textContent: title }), element("p", { textContent: text }), list, form);
  dialog.setAttribute("aria-labelledby", "h-ask");
  dialog.dataset.testid = "ask";
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    dialog.remove();
    resolve(dialog.returnValue === "yes");
  }));
}
