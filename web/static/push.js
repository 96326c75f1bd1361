// Web Push: this browser receives notifications while no page of the hive is open. The hive offers
// it if the page has a key (data-push). The subscription is stored here, so that one replaced by
// the browser is reported to the hive again, but one removed by the operator is not.

import { coded } from "./text.js";
import { registered } from "./shell.js";

const KEPT = "hive-push";
const key = document.body.dataset.push;
const area = document.getElementById("push-this");

function kept() {
  return JSON.parse(localStorage.getItem(KEPT) ?? "null");
}

export function isPushed() {
  return Boolean(key) && kept() !== null;
}

async function manager() {
  return key ? (await registered)?.pushManager : null;
}

function bytes(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
}

function isOurs(subscription) {
  const theirs = new Uint8Array(subscription.options.applicationServerKey ?? []);
  const ours = bytes(key);
  return theirs.length === ours.length && theirs.every((byte, at) => byte === ours[at]);
}

async function post(place, fields) {
  const answer = await fetch(place, {
    method: "POST",
    credentials: "same-origin",
    headers: { Accept: "application/json", "X-CSRF-Token": document.querySelector("form input[name=csrf]").value },
    body: new URLSearchParams(fields),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail);
  return said;
}

// Subscribes this browser, or returns why not. False: the hive or the browser has no push.
export async function subscribe() {
  const push = await manager();
  if (!push) return false;
  let found = await push.getSubscription();
  if (found && !isOurs(found)) {
    await found.unsubscribe();
    found = null;
  }
  found ??= await push.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) });
  const { endpoint, keys } = found.toJSON();
  const replaces = kept()?.endpoint ?? "";
  const { id } = await post("/api/push", { endpoint, p256dh: keys.p256dh, auth: keys.auth, browser: navigator.userAgent, replaces });
  localStorage.setItem(KEPT, JSON.stringify({ id, endpoint, key }));
  draw();
  return true;
}

export async function unsubscribe() {
  const before = kept();
  localStorage.removeItem(KEPT);
  await (await (await manager())?.getSubscription())?.unsubscribe();
  if (before) await post(`/api/push/${before.id}/remove`, {}).catch(() => {}); // it may be gone
  draw();
}

// The browser may have replaced its subscription, and the hive its key.
export async function renew() {
  const before = kept();
  if (!before || !key) return;
  const found = await (await manager())?.getSubscription();
  if (found?.endpoint !== before.endpoint || before.key !== key) await subscribe();
}

// Marks this browser in the list of subscribed browsers.
function draw(problem = "") {
  if (!area) return;
  const before = kept();
  const items = [...document.querySelectorAll("[data-push-id]")];
  for (const item of items) item.querySelector("[data-push-mine]").hidden = Number(item.dataset.pushId) !== before?.id;
  area.querySelector("button").hidden = before !== null;
  const said = before ? "This browser is subscribed." : problem;
  if (said || before) area.querySelector("span").replaceChildren(...coded(said));
  area.hidden = false;
}

// Unsubscribes this browser if the operator removed it in the list. A subscription that the browser
// has replaced is a different one: renew() or the service worker reports it to the hive.
async function endRemoved() {
  const before = kept();
  if (!before || document.querySelector(`[data-push-id="${Number(before.id)}"]`)) return;
  const found = await (await manager())?.getSubscription();
  if (found && found.endpoint !== before.endpoint) return;
  localStorage.removeItem(KEPT);
  draw();
  await found?.unsubscribe();
}

export function watchPush(ask) {
  if (!area) return;
  endRemoved();
  draw();
  document.addEventListener("hive:swapped", () => draw());
  area.querySelector("button").addEventListener("click", async () => {
    const problem = await ask();
    if (problem) draw(problem);
    else location.reload();
  });
  document.addEventListener("submit", (event) => {
    const item = event.target.closest("[data-push-id]");
    if (!item || Number(item.dataset.pushId) !== kept()?.id) return;
    event.preventDefault();
    unsubscribe().then(() => location.reload());
  }, { capture: true });
}
