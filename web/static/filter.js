// The overview's live search, the order of the table, and the counts above it. The server renders
// the lists: this changes the addresses of their fragments (and the page's, so that a reload keeps
// them), and updates them. Without this script the form and the links do the same by loading the
// page.

const WAIT_MS = 150;

const form = document.getElementById("agents-filter");
const rows = document.getElementById("agents-rows");
const chips = document.getElementById("agents-chips");
const views = document.getElementById("views");
let timer = 0;

export const FIELDS = ["q", "state", "sort"];

// The filter, as the query of the page's address.
export function query(fields = Object.fromEntries(new FormData(form))) {
  const given = FIELDS.map((key) => [key, (fields[key] ?? "").trim()]).filter(([, value]) => value);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

// The fields that a link changes: a heading the order, a count the state, a view everything.
function changes(link) {
  const asked = new URL(link.href).searchParams;
  if (link.matches("[data-sort]")) return { sort: asked.get("sort") ?? "" };
  if (link.matches("[data-state]")) return { state: link.dataset.state };
  if (link.matches("[data-view]")) return Object.fromEntries(FIELDS.map((key) => [key, asked.get(key) ?? ""]));
  return null;
}

export function watchFilter(refresh) {
  if (!form) return;
  const search = () => {
    clearTimeout(timer);
    const asked = query();
    if (rows.dataset.fragment === `/fragments/agents${asked}`) return;
    rows.dataset.fragment = `/fragments/agents${asked}`;
    chips.dataset.fragment = `/fragments/chips${asked}`;
    history.replaceState(null, "", `/${asked}`);
    refresh(rows);
    refresh(chips);
    document.dispatchEvent(new Event("hive:filter"));
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, WAIT_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  for (const place of [rows, chips, views])
    place.addEventListener("click", (event) => {
      const link = event.target.closest?.("a");
      const changed = link && changes(link);
      if (!changed || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      for (const [key, value] of Object.entries(changed)) form.elements[key].value = value;
      search();
    });
}
