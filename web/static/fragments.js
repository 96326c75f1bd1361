// The sections of a page that follow events. Each [data-fragment] whose data-on names an event's
// kind is fetched again and swapped; those that show the agents are fetched together if they are
// due together, so that the agents are read once. A hidden tab fetches nothing until it is visible,
// except for its title, and that rarely.

import { swap } from "./swap.js";

const SOON_MS = 15; // events of one transaction come together
const REST_MS = 150; // between two readings of one section,
const REST_FACTOR = 4; // and longer where reading takes long
const REST_MAX_MS = 5000;
const HIDDEN_REST_MS = 5000; // while nobody sees the tab

// For each section: whether it is being fetched, must be fetched again, or soon.
const reading = new WeakMap();
const unseen = new Set(); // to be read when somebody looks
let heard = { loggedOut: () => {}, failed: () => {} };

export function listen(to) {
  heard = to;
}

export function wants(section, event) {
  const agent = section.dataset.agent;
  if (agent && event.agent && event.agent !== agent) return false;
  return section.dataset.on.split(" ").some((kind) => event.kind.startsWith(kind));
}

function stateOf(section) {
  const at = reading.get(section) ?? { busy: false, again: false, timer: 0, next: 0, read: 0 };
  reading.set(section, at);
  return at;
}

export function refresh(section) {
  if (document.hidden && !("always" in section.dataset)) return unseen.add(section);
  const at = stateOf(section);
  if (at.busy) at.again = true;
  else at.timer ||= setTimeout(() => read(section), Math.max(SOON_MS, at.next - performance.now()));
}

export const sections = () => document.querySelectorAll("[data-fragment]");

export function refreshAll() {
  sections().forEach(refresh);
}

// The tab is visible: pending sections are fetched, and those that change with time alone, such as
// a rate, are fetched again after their data-every seconds.
export function look() {
  for (const section of document.querySelectorAll("[data-every]")) {
    const { busy, timer, read: at } = stateOf(section);
    if (!busy && !timer && performance.now() - at > section.dataset.every * 1000) refresh(section);
  }
  for (const section of unseen) refresh(section);
  unseen.clear();
  for (const section of document.querySelectorAll("[data-always]")) {
    const at = stateOf(section);
    at.next = 0;
    if (!at.timer) continue;
    clearTimeout(at.timer);
    at.timer = 0;
    refresh(section);
  }
}

// Includes sections that are fetched in the same way and due now or in a moment.
function together(section) {
  if (!("together" in section.dataset)) return [section];
  const due = performance.now() + REST_MS;
  return [...document.querySelectorAll("[data-together]")].filter((one) => one === section || (stateOf(one).timer && stateOf(one).next <= due));
}

async function read(section) {
  const all = together(section).map((one) => ({ section: one, at: stateOf(one), place: one.dataset.fragment }));
  for (const { at } of all) {
    clearTimeout(at.timer);
    Object.assign(at, { busy: true, again: false, timer: 0 });
  }
  const began = performance.now();
  try {
    const found = await (all.length > 1 ? several(all.map(({ place }) => place)) : single(all[0].place));
    for (const one of all) {
      if (one.place !== one.section.dataset.fragment) one.at.again = true; // a search went on meanwhile
      else if (found.has(one.place)) swap(one.section, found.get(one.place));
    }
  } catch {
    heard.failed(); // read again when the stream is back
  } finally {
    const ended = performance.now();
    const least = document.hidden ? HIDDEN_REST_MS : REST_MS;
    for (const { section: one, at } of all) {
      at.busy = false;
      at.read = ended;
      at.next = ended + Math.min(REST_MAX_MS, Math.max(least, (ended - began) * REST_FACTOR));
      if (at.again) refresh(one);
    }
  }
}

async function get(place) {
  const answer = await fetch(place, { credentials: "same-origin" });
  if (answer.status === 401) heard.loggedOut();
  else if (answer.status >= 500) heard.failed();
  return answer.ok ? answer : null;
}

async function single(place) {
  const answer = await get(place);
  return new Map(answer ? [[place, await answer.text()]] : []);
}

async function several(places) {
  const query = new URLSearchParams(places.map((place) => ["of", place]));
  const answer = await get(`/fragments/together?${query}`);
  return new Map(answer ? Object.entries(await answer.json()) : []);
}
