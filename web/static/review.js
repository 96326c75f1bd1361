// The files of an approval: folds them, ticks them as viewed (stored in this browser, by commit),
// and navigates with the keys n, p and v. Only the operator folds files: what is approved must be
// visible.

import { isShortcut } from "./fields.js";
import { showViewed } from "./file_list.js";

const KEPT = 50; // commits whose ticks are remembered
const STORE = "hive-viewed";

const files = [...document.querySelectorAll("[data-testid=file]")];
const commit = document.querySelector("[data-testid=commit]").textContent;
const progress = document.getElementById("viewed");

function remembered() {
  try {
    return new Map(JSON.parse(localStorage.getItem(STORE)) ?? []);
  } catch {
    return new Map(); // not allowed here, or not ours
  }
}

function remember(paths) {
  const all = remembered();
  all.delete(commit);
  all.set(commit, paths);
  try {
    localStorage.setItem(STORE, JSON.stringify([...all].slice(-KEPT)));
  } catch {
    // Ticks are lost when the page is left.
  }
}

function fold(file, folded) {
  file.classList.toggle("folded", folded);
  file.querySelector(".fold-file").setAttribute("aria-expanded", String(!folded));
}

function count() {
  const viewed = files.filter((file) => file.querySelector(".viewed input").checked);
  progress.textContent = `${viewed.length} of ${files.length} viewed`;
  const paths = viewed.map((file) => file.dataset.path);
  showViewed(paths);
  return paths;
}

function prepare(file, isViewed) {
  const head = file.querySelector("h3");
  const button = document.createElement("button");
  button.className = "quiet fold-file";
  button.dataset.testid = "fold";
  button.setAttribute("aria-label", `Show ${file.dataset.path}`);
  button.addEventListener("click", () => fold(file, !file.classList.contains("folded")));
  head.prepend(button);
  const label = document.createElement("label");
  label.className = "viewed";
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = isViewed;
  box.dataset.testid = "viewed";
  box.addEventListener("change", () => {
    fold(file, box.checked);
    remember(count());
  });
  label.append(box, " Viewed");
  head.append(label);
  fold(file, isViewed);
}

function current() {
  const inside = files.findIndex((file) => file.contains(document.activeElement));
  if (inside >= 0) return inside;
  return files.findIndex((file) => file.getBoundingClientRect().bottom > innerHeight / 3);
}

function go(step) {
  const isInside = files.some((file) => file.contains(document.activeElement));
  const at = isInside ? current() + step : Math.max(current(), 0);
  const file = files[Math.min(Math.max(at, 0), files.length - 1)];
  file.scrollIntoView({ block: "start" });
  file.querySelector(".fold-file").focus({ preventScroll: true });
}

function tick() {
  const at = current();
  if (at < 0) return;
  files[at].querySelector(".viewed input").click();
}

const KEYS = { n: () => go(1), p: () => go(-1), v: tick };

function open() {
  const file = files.find((one) => `#${one.id}` === location.hash);
  if (file) fold(file, false);
}

if (files.length) {
  const viewed = new Set(remembered().get(commit));
  for (const file of files) prepare(file, viewed.has(file.dataset.path));
  count();
  open();
  addEventListener("hashchange", open);
  document.addEventListener("keydown", (event) => {
    if (!KEYS[event.key] || !isShortcut(event)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
}
