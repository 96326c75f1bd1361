// Comments on lines of a proposal. A click on a line's number or the key c opens one at the line;
// the text is kept in this browser until "Request changes" sends all comments.

import { REVIEWS } from "./drafts.js";
import { isShortcut } from "./fields.js";
import { visible } from "./text.js";

const KEPT = 20; // approvals whose comments are remembered
const TEXT_MAX = 2000; // as hived takes them
const MOST = 50;
const LINES = 20;

const place = location.pathname;
const base = document.querySelector("[data-testid=files]").dataset.base || null;
const panel = document.getElementById("decide");
const drafts = isPending() ? kept() : [];
let last = null; // the line from which a click with Shift extends

function isPending() {
  return document.getElementById("changes") !== null;
}

// --- kept in this browser ----------------------------------------------------------

function all() {
  try {
    return new Map(JSON.parse(localStorage.getItem(REVIEWS)) ?? []);
  } catch {
    return new Map(); // not allowed here, or not ours
  }
}

function kept() {
  const found = all().get(place);
  const isOurs = (one) => typeof one?.file === "string" && typeof one.text === "string" && one.line > 0 && one.to >= one.line;
  if (!Array.isArray(found)) return [];
  return found.filter(isOurs).map(({ file, line, to, base: side, text }) => ({ file, line, to, base: side ?? null, text }));
}

function keep() {
  const saved = all();
  saved.delete(place);
  if (isPending() && drafts.some((one) => one.text.trim())) saved.set(place, drafts);
  try {
    localStorage.setItem(REVIEWS, JSON.stringify([...saved].slice(-KEPT)));
  } catch {
    // They are lost when the page is left.
  }
}

function written() {
  return drafts.filter((one) => one.text.trim());
}

// --- lines ---------------------------------------------------------------------------

function fileOf(row) {
  return row.closest("[data-testid=file]");
}

// The line of a row, in the proposal or (removed lines) in the version that it is compared with; in
// the side-by-side view, on the side of `cell`.
function lineOf(row, cell) {
  const cells = [...row.cells];
  const codes = cells.filter((one) => one.classList.contains("code"));
  const numbers = cells.filter((one) => one.classList.contains("no")).map((one) => Number(one.textContent));
  if (!codes.length) return null;
  const isSplit = codes.length > 1;
  const isLeft = isSplit && (cell ? cells.indexOf(cell) < 2 : codes[1].classList.contains("none"));
  const code = isSplit && !isLeft ? codes[1] : codes[0];
  if (code.classList.contains("none")) return null;
  const isRemoved = code.classList.contains("del");
  const line = isRemoved ? numbers[0] : numbers[1];
  return line ? { file: fileOf(row).dataset.path, line, base: isRemoved ? base : null } : null;
}

function isAt(comment, { file, line, base: side }) {
  return comment.file === file && comment.to === line && comment.base === side;
}

function rowsOf(comment) {
  const file = [...document.querySelectorAll("[data-testid=file]")].find((one) => one.dataset.path === comment.file);
  return [...(file?.querySelectorAll("tr[data-item]") ?? [])].filter((row) => {
    const sides = row.cells.length > 3 ? [row.cells[0], row.cells[2]] : [undefined];
    return sides.some((cell) => {
      const at = lineOf(row, cell);
      return at && at.base === comment.base && at.line >= comment.line && at.line <= comment.to;
    });
  });
}

function named({ line, to }) {
  return line === to ? `line ${line}` : `lines ${line} to ${to}`;
}

// --- what is shown -------------------------------------------------------------------

function make(tag, css, text = "") {
  return Object.assign(document.createElement(tag), { className: css, textContent: text });
}

function button(text, act, of) {
  const made = make("button", "", text);
  made.type = "button";
  made.append(make("span", "sr", `: the comment on ${visible(of.file)}, ${named(of)}`));
  made.addEventListener("click", act);
  return made;
}

function box(comment) {
  const rows = rowsOf(comment);
  const after = rows.at(-1);
  if (!after) return null;
  const row = make("tr", "comment draft");
  row.dataset.testid = "draft";
  const cell = row.insertCell();
  cell.colSpan = after.cells.length > 3 ? 4 : 3;
  const said = make("div", "said stack");
  cell.append(said);
  let next = after.nextElementSibling;
  while (next?.classList.contains("comment")) next = next.nextElementSibling;
  after.parentNode.insertBefore(row, next);
  return { row, said, rows };
}

