// The command palette (Ctrl+K): pages, agents and pending approvals by a few letters, and actions
// on agents. It cannot approve: that is done where the change is shown. Also the keys `g` and a
// letter for pages, and `]` for the next pending approval.

import { isShortcut } from "./fields.js";
import { visible } from "./text.js";

const MATCHER = "/static/vendor/fuzzy.mjs";
const SHOWN = 12;
const PAGES = [...document.querySelectorAll("#keys [data-place]")].map((key) => [key.dataset.name, key.dataset.place, key.textContent]);
const ACTIONS = { restart: "restart", stop: "stop", start: "start", pause: "do/pause", resume: "do/resume" };

const dialog = document.getElementById("palette");
const field = dialog.querySelector("input");
const list = dialog.querySelector("[role=listbox]");
let matcher = null;
let known = []; // what can be chosen
let shown = []; // of these, what is listed
let at = 0;
let isEarly = false; // Enter was pressed before the list was there
let isReading = false;
let isGoing = false; // `g` was pressed

async function read(place) {
  const answer = await fetch(place, { credentials: "same-origin" }).catch(() => null);
  return answer?.ok ? answer.json() : {};
}

function page(text, place) {
  return { text, choose: () => location.assign(place) };
}

// The same form as on the agent's page: actions.js sends it and shows the result.
function action(verb, name) {
  const choose = () => {
    const form = Object.assign(document.createElement("form"), { method: "post", action: `/agents/${name}/${ACTIONS[verb]}`, hidden: true });
    form.dataset.stay = "";
    form.append(document.querySelector("form input[name=csrf]").cloneNode());
    document.body.append(form);
    form.requestSubmit();
    setTimeout(() => form.remove());
  };
  return { text: `${verb} ${name}`, choose };
}

async function collect() {
  const [{ agents = [] }, { approvals = [] }] = await Promise.all([read("/api/agents"), read("/api/approvals?state=pending")]);
  known = [
    ...approvals.map((one) => page(`Approval ${one.id}: ${one.kind} ${one.agent}`, `/approvals/${one.id}`)),
    ...PAGES.map(([text, place]) => page(text, place)),
    ...agents.map((one) => page(one.name, `/agents/${one.name}`)),
    ...agents.map((one) => page(`Terminal of ${one.name}`, `/agents/${one.name}/terminal`)),
    ...agents.flatMap((one) => Object.keys(ACTIONS).map((verb) => action(verb, one.name))),
  ];
  show();
}

// Entries that begin with the words come first: "start bob" is not "restart bob".
function matching(words) {
  const begins = (one) => Number(one.text.toLowerCase().startsWith(words));
  let found = known.filter((one) => one.text.toLowerCase().includes(words));
  if (words && matcher) {
    const [numbers, , order] = matcher.search(known.map((one) => one.text), words, 1);
    found = (order ? order.map((n) => numbers[n]) : numbers ?? []).map((n) => known[n]);
  }
  return found.sort((one, other) => begins(other) - begins(one));
}

function show() {
  shown = matching(field.value.trim().toLowerCase()).slice(0, SHOWN);
  at = 0;
  list.replaceChildren(...shown.map((one, n) => {
    const item = document.createElement("li");
    item.id = `palette-${n}`;
    item.setAttribute("role", "option");
    item.textContent = visible(one.text);
    item.addEventListener("click", () => choose(n));
    return item;
  }));
  mark();
}

function mark() {
  [...list.children].forEach((item, n) => item.setAttribute("aria-selected", String(n === at)));
  if (shown.length) field.setAttribute("aria-activedescendant", `palette-${at}`);
  else field.removeAttribute("aria-activedescendant");
}

function choose(number) {
  if (isReading) return (isEarly = true);
  const one = shown[number];
  if (!one) return;
  dialog.close();
  one.choose();
}

async function open() {
  if (dialog.open) return dialog.close();
  field.value = "";
  dialog.showModal();
  show();
  const loads = matcher ? null : import(MATCHER).then((found) => { matcher = new found.default({ intraMode: 1 }); }).catch(() => null);
  isReading = true;
  await Promise.all([collect(), loads]);
  isReading = false;
  show();
  if (isEarly && dialog.open) choose(at);
  isEarly = false;
}

async function nextApproval() {
  const { approvals = [] } = await read("/api/approvals?state=pending");
  const here = Number(location.pathname.match(/^\/approvals\/(\d+)$/)?.[1] ?? 0);
  const numbers = approvals.map((one) => one.id).sort((a, b) => a - b);
  const next = numbers.find((number) => number > here) ?? numbers[0];
  if (next !== undefined && next !== here) location.assign(`/approvals/${next}`);
}

field.addEventListener("input", show);
field.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && shown.length) {
    event.preventDefault();
    at = (at + step + shown.length) % shown.length;
    mark();
  } else if (event.key === "Enter") {
    event.preventDefault();
    choose(at);
  }
});

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && !event.target.closest?.(".terminal")) {
    event.preventDefault();
    open();
    return;
  }
  if (!isShortcut(event) || dialog.open) return;
  if (isGoing) {
    isGoing = false;
    const to = PAGES.find(([, , key]) => key === event.key);
    if (!to) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // not the key that it is by itself
    location.assign(to[1]);
  } else if (event.key === "g") isGoing = true;
  else if (event.key === "]") nextApproval();
}, true);
