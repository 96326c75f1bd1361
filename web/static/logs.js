// The log under each agent: loaded when it is opened, followed while it is open and visible. A
// browser has six connections for all its tabs, and each followed log uses one: so a tab follows
// only a few, and none while it is hidden.

import { visible } from "./text.js";

const LINES_KEPT = 5000;
const FOLLOWED = 2;
const AT_END = 40;

const streams = new Map();

function close(box) {
  streams.get(box)?.close();
  streams.delete(box);
}

function line(entry) {
  const at = entry.at === null ? "" : `${new Date(entry.at * 1000).toISOString().slice(0, 19)}Z `;
  return `${at}${visible(entry.text)}\n`;
}

function add(pane, lines, gap) {
  const stays = pane.scrollHeight - pane.scrollTop - pane.clientHeight < AT_END;
  if (gap) pane.append("(lines are missing here)\n");
  pane.append(...lines.map(line));
  while (pane.childNodes.length > LINES_KEPT) pane.firstChild.remove();
  if (stays) pane.scrollTop = pane.scrollHeight;
}

function say(box, text) {
  box.querySelector("[data-logs-state]").textContent = text;
}

async function problem(answer) {
  const told = await answer.json().catch(() => null);
  return told?.detail ?? "Could not load the log.";
}

// The overview has one body for all its logs; opening one for the first time copies it.
function fill(box) {
  if (box.querySelector("pre")) return;
  box.append(document.getElementById("logs-body").content.cloneNode(true));
  box.querySelector("pre").setAttribute("aria-label", `Log of ${box.dataset.logs}`);
  box.querySelector("[data-logs-text]").href =
    `/api/journal/${encodeURIComponent(box.dataset.logs)}?format=text&lines=5000`;
}

async function read(box) {
  fill(box);
  close(box);
  const pane = box.querySelector("pre");
  const unit = box.querySelector("[data-logs-unit]").value;
  const place = `/api/journal/${encodeURIComponent(box.dataset.logs)}?unit=${unit}&lines=500`;
  say(box, "reading");
  const answer = await fetch(place, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) return say(box, answer ? await problem(answer) : "The dashboard is not answering.");
  const page = await answer.json();
  if (!box.open || unit !== box.querySelector("[data-logs-unit]").value) return; // meanwhile
  pane.replaceChildren();
  add(pane, page.lines, false);
  pane.scrollTop = pane.scrollHeight;
  say(box, page.lines.length ? "" : "The log is empty.");
  if (!document.hidden && box.querySelector("[data-logs-follow]").checked) follow(box, pane, place, page.cursor);
}

function follow(box, pane, place, cursor) {
  close(box);
  if (streams.size >= FOLLOWED) {
    const oldest = streams.keys().next().value;
    close(oldest);
    say(oldest, `No longer following: at most ${FOLLOWED} logs at a time. Refresh to update.`);
  }
  const since = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
  const stream = new EventSource(`${place}&follow=1${since}`);
  streams.set(box, stream);
  say(box, "following");
  stream.onmessage = (message) => {
    if (!box.isConnected) return close(box); // its agent is gone
    const news = JSON.parse(message.data);
    add(pane, news.lines ?? [], news.gap);
    if (news.ended) {
      close(box);
      say(box, news.ended);
    }
  };
  stream.onerror = () => {
    const isOver = stream.readyState === EventSource.CLOSED;
    say(box, isOver ? "No longer following. Refresh to update." : "Connection lost, reconnecting");
    if (isOver) close(box);
  };
  stream.onopen = () => say(box, "following");
}

export function watchLogs() {
  document.querySelectorAll("details[data-logs][open]").forEach(read); // by the server
  // `toggle` does not bubble, but the capture phase sees it.
  document.addEventListener("toggle", (event) => {
    const box = event.target.closest?.("details[data-logs]");
    if (box) box.open ? read(box) : close(box);
  }, true);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-logs-refresh]")) read(event.target.closest("[data-logs]"));
    // A link to a log: opened on this page if it is here.
    const link = event.target.closest("a[data-logs-open]");
    const box = link && document.getElementById(link.dataset.logsOpen);
    if (!box || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    box.open = !box.open;
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest("[data-logs-unit], [data-logs-follow]")) read(event.target.closest("[data-logs]"));
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) [...streams.keys()].forEach(close);
    else document.querySelectorAll("details[data-logs][open]").forEach(read);
  });
}
