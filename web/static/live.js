// Keeps a page up to date. The server renders everything: on an event, each
// [data-fragment] whose data-on names the event's kind is fetched anew and swapped,
// keeping what the reader typed, opened and focused. Events come over one WebSocket,
// or as SSE where that does not connect. Lost connections resume where they were. A tab
// that nobody sees reads nothing until it is seen, except what its title says.

import { watchForms } from "./actions.js";
import { watchDrafts } from "./drafts.js";
import { EVENT } from "./events.js";
import { inputs, isChanged } from "./fields.js";
import "./drawer.js";
import "./palette.js";
import "./keys.js";
import { watchLogs } from "./logs.js";
import { watchDisplay } from "./display.js";
import { notify } from "./notify.js";
import "./command.js";
import { showTurn, turnGap } from "./turn.js";
import { watchFilter } from "./filter.js";
import { watchSelection } from "./select.js";
import "./shell.js";
import { clearSteps, forgetSteps, showStep } from "./steps.js";
import { swap } from "./swap.js";
import { ages } from "./times.js";
import "./title.js";
import { lookAgain } from "./toast.js";

const SOON_MS = 15; // events of one transaction come together
const REST_MS = 150; // between two readings of one section,
const REST_FACTOR = 4; // and longer where reading takes long
const REST_MAX_MS = 5000;
const RETRY_MS = [250, 500, 1000, 2000, 5000];
const SSE_AFTER = 2; // WebSockets that failed before one ever opened
const SILENCE_MS = 60_000; // the server speaks at least every 20 s

const page = document.body;
const link = document.getElementById("link");
let seq = Number(page.dataset.seq);
let failures = 0;
let everOpen = false;
let stale = false; // something could not be read
let isOut = false; // the session has ended
let socket = null;
let heard = 0;

// --- fragments -----------------------------------------------------------------

// Of each section: whether it is being read, is to be read again, or soon.
const reading = new WeakMap();
const unseen = new Set(); // to be read when somebody looks

function wants(section, event) {
  const agent = section.dataset.agent;
  if (agent && event.agent && event.agent !== agent) return false;
  return section.dataset.on.split(" ").some((kind) => event.kind.startsWith(kind));
}

function refresh(section) {
  if (document.hidden && !("always" in section.dataset)) return unseen.add(section);
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
    if (answer.status === 401) return loggedOut();
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

// --- messages of the stream ------------------------------------------------------

function receive(text) {
  heard = Date.now();
  const message = JSON.parse(text);
  if (message.type === "event") {
    if (message.seq <= seq) return;
    seq = message.seq;
    page.dataset.seen = seq;
    if (message.kind === EVENT.TURN_STARTED || message.kind === EVENT.TURN_ENDED) clearSteps(message.agent);
    if (message.kind.startsWith("turn.")) showTurn(message);
    document.dispatchEvent(new CustomEvent("hive:event", { detail: message }));
    if (message.kind === EVENT.TURN_EVENT) return;
    notify(message);
    for (const section of document.querySelectorAll("[data-fragment]"))
      if (wants(section, message)) refresh(section);
  } else if (message.type === "step") {
    showStep(message);
  } else if (message.type === "gap") {
    seq = message.seq;
    forgetSteps();
    turnGap();
    lookAgain();
    refreshAll();
  } else if (message.type === "down") {
    say("lost", "The hive is not answering; reconnecting");
  } else if (message.type === "up") {
    say("live", "live");
    if (stale) refreshAll();
    lookAgain();
    stale = false;
  }
}

function say(state, text) {
  link.hidden = false;
  link.dataset.state = page.dataset.link = state;
  link.textContent = text;
}

// The page as it is now may hold what nobody wrote down elsewhere: it stays until then.
function loggedOut() {
  if (isOut) return;
  if (![...inputs(document)].some(isChanged)) return location.reload();
  isOut = true;
  say("lost", "Your session has ended. Copy anything you typed, then reload this page to log in.");
}

// --- the connection ----------------------------------------------------------------

function query() {
  return `since=${seq}&turns=${encodeURIComponent(page.dataset.turns)}&steps=${page.dataset.steps ?? "false"}`;
}

function opened() {
  failures = 0;
  everOpen = true;
  isOut = false;
  heard = Date.now();
  say("live", "live");
}

function again() {
  socket = null;
  if (!isOut) say("lost", "Connection lost, reconnecting");
  if (failures > 0) askWhy();
  const wait = RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)];
  setTimeout(!everOpen && failures > SSE_AFTER ? connectSse : connect, wait);
}

// A refused WebSocket does not say why; a page does.
async function askWhy() {
  const answer = await fetch("/fragments/banner", { credentials: "same-origin" }).catch(() => null);
  if (answer?.status === 401) loggedOut();
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/live?${query()}`);
  socket.onopen = opened;
  socket.onmessage = (message) => receive(message.data);
  socket.onclose = again;
}

// A connection that broke without a word, as over a sleep, looks open for long.
function listenForSilence() {
  if (socket?.readyState !== WebSocket.OPEN || Date.now() - heard < SILENCE_MS) return;
  socket.onclose = socket.onmessage = null;
  socket.close();
  again();
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

// --- the page ------------------------------------------------------------------------

function look() {
  if (document.hidden) return;
  ages();
  listenForSilence();
  for (const section of unseen) refresh(section);
  unseen.clear();
}

watchDrafts();
watchForms({ done: refreshAll, loggedOut });
watchLogs();
watchFilter(refresh);
watchSelection();
watchDisplay();
document.addEventListener("visibilitychange", look);
setInterval(look, 5000);
connect();
