// The command line of an agent's page: sends, shows the answer below, keeps the last
// commands for the arrow keys. Without this script the form does the same by reloading.

import { coded } from "./text.js";

const form = document.getElementById("command");
const field = form?.elements.line;
const answer = document.getElementById("command-answer");
const past = [];
let at = 0;

async function send(event) {
  event.preventDefault();
  const line = field.value.trim();
  if (!line) return;
  past.push(line);
  at = past.length;
  const sent = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } }).catch(() => null);
  const told = sent ? await sent.json().catch(() => ({})) : {};
  answer.replaceChildren(...coded(sent ? told.text ?? told.detail ?? "The request was refused." : "The dashboard is not answering."));
  answer.dataset.state = sent?.ok ? "done" : "refused";
  if (sent?.ok) field.value = "";
}

function recall(event) {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!step || !past.length || (field.value && !past.includes(field.value))) return;
  event.preventDefault();
  at = Math.min(Math.max(at + step, 0), past.length);
  field.value = past[at] ?? "";
}

form?.addEventListener("submit", send);
field?.addEventListener("keydown", recall);
