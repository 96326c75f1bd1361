// Metrics over time, for one agent, or for all with data-agent="hive". The period is part of the
// address: a zoom is a step in the browser's history, so that Back zooms out. Reloaded when a turn
// ends, at most every few seconds.

import { EVENT } from "./events.js";
import { make, plot, resize } from "./plot.js";
import { dollars, highest, largest, matching, sum } from "./series.js";
import { absolute } from "./times.js";

const BOX = document.getElementById("charts");
const RANGES = { "1h": 3600, "6h": 6 * 3600, "24h": 86400, "7d": 7 * 86400, "30d": 30 * 86400 };
const WAIT_MS = 3000;

const seconds = (value) => (value === null ? "" : `${(value / 1000).toFixed(1)} s`);
const share = (value) => (value === null ? "" : `${Number((value * 100).toFixed(1))} %`);
const number = (value) => (value === null ? "" : Number(value.toFixed(2)).toLocaleString("en"));
const bytes = (value) => (value === null || value % 1 ? "" : value < 1024 ? `${Math.round(value)} B` : `${(value / 1024).toFixed(1)} KiB`);
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
  { title: "Schedules by outcome", keys: ["schedule:"], sums: true, say: number },
  { title: "Webhook deliveries by outcome", keys: ["webhook:"], sums: true, say: number },
  { title: "Tokens", keys: ["tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write"], sums: true, say: number },
  { title: "Context used", keys: ["context_fill"], say: share },
  { title: "Cost", keys: ["cost_usd"], sums: true, isMoney: true },
  { title: "Size of notes", keys: ["notes_bytes"], say: bytes },
  { title: "Idle time before a turn", keys: ["since_last_turn_s"], say: span },
];
const HIVE = [
  { title: "Cost by agent", keys: ["cost_usd"], byAgent: true, sums: true, stack: true, isMoney: true },
  { title: "Output tokens by agent", keys: ["tokens_out"], byAgent: true, sums: true, stack: true, say: number },
  { title: "Turns by agent", keys: ["turns"], byAgent: true, sums: true, stack: true, say: number },
  { title: "Queued messages by agent", keys: ["inbox"], byAgent: true, say: number },
  { title: "Pending approvals", keys: ["approvals_pending"], say: number },
  { title: "Notifications outside", keys: ["notify:sent", "notify:failed"], sums: true, say: number },
];
const TOTALS = ["exit:failed", "duration_p95_ms"]; // for the figures above the charts

const whole = BOX?.dataset.agent === "hive";
const buttons = [...document.querySelectorAll("[data-range]")];
const zoomed = document.getElementById("zoomed");
const drawn = [];
let timer = null;
let latest = 0;

// --- the period ----------------------------------------------------------------------

const asked = () => new URL(location.href).searchParams;

function rangeNow() {
  const given = asked().get("range");
  return Object.hasOwn(RANGES, given) ? given : "24h";
}

// The period that was zoomed to, or null.
function zoomNow() {
  const [from, to] = ["from", "to"].map((one) => Number(asked().get(one)));
  return from > 0 && to > from ? { since: from, until: to } : null;
}

function go(changes, { step }) {
  const place = new URL(location.href);
  for (const [key, value] of Object.entries(changes))
    if (value === null) place.searchParams.delete(key);
    else place.searchParams.set(key, value);
  history[step ? "pushState" : "replaceState"](null, "", place);
  load();
}

function zoom(from, to) {
  if (from !== null) go({ from, to: Math.min(to, Math.ceil(Date.now() / 1000)) }, { step: true });
  else if (zoomNow()) go({ from: null, to: null }, { step: true });
}

// The selected period, and the button that zooms out.
function say() {
  const period = zoomNow();
  buttons.forEach((one) => one.setAttribute("aria-pressed", !period && one.dataset.range === rangeNow()));
  zoomed.hidden = !period;
  if (!period) return;
  const times = [period.since, period.until].map((at) => absolute(at * 1000).replace(/:\d\d(?= )/, ""));
  zoomed.querySelector("span").textContent = `${times[0]} to ${times[1]}`;
  zoomed.querySelector("button").textContent = `Back to ${rangeNow()}`;
}

// --- what is shown ---------------------------------------------------------------------

