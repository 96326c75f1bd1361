// The list of changed files, with a filter by path if there are many.

const MANY = 8;

const list = document.querySelector("[data-testid=filelist]");
const input = list?.querySelector("input");
const entries = [...(list?.querySelectorAll("li") ?? [])];

function filter() {
  const wanted = input.value.trim().toLowerCase();
  let found = 0;
  let isShown = false; // of the files below a directory, from the last to the first
  for (const entry of [...entries].reverse()) {
    const { file } = entry.dataset;
    if (file === undefined) {
      entry.hidden = !isShown;
      isShown = false;
      continue;
    }
    entry.hidden = !file.toLowerCase().includes(wanted);
    isShown ||= !entry.hidden;
    found += !entry.hidden;
  }
  list.querySelector("[role=status]").textContent = found ? "" : "No file matches.";
}

// Marks the files that are ticked as viewed.
export function showViewed(paths) {
  const viewed = new Set(paths);
  for (const { dataset, lastElementChild } of entries)
    if (dataset.file !== undefined) lastElementChild.hidden = !viewed.has(dataset.file);
}

if (entries.length > MANY) {
  input.hidden = false;
  input.addEventListener("input", filter);
}
