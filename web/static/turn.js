// An agent's conversation: its turns, past and live, and among them the messages between operator
// and agent. Turns are loaded from the history with the page, then live under the same numbers, so
// that nothing is shown twice. All content by agents is inserted as text.

import { EVENT, IN_TURN } from "./events.js";
import { visible } from "./text.js";
import { stamp } from "./times.js";
import { follow, hush } from "./writing.js";

const PAGE = 200;
const KEPT = 1500;
const LONGEST = 20000;
const WOKEN = 3; // messages that a turn is for, by number

const list = document.getElementById("turn");
const earlier = document.getElementById("turn-earlier");
const tools = new Map(); // calls that wait for their result
const said = new Map(); // of each turn the last text: its result repeats it
let first = null;
let last = 0;
let reading = null;
let waiting = [];
let running = null; // the number of the turn that runs

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

// The first words of a tool's input: for a message its recipient and text.
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

// --- a turn: one line, which opens ---------------------------------------------------

const turns = new Map(); // by number: its item, its box, its line, its steps

function turnOf(event) {
  const number = event.data.turn;
  const known = turns.get(number);
  if (known) return known;
  const item = make("li", "turn-begin");
  Object.assign(item.dataset, { at: event.at, seq: event.seq, testid: "one-turn" });
  const [box, line, steps] = [make("details", "one-turn"), make("summary"), make("ol", "steps")];
  box.append(line, steps);
  item.append(box);
  line.append(make("b", "", number === null ? "Outside a turn" : `Turn ${number}`));
  line.addEventListener("click", () => { item.dataset.touched = ""; });
  box.open = true; // until it ends
  const turn = { item, box, line, steps, woken: "" };
  turns.set(number, turn);
  put(list, item, "at");
  return turn;
}

// What woke the agent: the first of its messages, and their senders.
function woken({ messages = [], senders = [] }) {
  if (!messages.length) return "";
  const line = make("span", "hint", messages.length === 1 ? " · for message " : " · for messages ");
  messages.slice(0, WOKEN).forEach((number, at) => {
    const link = make("a", "", number);
    link.href = `/messages/${Number(number)}`;
    line.append(at ? ", " : "", link);
  });
  if (messages.length > WOKEN) line.append(" and others");
  line.append(` from ${shown(senders.join(", "))}`);
  return line;
}

function begin(event) {
  const turn = turnOf(event);
  const { line, item } = turn;
  turn.woken = woken(event.data);
  if (event.seq >= last) running = event.data.turn;
  item.dataset.at = event.at;
  line.append(make("span", "hint", ` on ${shown(event.data.model)}, `), stamp(event.at), turn.woken);
}

function end(event) {
  const { item, box, line, woken: why } = turnOf(event);
  const { outcome, reason, turn, cost_usd: cost, tokens } = event.data;
  const isRead = item.dataset.touched !== undefined || box.contains(document.activeElement) || isSelected(box);
  item.className = "turn-end";
  line.replaceChildren(make("b", "", `Turn ${turn}`), ` ${shown(String(outcome)).replaceAll("_", " ")}`);
  if (event.data.duration_ms !== undefined) line.append(make("span", "hint", ` ·${lasted(event.data)}${tokens ? ` · ${tokens.toLocaleString("en")} tokens` : ""}${cost ? ` · $${cost.toFixed(2)}` : ""}`));
  if (reason) line.append(make("span", "hint", ` · ${shown(reason)}`));
  line.append(why, " ", stamp(event.at));
  if (!isRead) box.open = false;
  if (turn === running) running = null;
  said.delete(turn);
}

function isSelected(box) {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(box, true);
}

function render(event) {
  if (event.kind === EVENT.TURN_STARTED) return begin(event);
  if (event.kind === EVENT.TURN_ENDED) return end(event);
  const kind = String(event.data.kind ?? "event"); // the harness's own may be newer
  const made = (Object.hasOwn(KINDS, kind) ? KINDS[kind] : plain)(event.data.data ?? {}, kind, event.data.turn);
  if (event.data.turn === running) hush();
  if (!made) return;
  const item = make("li");
  item.dataset.seq = event.seq;
  item.append(made);
  put(turnOf(event).steps, item, "seq");
}

// In order; the newest is appended directly.
function put(where, item, key) {
  let before = where.lastElementChild;
  while (before && Number(before.dataset[key]) > Number(item.dataset[key])) before = before.previousElementSibling;
  if (before) before.after(item);
  else where.prepend(item);
}

function add(events) {
  const stays = isAtEnd();
  for (const event of events) {
    if (event.seq <= last) continue;
    last = event.seq;
    first ??= event.seq;
    if (event.kind === EVENT.TURN_ENDED) tools.clear();
    render(event);
  }
  if (first !== null) list.querySelector(".empty")?.remove();
  const count = list.querySelectorAll(".steps > li").length;
  if (count > (stays ? KEPT : 4 * KEPT)) shorten(count);
  listen();
  if (stays) list.scrollTop = list.scrollHeight;
}

// Output of the running turn is streamed.
function listen() {
  const turn = running === null ? null : turns.get(running);
  const isSaid = (text) => said.get(running)?.startsWith(text) ?? false;
  const scroll = () => { list.scrollTop = list.scrollHeight; };
  follow(turn ? { turn: running, agent: list.dataset.agent, steps: turn.steps, isSaid, isAtEnd, scroll } : null);
}

function isAtEnd() {
  return list.scrollHeight - list.scrollTop - list.clientHeight < 60;
}

// A reader further up keeps their place; at the end, old turns are removed.
function shorten(count) {
  for (const [number, { item, steps }] of [...turns].sort(([, a], [, b]) => a.item.dataset.seq - b.item.dataset.seq)) {
    if (count <= KEPT || turns.size === 1) break;
    count -= steps.children.length;
    turns.delete(number);
    item.remove();
  }
  first = Math.min(...[...turns.values()].map(({ item }) => Number(item.dataset.seq)));
  earlier.hidden = false;
}

// --- messages: rendered by the server, moved here between the turns --------------------

const talk = document.getElementById("talk");
const placed = new Map(); // by id: the item here, and how it was rendered

function place() {
  const stays = isAtEnd();
  for (const item of [...talk.querySelectorAll(".talk > li")]) {
    const [id, html] = [item.dataset.id, item.innerHTML.replace(/<time.*?<\/time>/gs, "")];
    const old = placed.get(id);
    if (old?.html === html) item.remove();
    else if (old) old.item.replaceWith(item);
    else put(list, item, "at");
    if (old?.html !== html) placed.set(id, { item, html });
  }
  talk.hidden = talk.querySelector(".problem") === null;
  if (placed.size) list.querySelector(".empty")?.remove();
  if (stays) list.scrollTop = list.scrollHeight;
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

// Loads missing events; live events that arrive in the meantime wait for them.
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
    page.events.forEach(render);
    first = page.events[0]?.seq ?? first;
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
  place();
  new MutationObserver(place).observe(talk, { childList: true });
  catchUp();
}
