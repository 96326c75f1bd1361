// One chart by uPlot: lines, or stacked bars. All charts of a page share a cursor; a drag over one,
// or + at the cursor, zooms in; the arrow keys move the cursor. A table beside it has the same
// values.

import { COLOURS, columns, name, stacked, sum, trend } from "./series.js";
import { absolute, isLocal } from "./times.js";

const HEIGHT = 180;
const LEAST_S = 300; // the shortest period that a drag chooses
const BAR = 0.85; // of a step
const ROWS = 500; // of a table

const PROBE = Object.assign(document.createElement("i"), { hidden: true }); // knows colours

const minute = (at) => absolute(at * 1000).replace(/:\d\d(?= )/, "");

function colour(index) {
  if (!PROBE.isConnected) document.body.append(PROBE);
  PROBE.style.color = `var(${index < COLOURS ? `--c${index + 1}` : "--muted"})`;
  return getComputedStyle(PROBE).color;
}

export function make(tag, css, text) {
  return Object.assign(document.createElement(tag), { className: css ?? "", textContent: text ?? "" });
}

export const widthOf = (figure) => Math.max(220, figure.clientWidth - 24);

// Paths of bars: from the value below to their own.
function bars(step) {
  return (plot, index, from, to) => {
    const fill = new Path2D();
    const [times, ...sums] = plot.data;
    for (let at = from; at <= to; at++) {
      const [base, top] = [index > 1 ? sums[index - 2][at] : 0, sums[index - 1][at]].map((value) => plot.valToPos(value, "y", true));
      const [left, right] = [times[at], times[at] + BAR * step].map((time) => plot.valToPos(time, "x", true));
      if (base > top) fill.rect(left, top, Math.max(1, right - left), base - top);
    }
    return { fill, stroke: null, flags: 0 };
  };
}

// A dashed line at each deployment.
function marked(marks) {
  return (plot) => {
    const { left, top, width, height } = plot.bbox;
    plot.ctx.save();
    plot.ctx.strokeStyle = colour(COLOURS);
    plot.ctx.setLineDash([4, 4]);
    for (const { at } of marks) {
      const x = plot.valToPos(at, "x", true);
      if (x < left || x > left + width) continue;
      plot.ctx.beginPath();
      plot.ctx.moveTo(x, top);
      plot.ctx.lineTo(x, top + height);
      plot.ctx.stroke();
    }
    plot.ctx.restore();
  };
}

// The selected period, of at least some minutes.
function chosen(plot, zoom) {
  const { left, width } = plot.select;
  if (width < 4) return;
  let [from, to] = [left, left + width].map((x) => plot.posToVal(x, "x"));
  const lacks = Math.max(0, LEAST_S - (to - from)) / 2;
  plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  zoom(Math.floor(from - lacks), Math.ceil(to + lacks));
}

// The same by keys, as described in the page's hint.
function keys(plot, zoom) {
  const [times] = plot.data;
  const step = (by) => {
    const at = Math.min(Math.max((plot.cursor.idx ?? (by > 0 ? -1 : times.length)) + by, 0), times.length - 1);
    plot.setCursor({ left: plot.valToPos(times[at], "x"), top: HEIGHT / 3 });
  };
  const closer = () => {
    const { min, max } = plot.scales.x;
    const middle = times[plot.cursor.idx] ?? (min + max) / 2;
    const half = Math.max((max - min) / 4, LEAST_S / 2);
    zoom(Math.floor(middle - half), Math.ceil(middle + half));
  };
  return { ArrowLeft: () => step(-1), ArrowRight: () => step(1), "+": closer, "-": () => zoom(null), Escape: () => zoom(null) };
}