// One comment at its lines: being written, or as it will be sent.
function show(comment, isOpen) {
  comment.at?.row.remove();
  const at = box(comment);
  Object.defineProperty(comment, "at", { value: at, writable: true, configurable: true });
  if (!at) return;
  at.said.append(make("b", "", `Your comment on ${named(comment)}`));
  if (isOpen) edit(comment, at);
  else rest(comment, at);
}

function edit(comment, { said }) {
  const field = make("textarea", "");
  Object.assign(field, { rows: 3, maxLength: TEXT_MAX, value: comment.text });
  field.setAttribute("aria-label", `Comment on ${visible(comment.file)}, ${named(comment)}`);
  field.addEventListener("input", () => {
    comment.text = field.value;
    keep();
    list();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" && !(event.key === "Enter" && (event.ctrlKey || event.metaKey))) return;
    event.preventDefault();
    finish(comment);
  });
  const row = make("div", "row end");
  row.append(button("Discard", () => drop(comment), comment), button("Done", () => finish(comment), comment));
  said.append(field, row);
  field.focus();
}

function rest(comment, { said }) {
  said.append(make("p", "body", visible(comment.text)));
  if (!isPending()) return;
  const row = make("div", "row end");
  row.append(button("Discard", () => drop(comment), comment), button("Edit", () => show(comment, true), comment));
  said.append(row);
}

function finish(comment) {
  const back = comment.at?.rows.at(-1);
  if (comment.text.trim()) show(comment, false);
  else drop(comment);
  back?.focus({ preventScroll: true });
}

function drop(comment) {
  comment.at?.row.remove();
  drafts.splice(drafts.indexOf(comment), 1);
  keep();
  list();
}

// The comments in the form's own list, which is redrawn with its section.
function list() {
  const here = panel.querySelector(".drafted");
  if (!here) return;
  const items = written().map((comment) => {
    const item = make("li", "");
    item.append(make("b", "", `${visible(comment.file)}, ${named(comment)}`), ` ${visible(comment.text)}`);
    return item;
  });
  here.hidden = !items.length;
  here.replaceChildren(...items);
}

// --- writing one ---------------------------------------------------------------------

function open(row, cell, isRange) {
  const at = lineOf(row, cell);
  if (!at || !isPending()) return;
  const goesOn = isRange && last && last.file === at.file && last.base === at.base;
  const [from, to] = goesOn ? [last.line, at.line].sort((a, b) => a - b) : [at.line, at.line];
  last = goesOn ? last : at;
  drafts.filter((one) => !one.text.trim()).forEach(drop);
  const there = drafts.find((one) => isAt(one, { ...at, line: to }) && one.line === from);
  if (there) return show(there, true);
  if (drafts.length >= MOST) return;
  const comment = { file: at.file, line: Math.max(from, to - LINES + 1), to, base: at.base, text: "" };
  drafts.push(comment);
  show(comment, true);
}

// The focused line, else the one under the pointer, else the first visible one.
function current() {
  const rows = [...document.querySelectorAll(".diff tr[data-item]")];
  return (
    rows.find((row) => row.contains(document.activeElement)) ??
    rows.find((row) => row.matches(":hover")) ??
    rows.find((row) => row.offsetParent !== null && row.getBoundingClientRect().top > 0)
  );
}

function changed() {
  if (isPending()) return list();
  keep(); // they are sent, or too late
  for (const comment of written()) show(comment, false);
}

// The lines of a file are redrawn when more of them are shown.
function prepare(file) {
  for (const row of file.querySelectorAll(".diff tr")) {
    if (!lineOf(row)) continue;
    row.dataset.item = "";
    row.tabIndex = -1;
  }
  for (const comment of drafts) {
    if (comment.file !== file.dataset.path) continue;
    show(comment, Boolean(comment.at?.said.querySelector("textarea")));
  }
}

if (isPending()) {
  document.getElementById("how-to-comment")?.removeAttribute("hidden");
  document.querySelectorAll("[data-testid=file]").forEach(prepare);
  document.addEventListener("hive:expanded", (event) => prepare(event.target));
  list();
  document.addEventListener("click", (event) => {
    const cell = event.target.closest?.(".diff tr[data-item] > .no");
    if (cell && isPending()) open(cell.parentNode, cell, event.shiftKey);
  });
  document.addEventListener("keydown", (event) => {
    if (!["c", "C"].includes(event.key) || !isShortcut(event)) return;
    const row = current();
    if (!row) return;
    event.preventDefault();
    open(row, undefined, event.shiftKey);
  });
  document.addEventListener("formdata", ({ target, formData }) => {
    if (target.id === "changes") formData.set("comments", JSON.stringify(written()));
  });
  new MutationObserver(changed).observe(panel, { childList: true });
} else keep();
