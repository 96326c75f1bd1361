// The live activity of each agent: tool calls of running turns start and end without updating the
// table. The oldest open call is shown, as by the server; an update of the table may be older than
// the latest events, which are then shown again.

import { coded } from "./text.js";
import { stamp } from "./times.js";

const heard = new Map(); // agent: its open calls, since the page heard of it

function cellOf(agent) {
  return document.querySelector(`[data-testid=agent][data-agent="${CSS.escape(agent)}"] .doing`);
}

// The calls of an agent; initially the one in the page.
function callsOf(agent) {
  let calls = heard.get(agent);
  if (calls) return calls;
  calls = new Map();
  heard.set(agent, calls);
  const cell = cellOf(agent);
  if (cell?.dataset.call) calls.set(cell.dataset.call, [...cell.childNodes].map((one) => one.cloneNode(true)));
  return calls;
}

function show(agent) {
  const cell = cellOf(agent);
  const [first] = heard.get(agent) ?? [];
  if (!cell || (!first && !cell.dataset.call)) return;
  cell.classList.remove("bad");
  if (first) cell.dataset.call = first[0];
  else delete cell.dataset.call;
  cell.replaceChildren(...(first ? first[1].map((one) => one.cloneNode(true)) : ["thinks"]));
}

function shown(text, at) {
  const line = document.createElement("span");
  const since = Object.assign(document.createElement("span"), { className: "since" });
  since.append(stamp(at, true));
  line.append(...coded(text), " ", since);
  return [...line.childNodes];
}

// A call began, or ended.
export function showStep({ agent, call, doing, at }) {
  const calls = callsOf(agent);
  if (!doing) calls.delete(call);
  else if (!calls.has(call)) calls.set(call, shown(doing, at));
  show(agent);
}

// A turn began or ended: none of its calls is open.
export function clearSteps(agent) {
  heard.set(agent, new Map());
  show(agent);
}

export function forgetSteps() {
  heard.clear();
}

document.addEventListener("hive:swapped", ({ target }) => {
  if (target.id !== "agents-rows") return;
  for (const agent of heard.keys()) show(agent);
});
