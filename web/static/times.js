// Times as people read them, kept up to date while the page is open: "3 min ago", or
// "for 3 min" where a state has lasted since then.

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

export function ages() {
  for (const one of document.querySelectorAll("time[datetime]")) {
    const text = away(Date.parse(one.dateTime), one.classList.contains("lasting"));
    if (one.textContent !== text) one.textContent = text;
  }
}

// An element for a time in seconds, as the server's pages have them.
export function stamp(at) {
  const time = document.createElement("time");
  time.dateTime = new Date(at * 1000).toISOString();
  time.title = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC`;
  time.textContent = away(at * 1000);
  return time;
}