function step(seconds) {
  return seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${Number((seconds / 3600).toFixed(1))} h`;
}

function draw(kind, result, marks) {
  const all = matching(result.series, kind, whole);
  const found = largest(all, kind);
  const chart = kind.isMoney ? { ...kind, say: dollars(highest(found, kind.stack)) } : kind;
  const figure = make("figure", chart.stack ? "chart card stacked" : "chart card");
  figure.dataset.testid = "chart";
  const title = make("figcaption", "", chart.title);
  if (chart.sums && found.length) title.append(make("span", "hint", ` per ${step(result.step)}, ${chart.say(sum(all.map((one) => sum(one.values))))} in all`));
  figure.append(title);
  BOX.append(figure);
  if (found.length) drawn.push(plot(figure, chart, found, result, { zoom, marks }));
  else figure.append(make("p", "hint", "No data in this period."));
}

// The totals of the whole period.
function summary({ series }) {
  const place = document.getElementById("kpis");
  if (!place) return;
  const of = (key) => series.filter((one) => one.key === key && one.agent !== "hive").flatMap((one) => one.values);
  const turns = sum(of("turns"));
  const slowest = of("duration_p95_ms").reduce((most, one) => Math.max(most, one), 0);
  const cost = sum(of("cost_usd"));
  const figures = [
    ["Cost", dollars(cost)(cost)],
    ["Turns", number(turns)],
    ["Failed turns", turns ? share(sum(of("exit:failed")) / turns) : "–"],
    ["Slowest 95th percentile", slowest ? seconds(slowest) : "–"],
  ];
  place.replaceChildren(...figures.map(([word, value]) => {
    const one = make("div");
    one.append(make("dt", "", word), make("dd", "", value));
    return one;
  }));
}

async function read(place) {
  const answer = await fetch(place, { credentials: "same-origin" }).catch(() => null);
  return answer?.ok ? answer.json().catch(() => null) : null;
}

// Times of deployments, which may explain a change in a line.
async function deploys() {
  const agent = whole ? "" : `&agent=${BOX.dataset.agent}`;
  const found = await read(`/api/approvals?state=deployed&limit=100${agent}`);
  return (found?.approvals ?? []).filter((one) => one.decided_at).map((one) => ({ at: one.decided_at }));
}

async function load() {
  timer = null;
  say();
  const period = zoomNow();
  const since = period?.since ?? Math.floor(Date.now() / 1000) - RANGES[rangeNow()];
  const until = period ? `&until=${period.until}` : "";
  const keys = whole ? [...new Set([...HIVE.flatMap((chart) => chart.keys), ...TOTALS])].map((key) => `&key=${key}`).join("") : "";
  const place = whole ? "/api/stats" : `/agents/${BOX.dataset.agent}/api/stats`;
  const number = ++latest;
  const [result, marks] = await Promise.all([read(`${place}?since=${since}${until}${keys}`), deploys()]);
  if (number !== latest) return; // another range was chosen meanwhile
  if (result === null) return failed();
  const open = new Set([...BOX.querySelectorAll(".chart-data[open]")].map((one) => one.parentElement.firstChild.firstChild.data));
  drawn.splice(0).forEach((one) => one.destroy());
  BOX.style.minHeight = `${BOX.offsetHeight}px`; // so that the page does not jump
  BOX.replaceChildren();
  for (const chart of whole ? HIVE : AGENT) draw(chart, result, marks);
  for (const one of BOX.querySelectorAll(".chart-data")) one.open = open.has(one.parentElement.firstChild.firstChild.data);
  summary(result);
  BOX.style.minHeight = "";
  BOX.dataset.loaded = period ? "zoom" : rangeNow();
}

// The chart stays as it is; the next turn retries.
function failed() {
  if (drawn.length) return;
  BOX.replaceChildren(make("p", "hint", "Could not load metrics. Choose a period to try again."));
}

function soon() {
  timer ??= setTimeout(load, WAIT_MS);
}

if (BOX) {
  for (const button of buttons)
    button.addEventListener("click", () => go({ range: button.dataset.range, from: null, to: null }, { step: false }));
  zoomed.querySelector("button").addEventListener("click", () => zoom(null));
  BOX.addEventListener("dblclick", () => zoom(null));
  addEventListener("popstate", () => load());
  document.addEventListener("hive:event", ({ detail }) => {
    if (detail.kind === EVENT.TURN_ENDED && (whole || detail.agent === BOX.dataset.agent)) soon();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", load);
  document.addEventListener("hive:display", load);
  new ResizeObserver(() => resize(drawn)).observe(BOX);
  load();
}
