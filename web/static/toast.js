// The result of an action, at the edge of the page: it can be closed, disappears automatically, and
// follows the operation that the action started until its outcome is known. A refusal or a failure
// stays until it is closed.

import { EVENT } from "./events.js";
import { coded } from "./text.js";

const STAYS_MS = 6000;
const MOST = 4;
const NEXT = "hive-toast"; // for the page that the action leads to

const place = document.getElementById("toasts");
const followed = new Map(); // operation: the toast that waits for its outcome

function say(item, text, state) {
  item.dataset.state = state;
  item.querySelector(".said").replaceChildren(...coded(text));
  if (state === "failed") item.setAttribute("role", "alert");
  if (state === "done") leave(item);
}

function leave(item) {
  setTimeout(() => (item.matches(":hover, :focus-within") ? leave(item) : item.remove()), STAYS_MS);
}

function linked(link) {
  const made = document.createElement("a");
  [made.href, made.textContent] = link;
  return made;
}

export function toast({ text, operation = null, link = null, failed = false }) {
  const item = document.createElement("div");
  item.className = "toast";
  item.dataset.testid = "flash";
  const line = document.createElement("p");
  line.append(Object.assign(document.createElement("span"), { className: "said" }));
  const to = operation === null ? link : [`/operations/${operation}`, `operation ${operation}`];
  if (to) line.append(" ", linked(to));
  const close = document.createElement("button");
  Object.assign(close, { type: "button", className: "quiet", textContent: "✕" });
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => item.remove());
  item.append(line, close);
  item.said = text;
  place.append(item);
  say(item, text, failed ? "failed" : operation === null ? "done" : "running");
  while (place.children.length > MOST) place.firstElementChild.remove();
  if (operation === null) return;
  followed.set(operation, item);
  look(operation);
}

// The operation may have ended before its number was known here.
async function look(operation) {
  const answer = await fetch(`/api/operations/${operation}`, { credentials: "same-origin" }).catch(() => null);
  if (answer?.ok) outcome(operation, await answer.json());
}

function outcome(operation, { state, error }) {
  const item = followed.get(operation);
  if (!item || (state !== "done" && state !== "failed")) return;
  followed.delete(operation);
  const what = item.said.replace(/…$/, "");
  if (state === "done") say(item, `${what}: done.`, "done");
  else say(item, `${what}: failed. ${(error ?? "").slice(0, 600)}`, "failed");
  if (!item.isConnected) place.append(item); // closed, but how it ended is news
}

export function lookAgain() {
  for (const operation of followed.keys()) look(operation);
}

// For the next page, because the user is leaving this one.
export function toastNext(what) {
  sessionStorage.setItem(NEXT, JSON.stringify(what));
}

document.addEventListener("hive:event", ({ detail }) => {
  if (detail.kind === EVENT.OPERATION_CHANGED) outcome(detail.data.operation, detail.data);
});
const stashed = sessionStorage.getItem(NEXT);
sessionStorage.removeItem(NEXT);
if (stashed) toast(JSON.parse(stashed));
// A form that was sent before the scripts had loaded: its result is in the page.
const flash = document.querySelector("main > .flash");
if (flash) {
  const [, text, number] = /^(.*?)(?: \(operation (\d+)\))?$/s.exec(flash.textContent);
  flash.remove();
  toast({ text, operation: number === undefined ? null : Number(number) });
}
