// Keeps a page up to date. The server renders everything: on an event, each
// [data-fragment] whose data-on names the event's kind is fetched anew and swapped,
// keeping what the reader typed, opened and focused. Events come over one WebSocket,
// or as SSE where that does not connect. Lost connections resume where they were.

import "./keys.js";
import { watchLogs } from "./logs.js";
import { notify } from "./notify.js";
import "./command.js";
import { showTurn, turnGap } from "./turn.js";
import { watchFilter } from "./filter.js";

const SOON_MS = 15; // events of one transaction come together
const REST_MS = 150; // between two readings of one section,
const REST_FACTOR = 4; // and longer where reading takes long
const REST_MAX_MS = 5000;
const RETRY_MS = [250, 500, 1000, 2000, 5000];
const SSE_AFTER = 2; // WebSockets that failed before one ever opened

const page = document.body;
const link = document.getElementById("link");
let seq = Number(page.dataset.seq);
let failures = 0;
let everOpen = false;
let stale = false; // something could not be read

// --- fragments -----------------------------------------------------------------

// Of each section: whether it is being read, is to be read again, or soon.
const reading = new WeakMap();

function wants(section, event) {
  const agent = section.dataset.agent;
  if (agent && event.agent && event.agent !== agent) return false;
  return section.dataset.on.split(" ").some((kind) => event.kind.startsWith(kind));
}

function refresh(section) {
  const at = reading.get(section) ?? { busy: false, again: false, soon: false, next: 0 };
  reading.set(section, at);
  if (at.busy) at.again = true;
  else if (!at.soon) {
    at.soon = true;
    setTimeout(() => fetchFragment(section, at), Math.max(SOON_MS, at.next - performance.now()));
  }
}

function refreshAll() {
  document.querySelectorAll("[data-fragment]").forEach(refresh);
}

async function fetchFragment(section, at) {
  const place = section.dataset.fragment;
  const began = performance.now();
  Object.assign(at, { busy: true, again: false, soon: false });
  try {
    const answer = await fetch(place, { credentials: "same-origin" });
    if (answer.status === 401) return location.reload();
    const html = answer.ok ? await answer.text() : null;
    if (place !== section.dataset.fragment) at.again = true; // a search went on meanwhile
    else if (html !== null) swap(section, html);
    else if (answer.status >= 500) stale = true;
  } catch {
    stale = true; // read again when the stream is back
  } finally {
    const ended = performance.now();
    at.busy = false;
    at.next = ended + Math.min(REST_MAX_MS, Math.max(REST_MS, (ended - began) * REST_FACTOR));
    if (at.again) refresh(section);
  }
}

function inputs(section) {
  return section.querySelectorAll("input:not([type=hidden]), textarea, select");
}

function keyOf(field) {
  return field.id || `${field.form?.getAttribute("action")} ${field.name}`;
}

function remember(section) {
  const kept = { values: new Map(), open: new Set(), focus: null };
  for (const field of inputs(section)) {
    const box = field.type === "checkbox" || field.type === "radio";
    if (box ? field.checked !== field.defaultChecked : field.value !== field.defaultValue)
      kept.values.set(keyOf(field), box ? field.checked : field.value);
  }
  for (const one of section.querySelectorAll("details[open][id]")) kept.open.add(one.id);
  const active = document.activeElement;
  if (section.contains(active) && active.id)
    kept.focus = { id: active.id, from: active.selectionStart, to: active.selectionEnd };
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
  if (!kept.focus) return;
  const field = section.querySelector(`#${CSS.escape(kept.focus.id)}`);
  field?.focus({ preventScroll: true });
  if (kept.focus.from != null) field?.setSelectionRange?.(kept.focus.from, kept.focus.to);
}

function swap(section, html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  const kept = remember(section);
  const whole = [...section.querySelectorAll("[data-keep][id][open]")];
  for (const one of whole) fresh.content.getElementById(one.id)?.replaceWith(one);
  section.replaceChildren(fresh.content);
  restore(section, kept);
  ages();
}

// --- messages of the stream ------------------------------------------------------

function receive(text) {
  const message = JSON.parse(text);
  if (message.type === "event") {
    if (message.seq <= seq) return;
    seq = message.seq;
    page.dataset.seen = seq;
    if (message.kind.startsWith("turn.")) showTurn(message);
    document.dispatchEvent(new CustomEvent("hive:event", { detail: message }));
    if (message.kind === "turn.event") return;
    notify(message);
    for (const section of document.querySelectorAll("[data-fragment]"))
      if (wants(section, message)) refresh(section);
  } else if (message.type === "gap") {
    seq = message.seq;
    turnGap();
    refreshAll();
  } else if (message.type === "down") {
    say("lost", "The hive is not answering; waiting for it");
  } else if (message.type === "up") {
    say("live", "live");
    if (stale) refreshAll();
    stale = false;
  }
}

function say(state, text) {
  link.hidden = false;
  link.dataset.state = state;
  link.textContent = text;
}

// --- the connection ----------------------------------------------------------------

function query() {
  return `since=${seq}&turns=${encodeURIComponent(page.dataset.turns)}`;
}

function opened() {
  failures = 0;
  everOpen = true;
  say("live", "live");
}

function again() {
  say("lost", "Connection lost, reconnecting");
  const wait = RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)];
  setTimeout(!everOpen && failures > SSE_AFTER ? connectSse : connect, wait);
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/live?${query()}`);
  socket.onopen = opened;
  socket.onmessage = (message) => receive(message.data);
  socket.onclose = again;
}

function connectSse() {
  const source = new EventSource(`/api/events?${query()}`);
  source.onopen = () => say("live", "live");
  source.onmessage = (message) => receive(message.data);
  source.onerror = () => {
    source.close();
    again();
  };
}

// --- times ---------------------------------------------------------------------------

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function ages() {
  const now = Date.now();
  for (const one of document.querySelectorAll("time[datetime]")) {
    const seconds = (now - Date.parse(one.dateTime)) / 1000;
    const [size, unit] = UNITS.find(([least]) => Math.abs(seconds) >= least) ?? UNITS[3];
    const span = `${Math.floor(Math.abs(seconds) / size)} ${unit}`;
    const text = Math.abs(seconds) < 5 ? "now" : seconds > 0 ? `${span} ago` : `in ${span}`;
    if (one.textContent !== text) one.textContent = text;
  }
}

watchLogs();
watchFilter(refresh);
setInterval(ages, 5000);
connect();
