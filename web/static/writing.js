// Streams the model's output of the running turn, at the end of its steps. Requested only while a
// turn runs and the page is visible. The step itself replaces it once complete. It is inserted as
// text, like all content by agents.

import { visible } from "./text.js";

const RETRY_MS = 5000; // after a refusal, as of too many pages

let wanted = null; // the running turn: its number, and where its steps are
let source = null;
let line = null;
let later = 0;

function close() {
  source?.close();
  source = null;
  clearTimeout(later);
}

function open(agent) {
  source = new EventSource(`/agents/${encodeURIComponent(agent)}/api/text`);
  source.onmessage = ({ data }) => show(JSON.parse(data));
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) return; // it comes back by itself
    close();
    later = setTimeout(look, RETRY_MS);
  };
}

function look() {
  if (wanted === null || document.hidden) close();
  else if (!source) open(wanted.agent);
}

function begin(kind) {
  line = document.createElement("li");
  line.className = "writing";
  line.dataset.seq = Infinity; // after every step
  line.dataset.kind = kind;
  line.dataset.testid = "writing";
  const box = document.createElement("div");
  box.className = "line";
  const tag = Object.assign(document.createElement("span"), { className: "tag", textContent: kind === "thinking" ? "thinking" : "says" });
  const body = Object.assign(document.createElement("span"), { className: "body" });
  body.append("");
  box.append(tag, " ", body);
  line.append(box);
  wanted.steps.append(line);
}

// New text is appended, so that a selection is kept.
function show({ turn, kind, text }) {
  if (turn !== wanted?.turn || !text || wanted.isSaid(text)) return;
  const stays = wanted.isAtEnd();
  if (line?.dataset.kind !== kind) hush();
  if (!line) begin(kind);
  const body = line.querySelector(".body").firstChild;
  const next = visible(text);
  if (next.startsWith(body.data)) body.appendData(next.slice(body.data.length));
  else body.data = next;
  if (stays) wanted.scroll();
}

// A step arrived or the turn ended: the streamed text is removed.
export function hush() {
  line?.remove();
  line = null;
}

// The running turn, or null.
export function follow(turn) {
  if (wanted?.turn !== turn?.turn) hush();
  wanted = turn;
  look();
}

document.addEventListener("visibilitychange", look);
