// The box of an agent's page: sends a message or a command, shows the answer below it,
// offers commands after a slash, and keeps the last ones for the arrow keys. Without this
// script the form does the same by reloading.

import { forget } from "./drafts.js";
import { coded } from "./text.js";

const form = document.getElementById("command");
const field = form?.elements.line;
const answer = document.getElementById("command-answer");
const offered = document.getElementById("completions");
const past = [];
let at = 0;

async function send(event) {
  event.preventDefault();
  const line = field.value.trim();
  if (!line || form.hasAttribute("aria-busy")) return;
  past.push(line);
  at = past.length;
  form.setAttribute("aria-busy", "true");
  const sent = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } }).catch(() => null);
  const told = sent ? await sent.json().catch(() => ({})) : {};
  form.removeAttribute("aria-busy");
  answer.replaceChildren(...coded(sent ? told.text ?? told.detail ?? "The request was refused." : "The dashboard is not answering."));
  answer.dataset.state = sent?.ok ? "done" : "refused";
  if (!sent?.ok || field.value.trim() !== line) return;
  forget(form);
  form.reset();
  offer();
}

// Commands that begin with the typed text.
function offer() {
  const begun = field.value;
  const all = begun.startsWith("/") ? [...document.getElementById("commands").options].map((one) => one.value) : [];
  const fit = all.filter((one) => one.startsWith(begun) && one !== begun);
  offered.hidden = !fit.length;
  offered.replaceChildren(...fit.map((one) => {
    const item = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: one });
    button.addEventListener("click", () => write(one));
    item.append(button);
    return item;
  }));
}

function write(text) {
  field.value = text;
  field.focus();
  offer();
}

// A command is one line, sent with Enter; a message may have several.
function press(event) {
  if (event.key === "Enter" && !event.isComposing && !event.shiftKey && (event.ctrlKey || event.metaKey || field.value.startsWith("/"))) {
    event.preventDefault();
    form.requestSubmit();
  } else if (event.key === "Tab" && !event.shiftKey && !offered.hidden) {
    event.preventDefault();
    write(offered.querySelector("button").textContent);
  } else recall(event);
}

function recall(event) {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!step || !past.length || (field.value && !past.includes(field.value))) return;
  event.preventDefault();
  at = Math.min(Math.max(at + step, 0), past.length);
  field.value = past[at] ?? "";
}

form?.addEventListener("submit", send);
field?.addEventListener("keydown", press);
field?.addEventListener("input", offer);
document.getElementById("how-to-send")?.removeAttribute("hidden");