function listen(plot, zoom, chart) {
  const act = keys(plot, zoom);
  plot.over.tabIndex = 0;
  plot.over.setAttribute("role", "group");
  plot.over.setAttribute("aria-label", `${chart.title}: arrow keys move the cursor, plus zooms in, minus zooms out`);
  plot.over.addEventListener("keydown", (event) => {
    if (!act[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act[event.key]();
  });
}

function row(tag, cells) {
  const made = make("tr");
  made.append(...cells.map((text, at) => make(at ? tag : "th", "", text)));
  made.firstChild.scope = tag === "th" ? "col" : "row";
  return made;
}

// All values, newest first, created on demand.
function table(labels, [times, ...values], chart) {
  const box = make("details", "chart-data");
  box.append(make("summary", "", "Values as a table"));
  box.addEventListener("toggle", () => {
    if (!box.open || box.querySelector("table")) return;
    const place = make("div", "scroll");
    place.tabIndex = 0;
    place.setAttribute("role", "group");
    place.setAttribute("aria-label", `Values of ${chart.title}`);
    const all = make("table");
    const [head, body] = [make("thead"), make("tbody")];
    head.append(row("th", ["Time", ...labels]));
    body.append(...times.map((at, n) => row("td", [minute(at), ...values.map((one) => chart.say(one[n] ?? null) || "–")])).reverse().slice(0, ROWS));
    all.append(head, body);
    place.append(all);
    box.append(place);
  });
  return box;
}

// The legend of a stacked chart, besides the value at the cursor.
function totals(plot, found, chart, result) {
  const all = sum(found.map((one) => sum(one.values)));
  const rows = [...plot.root.querySelectorAll(".u-legend .u-series")];
  rows.forEach((line, index) => {
    const cells = index
      ? [chart.say(sum(found[index - 1].values)), all ? `${Math.round((sum(found[index - 1].values) / all) * 100)} %` : "", trend(found[index - 1], result)]
      : ["Total", "Share", "Trend"];
    line.append(...cells.map((text) => make("td", "u-total", text)));
  });
}

// Draws into `figure`; calls `zoom(from, to)` for a period, `zoom(null)` for the previous one.
export function plot(figure, chart, found, result, { zoom, marks }) {
  const days = result.until - result.since > 2 * 86400;
  const clock = (at) => (days ? minute(at).slice(5, 10) : minute(at).slice(11, 16));
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { font, stroke: colour(COLOURS), grid: { stroke: "rgb(128 128 128 / .2)" }, ticks: { show: false } };
  const own = columns(found, result, chart.stack);
  const labels = found.map((one) => one.label ?? name(one, chart));
  const drawnAs = (index) => (chart.stack
    ? { fill: colour(index), stroke: colour(index), width: 0, points: { show: false }, paths: bars(result.step) }
    : { stroke: colour(index), width: 1.5, spanGaps: false, points: { size: 5 } });
  const made = new uPlot({
    width: widthOf(figure),
    height: HEIGHT,
    scales: { x: { time: true, range: [result.since, result.until] }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.1 : 1] } },
    cursor: { drag: { x: true, y: false, setScale: false }, sync: { key: "charts", scales: ["x", null], filters: { pub: (kind) => kind.startsWith("mousemove") || kind === "mouseleave" } } },
    hooks: { setSelect: [(it) => chosen(it, zoom)], draw: [marked(marks)] },
    tzDate: (at) => (isLocal() ? new Date(at * 1000) : uPlot.tzDate(new Date(at * 1000), "Etc/UTC")),
    axes: [{ ...axis, size: 30, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 64, values: (_, ticks) => ticks.map(chart.say) }],
    series: [{ label: "Time", value: (_, at) => (at ? minute(at) : "") },
      ...labels.map((label, index) => ({
        label, ...drawnAs(index), value: (_, value, series, at) => (at == null ? "" : chart.say(own[series][at] ?? null)),
      }))],
  }, chart.stack ? stacked(own) : own, figure);
  if (chart.stack) totals(made, found, chart, result);
  listen(made, zoom, chart);
  figure.append(table(labels, own, chart));
  return made;
}

export function resize(all) {
  for (const one of all) one.setSize({ width: widthOf(one.root.parentElement), height: HEIGHT });
}
