// Prepares the hive's data for a chart: selects the series, the largest of many, and aligns their
// values at the same times.

export const COLOURS = 8; // --c1 and on; what is more is one line of its own
const GAP_STEPS = 2.5; // without a value for so long, a line ends
const LABELS = {
  duration_p50_ms: "median", duration_p95_ms: "95th percentile", cost_usd: "cost", context_fill: "context",
  notes_bytes: "notes", turns_per_min: "turns", tokens_in: "in", tokens_out: "out", tokens_cache_read: "cache read",
  tokens_cache_write: "cache write", inbox: "at a turn's end", inbox_max: "most", since_last_turn_s: "idle",
  "notify:sent": "sent", "notify:failed": "given up",
};

export const sum = (values) => values.reduce((all, one) => all + (one ?? 0), 0);

export function name(series, chart) {
  if (chart.byAgent) return series.agent;
  const prefix = chart.keys.find((key) => key.endsWith(":") && series.key.startsWith(key));
  return prefix ? series.key.slice(prefix.length) : LABELS[series.key] ?? series.key.replaceAll("_", " ");
}

export function matching(all, chart, whole) {
  return all.filter((one) =>
    chart.keys.some((key) => (key.endsWith(":") ? one.key.startsWith(key) : one.key === key)) &&
    (chart.byAgent ? one.agent !== "hive" : !whole || one.agent === "hive"));
}

// The largest individually and the others combined; stacked ones with the largest first.
export function largest(found, chart) {
  if (found.length <= COLOURS && !chart.stack) return found;
  const sorted = [...found].sort((one, other) => sum(other.values) - sum(one.values));
  if (found.length <= COLOURS) return sorted;
  const rest = sorted.slice(COLOURS);
  const at = [...new Set(rest.flatMap((one) => one.at))].sort((a, b) => a - b);
  const values = at.map((time) => sum(rest.map((one) => one.values[one.at.indexOf(time)] ?? 0)));
  return [...sorted.slice(0, COLOURS), { label: `${rest.length} others`, at, values }];
}

// With an empty value where a line ends, so that a stopped agent does not look busy.
function ended(series, step) {
  const points = series.at.map((at, index) => [at, series.values[index]]);
  const ends = series.at.flatMap((at, index) =>
    series.at[index + 1] - at > GAP_STEPS * step ? [[at + step, null]] : []);
  return [...points, ...ends];
}

// The times, and each series' values at them; undefined is another line's time: no gap.
export function columns(found, result, isStacked) {
  const lines = found.map((one) => (isStacked ? one.at.map((at, index) => [at, one.values[index]]) : ended(one, result.step)));
  const times = [...new Set(lines.flat().map(([at]) => at))].sort((a, b) => a - b);
  if (!times.length) return [[result.since, result.until], ...found.map(() => [null, null])];
  const place = new Map(times.map((at, index) => [at, index]));
  return [times, ...lines.map((line) => {
    const column = new Array(times.length).fill(undefined);
    for (const [at, value] of line) column[place.get(at)] ??= value;
    return column;
  })];
}

// Each series on top of those before it.
export function stacked([times, ...values]) {
  const under = times.map(() => 0);
  return [times, ...values.map((column) => column.map((value, at) => (under[at] += value ?? 0)))];
}

// The highest point of a chart.
export function highest(found, isStacked) {
  if (!isStacked) return found.flatMap((one) => one.values).reduce((most, value) => Math.max(most, value ?? 0), 0);
  const under = new Map();
  for (const { at, values } of found) at.forEach((time, n) => under.set(time, (under.get(time) ?? 0) + (values[n] ?? 0)));
  return Math.max(0, ...under.values());
}

// Formats dollars with enough digits to distinguish the ticks of an axis up to `most`: cents, and
// more below a dollar.
export function dollars(most) {
  const digits = most > 0 ? Math.min(6, Math.max(2, 2 - Math.floor(Math.log10(most)))) : 2;
  const least = 10 ** -digits;
  return (value) => (value === null ? "" : value > 0 && value < least / 2 ? `<$${least.toFixed(digits)}` : `$${value.toFixed(digits)}`);
}

// The change from the first to the second half.
export function trend({ at, values }, { since, until }) {
  const middle = (since + until) / 2;
  const [early, late] = [values.filter((_, n) => at[n] < middle), values.filter((_, n) => at[n] >= middle)].map(sum);
  if (!early) return late ? "new" : "";
  const change = Math.round((late / early - 1) * 100);
  return change > 0 ? `▲ ${change} %` : change < 0 ? `▼ ${-change} %` : "=";
}
