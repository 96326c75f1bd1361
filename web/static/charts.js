// Metrics over time, drawn by uPlot: for one agent, or for all with data-agent="hive".
// Reloaded when a turn ends, at most every few seconds.

import { EVENT } from "./events.js";
import { absolute, isLocal } from "./times.js";

const BOX = document.getElementById("charts");
const RANGES = { "1h": 3600, "6h": 6 * 3600, "24h": 86400, "7d": 7 * 86400, "30d": 30 * 86400 };
const WAIT_MS = 3000;
const HEIGHT = 180;
const COLOURS = 8; // --c1 and on; what is more is one line of its own, in the muted colour
const GAP_STEPS = 2.5; // without a value for so long, a line ends
const LABELS = {
  duration_p50_ms: "median", duration_p95_ms: "95th percentile", cost_usd: "cost", context_fill: "context",
  notes_bytes: "notes", turns_per_min: "turns", tokens_in: "in", tokens_out: "out", tokens_cache_read: "cache read",
  tokens_cache_write: "cache write", inbox: "at a turn's end", inbox_max: "most", since_last_turn_s: "idle",
};

const money = (value) => (value === null ? "" : value === 0 ? "$0" : `$${value.toFixed(value < 0.1 ? 4 : 2)}`);
const seconds = (value) => (value === null ? "" : `${(value / 1000).toFixed(1)} s`);
const share = (value) => (value === null ? "" : `${Number((value * 100).toFixed(1))} %`);
const number = (value) => (value === null ? "" : Number(value.toFixed(2)).toLocaleString("en"));
const bytes = (value) => (value === null || value % 1 ? "" : value < 1024 ? `${Math.round(value)} B` : `${(value / 1024).toFixed(1)} KiB`);
const minute = (at) => absolute(at * 1000).replace(/:\d\d(?= )/, "");
const span = (value) => (value === null ? "" : `${Math.round(value)} s`);

const AGENT = [
  { title: "Turns per minute", keys: ["turns_per_min"], say: number },
  { title: "Turn outcomes", keys: ["exit:"], sums: true, say: number },
  { title: "Turn duration", keys: ["duration_p50_ms", "duration_p95_ms"], say: seconds },
  { title: "Tool calls", keys: ["tool_calls"], sums: true, say: number },
  { title: "Calls per tool", keys: ["tool:"], sums: true, say: number },
  { title: "Queued messages", keys: ["inbox", "inbox_max"], say: number },
  { title: "Messages sent by recipient", keys: ["sent:"], sums: true, say: number },
  { title: "Messages received by sender", keys: ["received:"], sums: true, say: number },
  { title: "Tokens", keys: ["tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write"], sums: true, say: number },
  { title: "Context used", keys: ["context_fill"], say: share },
  { title: "Cost", keys: ["cost_usd"], sums: true, say: money },
  { title: "Size of notes", keys: ["notes_bytes"], say: bytes },
  { title: "Idle time before a turn", keys: ["since_last_turn_s"], say: span },
];
const HIVE = [
  { title: "Cost by agent", keys: ["cost_usd"], byAgent: true, sums: true, say: money },
  { title: "Pending approvals", keys: ["approvals_pending"], say: number },
  { title: "Turns by agent", keys: ["turns"], byAgent: true, sums: true, say: number },
  { title: "Queued messages by agent", keys: ["inbox"], byAgent: true, say: number },
  { title: "Output tokens by agent", keys: ["tokens_out"], byAgent: true, sums: true, say: number },
];

const whole = BOX?.dataset.agent === "hive";
const drawn = [];
let timer = null;
let latest = 0;

const PROBE = Object.assign(document.createElement("i"), { hidden: true }); // knows colours

function colour(index) {
  PROBE.style.color = `var(${index < COLOURS ? `--c${index + 1}` : "--muted"})`;
  return getComputedStyle(PROBE).color;
}

function name(series, chart) {
  if (chart.byAgent) return series.agent;
  const prefix = chart.keys.find((key) => key.endsWith(":") && series.key.startsWith(key));
  return prefix ? series.key.slice(prefix.length) : LABELS[series.key] ?? series.key.replaceAll("_", " ");
}

const sum = (values) => values.reduce((all, one) => all + one, 0);

// The largest, each by itself, and the others as one.
function largest(found) {
  if (found.length <= COLOURS) return found;
  const sorted = [...found].sort((one, other) => sum(other.values) - sum(one.values));
  const rest = sorted.slice(COLOURS);
  const at = [...new Set(rest.flatMap((one) => one.at))].sort((a, b) => a - b);
  const values = at.map((time) => sum(rest.map((one) => one.values[one.at.indexOf(time)] ?? 0)));
  return [...sorted.slice(0, COLOURS), { label: `${rest.length} others`, at, values }];
}

// With an empty value where a line is to end: a stopped agent does not look busy.
function ended(series, step) {
  const points = series.at.map((at, index) => [at, series.values[index]]);
  const ends = series.at.flatMap((at, index) =>
    series.at[index + 1] - at > GAP_STEPS * step ? [[at + step, null]] : []);
  return [...points, ...ends];
}

