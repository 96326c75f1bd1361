// The turns of one agent, as they happen and as they were: read from the history when
// the page loads, then live under the same numbers, so that nothing is shown twice.
// Everything that an agent made is put in as text.

import { EVENT, IN_TURN } from "./events.js";
import { visible } from "./text.js";
import { stamp } from "./times.js";

const PAGE = 200;
const KEPT = 1500;
const LONGEST = 20000;

const list = document.getElementById("turn");
const earlier = document.getElementById("turn-earlier");
const tools = new Map(); // calls that wait for their result
const said = new Map(); // of each turn the last text: its result repeats it
let first = null;
let last = 0;
let reading = null;
let waiting = [];

function shown(value) {
  const text = visible(typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "");
  return text.length > LONGEST ? `${text.slice(0, LONGEST)} … (${text.length - LONGEST} more characters)` : text;
}

function make(name, css, text) {
  const element = document.createElement(name);
  if (css) element.className = css;
  if (text !== undefined) element.textContent = text;
  return element;
}

function folded(title, text, css) {
  const box = make("details", `fold ${css ?? ""}`);
  box.append(make("summary", "", title), make("pre", "body", shown(text)));
  return box;
}

function tagged(tag, text, css) {
  const line = make("div", `line ${css ?? ""}`);
  line.append(make("span", "tag", tag), " ", make("span", "body", shown(text)));
  return line;
}

// The first words of what a tool is given: of a message its recipient and its text.
function brief(input) {
  const values = typeof input === "string" ? [input] : Object.values(input ?? {}).filter((one) => typeof one === "string");
  return shown(values.map((one) => one.split("\n")[0]).join(" · ")).slice(0, 120);
}

const OWN = /^mcp__hive__/; // the hive's tools need no surname

function lasted({ duration_ms: ms, steps }) {
  const time = Number(ms) < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  return ` ${time} · ${steps} ${steps === 1 ? "step" : "steps"}`;
}

const plain = (data, kind) => tagged(shown(kind), data.text ?? data);

const KINDS = {
  [IN_TURN.TEXT]: (data, kind, turn) => {
    said.set(turn, data.text);
    return tagged("says", data.text);
  },
  [IN_TURN.THINKING]: (data) => folded("thinking", data.text, "quietly"),
  [IN_TURN.TOOL_USE]: (data) => {
    const box = folded(`${shown(data.name ?? "tool").replace(OWN, "")} ${brief(data.input)}`, data.input ?? {}, "tool");
    if (data.id) tools.set(data.id, box);
    return box;
  },
  [IN_TURN.TOOL_RESULT]: (data) => {
    const box = tools.get(data.id);
    const result = make("pre", data.is_error ? "body result bad" : "body result", shown(data.text ?? ""));
    if (!box) return folded("result", data.text ?? "");
    tools.delete(data.id);
    box.append(result);
    box.querySelector("summary").append(make("span", data.is_error ? "tag widens" : "tag", data.is_error ? "failed" : "done"));
    return null;
  },
  [IN_TURN.DENIED]: (data) => {
    const line = tagged("denied", `${data.tool ?? ""}: ${data.reason ?? ""}`, "warned");
    if (typeof data.pattern === "string") {
      const link = make("a", "more", "Ask the manager to allow it");
      link.href = `/agents/${encodeURIComponent(list.dataset.agent)}/allow?pattern=${encodeURIComponent(data.pattern)}`;
      line.append(" ", link);
    }
    return line;
  },
  [IN_TURN.RETRY]: (data) => tagged("retry", `${data.attempt} of ${data.max_retries}, in ${Math.round((data.retry_delay_ms ?? 0) / 1000)} s (status ${data.error_status ?? "none"})`, "warned"),
  [IN_TURN.COMPACTED]: (data) => folded("session compacted", data.details ?? {}),
  [IN_TURN.SERVER]: (data) => tagged("MCP server", `${data.name}: ${data.status}`, "warned"),
  [IN_TURN.RESULT]: (data, kind, turn) => (data.text && data.text !== said.get(turn) ? tagged("result", data.text) : null),
};

function render(event) {
  const item = make("li");
  item.dataset.seq = event.seq;
  if (event.kind === EVENT.TURN_STARTED) {
    item.className = "turn-begin";
    item.append(make("b", "", `Turn ${event.data.turn}`), ` on ${shown(event.data.model)}, `, stamp(event.at));
  } else if (event.kind === EVENT.TURN_ENDED) {
    item.className = "turn-end";
    const { outcome, reason, turn } = event.data;
    item.append(make("b", "", `Turn ${turn}: ${shown(String(outcome)).replaceAll("_", " ")}`));
    if (reason) item.append(` ${shown(reason)}`);
    if (event.data.duration_ms !== undefined) item.append(make("span", "hint", lasted(event.data)));
    said.delete(turn);
  } else {
    const kind = String(event.data.kind ?? "event"); // the harness's own may be newer
    const made = (Object.hasOwn(KINDS, kind) ? KINDS[kind] : plain)(event.data.data ?? {}, kind, event.data.turn);
    if (!made) return null;
    item.append(made);
  }
  return item;
}

function add(events) {
  const stays = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  for (const event of events) {
    if (event.seq <= last) continue;
    last = event.seq;
    first ??= event.seq;
    if (event.kind === EVENT.TURN_ENDED) tools.clear();
    const item = render(event);
    if (item) list.append(item);
  }
  if (first !== null) list.querySelector(".empty")?.remove();
  if (stays || list.children.length > 4 * KEPT) shorten();
  if (stays) list.scrollTop = list.scrollHeight;
}

// Who reads further up keeps what they read; at the end, old items go.
function shorten() {
  if (list.children.length <= KEPT) return;
  while (list.children.length > KEPT) list.firstElementChild.remove();
  first = Number(list.firstElementChild.dataset.seq);
  earlier.hidden = false;
}

function say(text) {
  const none = list.querySelector(".empty");
  if (none) none.textContent = text;
}

async function read(query) {
  const answer = await fetch(`/agents/${list.dataset.agent}/api/history?limit=${PAGE}${query}`, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

// Read what is missing; live events that come meanwhile wait for it.
async function catchUp() {
  reading ??= (async () => {
    try {
      if (last === 0) {
        const newest = await read("");
        earlier.hidden = !newest.more;
        add(newest.events);
        say("No turns yet.");
      } else {
        for (let more = true; more; ) {
          const page = await read(`&after=${last}`);
          add(page.events);
          more = page.more && page.events.length > 0;
        }
      }
    } catch {
      say("Could not load the history. Reload the page to try again.");
    } finally {
      reading = null;
      add(waiting.splice(0));
    }
  })();
  return reading;
}

async function older() {
  if (first === null) return;
  earlier.disabled = true;
  try {
    const page = await read(`&before=${first}`);
    earlier.hidden = !page.more;
    const height = list.scrollHeight;
    const items = page.events.map(render).filter(Boolean);
    first = page.events[0]?.seq ?? first;
    list.prepend(...items);
    list.scrollTop += list.scrollHeight - height;
    earlier.textContent = "Earlier turns";
  } catch {
    earlier.textContent = "Could not load earlier turns: try again";
  } finally {
    earlier.disabled = false;
  }
}

export function showTurn(event) {
  if (!list || event.agent !== list.dataset.agent) return;
  if (reading) waiting.push(event);
  else add([event]);
}

export function turnGap() {
  if (list) catchUp();
}

if (list) {
  earlier.addEventListener("click", older);
  catchUp();
}
