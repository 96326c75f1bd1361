// Submits forms without leaving the page, so that text, ticks and scroll positions elsewhere are
// kept. The result is a toast; an error is shown in its form, beside the input. Without this script
// the same forms post and load a page.

import { ask } from "./ask.js";
import { forget } from "./drafts.js";
import { formOf, keyOfForm } from "./fields.js";
import { coded } from "./text.js";
import { toast, toastNext } from "./toast.js";

const SILENT = "The dashboard is not answering. Nothing that you typed is lost; try again.";

const SHORT = 10_000; // characters; 64 KiB may be under way

let left = 0; // when the page was last about to be left

function hasFields(form) {
  return form.querySelector("textarea, input:not([type=hidden])") !== null;
}

// The place of a form's error. An update of its section keeps it.
function refuse(form, text, outdated) {
  form.querySelector("[data-refusal]")?.remove();
  const again = [location.pathname + location.search, "View the current state"];
  if (!hasFields(form)) return toast({ text, failed: true, link: outdated ? again : null });
  const said = document.createElement("p");
  said.className = "problem";
  said.dataset.refusal = "";
  said.setAttribute("role", "alert");
  said.append(...coded(text));
  if (outdated) said.append(" ", Object.assign(document.createElement("a"), { href: again[0], textContent: again[1] }));
  form.append(said);
}

// It arrives even if the user leaves the page immediately; browsers allow that for short requests.
async function post(place, data) {
  const body = new URLSearchParams(data); // any number of fields: the parts of other forms are limited
  const length = [...body].reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  const keepalive = length < SHORT;
  try {
    const answer = await fetch(place, { method: "POST", body, keepalive, headers: { Accept: "application/json" }, credentials: "same-origin" });
    return { status: answer.status, ok: answer.ok, told: await answer.json().catch(() => ({})) };
  } catch {
    return { status: 0, ok: false, told: { detail: SILENT } };
  }
}

// If the server asks for confirmation, the form is sent again once confirmed.
async function agreed(place, data) {
  const answer = await post(place, data);
  if (!answer.told.ask || !(await ask(answer.told.ask))) return answer;
  data.set("confirmed", "yes");
  return post(place, data);
}

function same(one, other) {
  const text = (data) => JSON.stringify([...data].map(([name, value]) => [name, String(value)]));
  return text(one) === text(other);
}

// The current form: its section may have been updated in the meantime.
function current(form) {
  return form.isConnected ? form : formOf(document, keyOfForm(form)) ?? form;
}

// Resets a submitted form, unless it was changed in the meantime.
function finish(form, typed) {
  form.querySelector("[data-refusal]")?.remove();
  forget(form);
  if (same(typed, new FormData(form))) form.reset();
  const folded = form.closest("details:not(.logs, .rest)");
  if (folded?.contains(document.activeElement)) folded.querySelector("summary").focus(); // not nowhere
  if (folded) folded.open = false;
  form.dispatchEvent(new Event("hive:done", { bubbles: true }));
}

// A user who has navigated away is not brought back: the next page shows the result.
function arrive(form, { text, location: where, operation = null, failed = false }, began) {
  const to = new URL(where, location.href);
  const stays = to.pathname === location.pathname;
  if (left > began) return toastNext({ text, operation, failed });
  if (!stays && !("stay" in form.dataset)) {
    toastNext({ text, operation, failed });
    location.assign(to);
    return;
  }
  const link = stays || to.pathname === "/" ? null : [to.pathname, "Open"];
  toast({ text, operation, link, failed });
}

async function submit(form, submitter, { done, loggedOut }) {
  const [typed, sent] = [new FormData(form), new FormData(form, submitter)];
  const place = submitter?.hasAttribute("formaction") ? submitter.formAction : form.action;
  const began = performance.now();
  form.setAttribute("aria-busy", "true");
  const { status, ok, told } = await agreed(place, sent);
  form.removeAttribute("aria-busy");
  if (status === 401) return loggedOut();
  if (told.ask) return;
  if (!ok || typeof told.location !== "string")
    return refuse(current(form), told.detail ?? SILENT, status === 409);
  finish(current(form), typed);
  done();
  arrive(form, told, began);
}

// `done` updates the page's sections; `loggedOut` is called when the session has ended.
export function watchForms(then) {
  addEventListener("beforeunload", () => { left = performance.now(); });
  document.addEventListener("submit", (event) => {
    const { target: form, submitter } = event;
    const own = event.defaultPrevented || form.method !== "post" || form.action.endsWith("/logout");
    if (own) return;
    event.preventDefault();
    if (!form.hasAttribute("aria-busy")) submit(form, submitter, then);
  });
}