function matching(all, chart) {
  return all.filter((one) =>
    chart.keys.some((key) => (key.endsWith(":") ? one.key.startsWith(key) : one.key === key)) &&
    (chart.byAgent ? one.agent !== "hive" : !whole || one.agent === "hive"));
}

function table(found, result) {
  const lines = found.map((one) => ended(one, result.step));
  const times = [...new Set(lines.flat().map(([at]) => at))].sort((a, b) => a - b);
  const place = new Map(times.map((at, index) => [at, index]));
  const columns = lines.map((line) => {
    const column = new Array(times.length).fill(undefined); // another line's time: no gap
    for (const [at, value] of line) column[place.get(at)] ??= value;
    return column;
  });
  return times.length ? [times, ...columns] : [[result.since, result.until], ...found.map(() => [null, null])];
}

function step(seconds) {
  return seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${Number((seconds / 3600).toFixed(1))} h`;
}

function told(text) {
  return Object.assign(document.createElement("span"), { className: "hint", textContent: text });
}

function draw(chart, result) {
  const all = matching(result.series, chart);
  const found = largest(all);
  const figure = document.createElement("figure");
  figure.className = "chart card";
  figure.dataset.testid = "chart";
  const title = document.createElement("figcaption");
  title.textContent = chart.title;
  if (chart.sums && found.length) title.append(told(` per ${step(result.step)}, ${chart.say(sum(all.map((one) => sum(one.values))))} in all`));
  figure.append(title);
  BOX.append(figure);
  if (!found.length) {
    const none = document.createElement("p");
    none.className = "hint";
    none.textContent = "No data in this period.";
    return figure.append(none);
  }
  const days = result.until - result.since > 2 * 86400;
  const clock = (at) => (days ? minute(at).slice(5, 10) : minute(at).slice(11, 16));
  const axis = { stroke: colour(COLOURS), grid: { stroke: "rgb(128 128 128 / .2)" }, ticks: { show: false } };
  drawn.push(new uPlot({
    width: Math.max(220, figure.clientWidth - 24),
    height: HEIGHT,
    scales: { x: { time: true, range: [result.since, result.until] }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.1 : 1] } },
    cursor: { drag: { x: false, y: false } },
    tzDate: (at) => (isLocal() ? new Date(at * 1000) : uPlot.tzDate(new Date(at * 1000), "Etc/UTC")),
    axes: [{ ...axis, size: 30, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 64, values: (_, ticks) => ticks.map(chart.say) }],
    series: [{ label: "Time", value: (_, at) => (at ? minute(at) : "") },
      ...found.map((one, index) => ({
        label: one.label ?? name(one, chart), stroke: colour(index), width: 1.5, spanGaps: false,
        points: { size: 5 }, value: (_, value) => chart.say(value ?? null),
      }))],
  }, table(found, result), figure));
}

async function load() {
  timer = null;
  const range = document.querySelector("[data-range][aria-pressed=true]")?.dataset.range ?? "24h";
  const since = Math.floor(Date.now() / 1000) - RANGES[range];
  const keys = whole ? [...new Set(HIVE.flatMap((chart) => chart.keys))].map((key) => `&key=${key}`).join("") : "";
  const place = whole ? `/api/stats?since=${since}${keys}` : `/agents/${BOX.dataset.agent}/api/stats?since=${since}`;
  const asked = ++latest;
  const answer = await fetch(place, { credentials: "same-origin" }).catch(() => null);
  const result = answer?.ok ? await answer.json().catch(() => null) : null;
  if (asked !== latest) return; // another range was chosen meanwhile
  if (result === null) return failed();
  drawn.splice(0).forEach((one) => one.destroy());
  BOX.style.minHeight = `${BOX.offsetHeight}px`; // so that the page does not jump
  BOX.replaceChildren();
  for (const chart of whole ? HIVE : AGENT) draw(chart, result);
  BOX.style.minHeight = "";
  BOX.dataset.loaded = range;
}

// What is drawn stays: it was true, and the next turn tries again.
function failed() {
  if (drawn.length) return;
  const said = document.createElement("p");
  said.className = "hint";
  said.textContent = "Could not load metrics. Choose a period to try again.";
  BOX.replaceChildren(said);
}

function soon() {
  timer ??= setTimeout(load, WAIT_MS);
}

if (BOX) {
  document.body.append(PROBE);
  const buttons = [...document.querySelectorAll("[data-range]")];
  const press = (button) => buttons.forEach((one) => one.setAttribute("aria-pressed", one === button));
  const asked = new URL(location.href);
  const first = buttons.find((one) => one.dataset.range === asked.searchParams.get("range"));
  if (first) press(first);
  for (const button of buttons)
    button.addEventListener("click", () => {
      press(button);
      asked.searchParams.set("range", button.dataset.range);
      history.replaceState(null, "", asked);
      load();
    });
  document.addEventListener("hive:event", ({ detail }) => {
    if (detail.kind === EVENT.TURN_ENDED && (whole || detail.agent === BOX.dataset.agent)) soon();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", load);
  document.addEventListener("hive:display", load);
  new ResizeObserver(() => drawn.forEach((one) => one.setSize({ width: Math.max(220, one.root.parentElement.clientWidth - 24), height: HEIGHT }))).observe(BOX);
  load();
}
