// Relative times, kept up to date while the page is open: "3 min ago", or "for 3 min" for a state
// that has lasted since then.

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function away(at, lasting = false) {
  const seconds = (Date.now() - at) / 1000;
  const size = Math.abs(seconds);
  if (size < 5) return seconds < 0 && !lasting ? "now" : "just now";
  const [unit, word] = UNITS.find(([least]) => size >= least);
  const span = `${Math.floor(size / unit)} ${word}`;
  if (lasting) return `for ${span}`;
  return seconds > 0 ? `${span} ago` : `in ${span}`;
}

let here = null;

// What formats times of this browser's zone, once it is needed: making it takes 15 ms.
function formatter() {
  here ??= new Intl.DateTimeFormat("en", {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
    hourCycle: "h23", timeZoneName: "short",
  });
  return here;
}

// Whether times are shown in this browser's zone instead of UTC.
export const isLocal = () => document.documentElement.dataset.clock === "local";

// An absolute time (ms), formatted as by the server: "2026-11-21 07:50:12 UTC".
export function absolute(at) {
  if (!isLocal()) return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const part = Object.fromEntries(formatter().formatToParts(at).map(({ type, value }) => [type, value]));
  return `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute}:${part.second} ${part.timeZoneName}`;
}

export function ages() {
  for (const one of document.querySelectorAll("time[datetime]")) {
    const at = Date.parse(one.dateTime);
    const title = absolute(at);
    const text = one.classList.contains("clock") ? title
      : one.classList.contains("hour") ? title.slice(11, 16) + title.slice(19) // and the zone
        : away(at, one.classList.contains("lasting"));
    if (one.textContent !== text) one.textContent = text;
    if (one.title !== title) one.title = title;
  }
}

// An element for a time in seconds, as in the server's pages.
export function stamp(at, lasting = false) {
  const time = document.createElement("time");
  time.dateTime = new Date(at * 1000).toISOString();
  time.title = absolute(at * 1000);
  if (lasting) time.className = "lasting";
  time.textContent = away(at * 1000, lasting);
  return time;
}
