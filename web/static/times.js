// Times as people read them: "3 min ago", kept true while the page is open.

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function away(at) {
  const seconds = (Date.now() - at) / 1000;
  const size = Math.abs(seconds);
  if (size < 5) return "now";
  const [unit, word] = UNITS.find(([least]) => size >= least);
  const span = `${Math.floor(size / unit)} ${word}`;
  return seconds > 0 ? `${span} ago` : `in ${span}`;
}

export function ages() {
  for (const one of document.querySelectorAll("time[datetime]")) {
    const text = away(Date.parse(one.dateTime));
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
