// Keeps a page up to date. The server renders everything: sections affected by an event are updated
// (fragments.js), keeping what the user typed, opened and focused. Events arrive over one
// WebSocket, or as SSE if that does not connect. Lost connections resume where they left off.

import { watchForms } from "./actions.js";
import { watchDrafts } from "./drafts.js";
import { EVENT } from "./events.js";
import { inputs, isChanged } from "./fields.js";
import * as fragments from "./fragments.js";
import "./copy.js";
import "./drawer.js";
import "./palette.js";
import "./keys.js";
import { watchLogs } from "./logs.js";
import { watchDisplay } from "./display.js";
import { notify } from "./notify.js";
import "./command.js";
import { showTurn, turnGap } from "./turn.js";
import { watchFilter } from "./filter.js";
import { watchViews } from "./views.js";
import { watchSelection } from "./select.js";
import "./shell.js";
import { clearSteps, forgetSteps, showStep } from "./steps.js";
import "./tabs.js";
import { ages } from "./times.js";
import "./title.js";
import { lookAgain } from "./toast.js";

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
    for (const section of fragments.sections())
      if (fragments.wants(section, message)) fragments.refresh(section);
  } else if (message.type === "step") {
    showStep(message);
  } else if (message.type === "gap") {
    seq = message.seq;
    forgetSteps();
    turnGap();
    lookAgain();
    fragments.refreshAll();
  } else if (message.type === "down") {
    say("lost", "The hive is not answering; reconnecting");
  } else if (message.type === "up") {
    say("live", "live");
    if (stale) fragments.refreshAll();
    lookAgain();
    stale = false;
  }
}

function say(state, text) {
  link.hidden = false;
  link.dataset.state = page.dataset.link = state;
  link.textContent = text;
}

// A page with unsaved input stays; any other is reloaded.
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

// A refused WebSocket gives no reason, but a page does.
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

// A connection that broke silently, for example during sleep, looks open for a long time.
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
  fragments.look();
}

fragments.listen({ loggedOut, failed: () => { stale = true; } });
watchDrafts();
watchForms({ done: fragments.refreshAll, loggedOut });
watchLogs();
watchFilter(fragments.refresh);
watchViews();
watchSelection();
watchDisplay();
document.addEventListener("visibilitychange", look);
setInterval(look, 5000);
connect();
