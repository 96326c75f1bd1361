// Desktop notifications: a new approval, a new question, a message to the operator, an agent with a
// problem and a failed deployment each notify once. Only live events notify, so a page load never
// does; of several tabs, the first to claim an item notifies. Mute is stored in this browser.

import { EVENT } from "./events.js";
import { isPushed, renew, subscribe, unsubscribe, watchPush } from "./push.js";
import { registered } from "./shell.js";
import { visible } from "./text.js";
import { toast } from "./toast.js";

const MUTED = "hive-muted";
const KEPT_MS = 7 * 24 * 3600 * 1000;

const bell = document.getElementById("bell");
const why = document.getElementById("bell-why");

const STUCK = new Set(["failed", "needs_login", "over_budget", "no_credit", "disk_full"]);

// The first words of its subject; without them it is still shown.
const BODY = 120;
const BODY_MS = 3000;

async function asked(place, read) {
  try {
    const answer = await fetch(place, { credentials: "same-origin", signal: AbortSignal.timeout(BODY_MS) });
    const text = visible(read(await answer.json()) ?? "");
    return text.length > BODY ? `${text.slice(0, BODY)}…` : text;
  } catch {
    return "";
  }
}

const approval = (id, name) => () =>
  asked(`/api/approvals?before=${Number(id) + 1}&limit=1`, ({ approvals }) => approvals[0]?.[name]);

const KINDS = {
  [EVENT.AGENT_STATE]: (event) => STUCK.has(event.data.state) && ({
    key: `trouble-${event.agent}-${event.data.state}`,
    title: `${event.agent}: ${event.data.state.replaceAll("_", " ")}`,
    link: `/agents/${encodeURIComponent(event.agent)}`,
    body: () => visible(event.data.detail ?? ""),
  }),
  [EVENT.APPROVAL_CHANGED]: (event) => event.data.state === "failed" && ({
    key: `failed-${event.data.approval}`,
    title: `The deployment of ${event.agent} failed`,
    link: `/approvals/${Number(event.data.approval)}`,
    body: approval(event.data.approval, "reason"),
  }),
  [EVENT.APPROVAL_CREATED]: (event) => ({
    key: `approval-${event.data.approval}`,
    title: `${event.agent} needs your approval`,
    link: `/approvals/${Number(event.data.approval)}`,
    body: approval(event.data.approval, "description"),
  }),
  [EVENT.QUESTION_ASKED]: (event) => event.data.to === "operator" && ({
    key: `question-${event.data.question}`,
    title: `${event.agent} has a question for you`,
    link: `/#question-${Number(event.data.question)}`,
    body: () => asked("/api/questions", ({ questions }) => questions.find((one) => one.id === event.data.question)?.question),
  }),
  [EVENT.MESSAGE_SENT]: (event) => event.data.recipient === "operator" && ({
    key: `message-${event.data.id}`,
    title: `${event.data.sender} sent you a message`,
    link: `/messages/${Number(event.data.id)}`,
    body: () => asked(`/api/messages?before=${Number(event.data.id) + 1}&limit=1&clip=${BODY + 1}`, ({ messages }) => messages[0]?.body),
  }),
};

function blocked() {
  if (!window.isSecureContext)
    return "Notifications need https, or http on localhost: browsers refuse them on this address.";
  if (!("Notification" in window)) return "This browser does not support notifications.";
  if (Notification.permission === "denied")
    return "Notifications are blocked for this site in the browser's settings.";
  return null;
}

function muted() {
  return localStorage.getItem(MUTED) === "yes";
}

function draw() {
  const reason = blocked();
  const on = !reason && Notification.permission === "granted" && !muted();
  const off = !reason && Notification.permission === "granted" && muted();
  bell.dataset.state = reason ? "blocked" : on ? "on" : off ? "muted" : "off";
  document.getElementById("bell-state").textContent = bell.dataset.state;
  bell.setAttribute("aria-pressed", String(on));
  bell.hidden = false;
}

function explain(text) {
  why.textContent = text ?? "";
  why.hidden = !text;
}

async function pressed() {
  const reason = blocked();
  if (reason) return explain(why.hidden ? reason : null);
  if (Notification.permission === "granted" && !muted()) {
    localStorage.setItem(MUTED, "yes");
    draw();
    return unsubscribe();
  }
  const problem = await turnOn();
  explain(blocked());
  if (problem && Notification.permission === "granted") toast({ text: `${problem} It notifies only while a page of the hive is open.`, failed: true });
}

// Asks for permission, unmutes and subscribes; returns why this browser cannot use push.
async function turnOn() {
  if (!blocked() && Notification.permission !== "granted") await Notification.requestPermission();
  localStorage.setItem(MUTED, "no");
  draw();
  if (blocked() || Notification.permission !== "granted") return blocked() ?? "Notifications were not allowed.";
  try {
    if (await subscribe()) toast({ text: "This browser is subscribed to notifications.", link: ["/notifications", "All browsers"] });
    return null;
  } catch (error) {
    return `This browser was not subscribed: ${visible(String(error.message)).slice(0, 300)}`;
  }
}

// The items already notified, for all tabs of this browser. Not in localStorage: its writes reach
// tabs of other processes late, so two tabs could both be the first.
const told = new Promise((resolve, reject) => {
  const request = indexedDB.open("hive-notified", 1);
  request.onupgradeneeded = () =>
    request.result.createObjectStore("told").createIndex("at", "at");
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
told.catch(() => {}); // handled where it is awaited

// True for the one tab that may notify, and if nothing can be stored.
async function claim(key) {
  let store;
  try {
    store = (await told).transaction("told", "readwrite").objectStore("told");
  } catch {
    return true;
  }
  const forgotten = IDBKeyRange.upperBound(Date.now() - KEPT_MS);
  store.index("at").openCursor(forgotten).onsuccess = ({ target }) => {
    target.result?.delete();
    target.result?.continue();
  };
  const claimed = store.add({ at: Date.now() }, key);
  return new Promise((resolve) => {
    claimed.onsuccess = () => resolve(true);
    claimed.onerror = (event) => {
      event.preventDefault(); // told by another tab: no error of this page
      resolve(claimed.error.name !== "ConstraintError");
    };
  });
}

let before = Promise.resolve();

// One after another, in the order of the events.
export function notify(event) {
  before = before.then(() => tell(event));
}

async function show(item, body) {
  const registration = await registered;
  await registration?.showNotification(item.title, { body, tag: item.key, icon: new URL("icon-192.png", import.meta.url).pathname, data: { path: item.link } });
  return Boolean(registration);
}

async function tell(event) {
  const item = KINDS[event.kind]?.(event);
  if (!item || blocked() || Notification.permission !== "granted" || muted()) return;
  if (!(await claim(`${item.key}@${event.at}`))) return;
  const body = await item.body();
  // A push notification has the same tag: the service worker shows both as one.
  if (isPushed() && (await show(item, body))) return;
  let shown = null;
  try {
    shown = new Notification(item.title, { body, tag: item.key });
  } catch {
    if (await show(item, body)) return; // phone browsers let only a service worker do it
    return explain("This browser cannot show notifications from web pages.");
  }
  shown.onclick = () => {
    window.focus();
    shown.close();
    location.assign(item.link);
  };
}

bell.addEventListener("click", pressed);
window.addEventListener("storage", draw); // muted in another tab
draw();
watchPush(turnOn);
if (!blocked() && Notification.permission === "granted" && !muted()) renew().catch(() => {}); // at the next page again
