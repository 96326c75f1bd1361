// xterm.js over a WebSocket. Output is counted in bytes: after a lost connection the
// terminal continues where this page left off, and the harness waits for a slow page.

import { EVENT } from "./events.js";
import { coded } from "./text.js";

const place = document.getElementById("terminal");
const state = document.getElementById("terminal-state");
const anew = document.getElementById("terminal-new");
const KEY = `hive-terminal-${place.dataset.agent}`;
const RETRY_MS = [250, 500, 1000, 2000, 5000];
const PASTE = 8192;
const ACK_EVERY = 64 * 1024;
const REFUSED = 1008;
const GONE = "agent_not_running";
const DOWN = new Set(["stopped", "stopping", "starting", "failed"]);

// The page's policy only allows styles with its nonce; xterm.js creates style elements.
const create = document.createElement.bind(document);
document.createElement = (name, options) => {
  const element = create(name, options);
  if (name === "style") element.nonce = place.dataset.nonce;
  return element;
};

const libraries = [import("/static/vendor/xterm.mjs"), import("/static/vendor/xterm-fit.mjs")];
const [{ Terminal }, { FitAddon }] = await Promise.all(libraries).catch((error) => {
  state.textContent = "Could not load the terminal library. Reload the page to try again.";
  throw error;
});

const terminal = new Terminal({ cursorBlink: true, fontSize: 14, scrollback: 5000, screenReaderMode: true });
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(place);
fit.fit();

let socket = null;
let offset = 0;
let acked = 0;
let failures = 0;
let over = false;
let awaited = false; // the agent does not run, and is expected back

function say(kind, text) {
  state.dataset.state = kind;
  state.replaceChildren(...coded(text));
  anew.hidden = kind !== "over";
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function shown(upTo) {
  if (upTo - acked < ACK_EVERY) return;
  acked = upTo;
  send({ type: "shown", offset: upTo });
}

function end(text) {
  over = true;
  sessionStorage.removeItem(KEY);
  say("over", text);
}

function receive(data) {
  if (data instanceof ArrayBuffer) {
    offset += data.byteLength;
    const upTo = offset;
    return terminal.write(new Uint8Array(data), () => shown(upTo));
  }
  const message = JSON.parse(data);
  if (message.type === "open") {
    offset = acked = message.offset;
    sessionStorage.setItem(KEY, message.terminal);
    failures = 0;
    say("open", "connected");
    send({ type: "resize", columns: terminal.cols, rows: terminal.rows });
    terminal.focus();
  } else if (message.type === "refused" && message.code === "not_found" && sessionStorage.getItem(KEY)) {
    sessionStorage.removeItem(KEY); // the old one is gone: a new one
    offset = 0;
  } else {
    end(message.text);
    awaited = message.code === GONE;
  }
}

function connect() {
  const known = sessionStorage.getItem(KEY) ?? "";
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}${location.pathname}/ws?terminal=${known}&offset=${offset}`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = (message) => receive(message.data);
  socket.onclose = ({ code, reason }) => {
    if (over) return;
    if (code === REFUSED) return end(reason || "The terminal could not be opened.");
    say("lost", "connection lost, reconnecting");
    setTimeout(connect, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
  };
}

terminal.onData((text) => {
  for (let at = 0; at < text.length; at += PASTE) send({ type: "input", data: text.slice(at, at + PASTE) });
});
terminal.onResize(({ cols, rows }) => send({ type: "resize", columns: cols, rows }));
new ResizeObserver(() => fit.fit()).observe(place);

function open() {
  over = awaited = false;
  offset = 0;
  terminal.reset();
  connect();
}

// Tab belongs to the shell; this key leaves the terminal.
terminal.attachCustomKeyEventHandler((event) => {
  if (event.key !== "F6") return true;
  event.preventDefault();
  if (event.type === "keydown") document.getElementById("terminal-after").focus();
  return false;
});
anew.addEventListener("click", open);
document.addEventListener("hive:event", ({ detail }) => {
  const ours = detail.kind === EVENT.AGENT_STATE && detail.agent === place.dataset.agent;
  if (ours && awaited && !DOWN.has(detail.data.state)) open();
});
connect();
