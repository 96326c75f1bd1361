// The service worker: shows push notifications, and an offline page if the dashboard does not
// answer. It caches SHELL.files, which hive-web prepends to this script, and nothing else: no page
// or response of the hive is ever in its cache.

const CACHE = `hive-shell-${SHELL.version}`;
const [OFFLINE] = SHELL.files;
const ICON = SHELL.files.find((file) => file.endsWith("/icon-192.png"));

async function keep() {
  const cache = await caches.open(CACHE);
  // Without the cookie, so that the cache has only what anyone gets.
  await cache.addAll(SHELL.files.map((file) => new Request(file, { cache: "reload", credentials: "omit" })));
}

async function forgetOlder() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}

// Any response of hive-web; the cached file only if there is none.
async function orKept(event, file) {
  try {
    return (await event.preloadResponse) ?? (await fetch(event.request));
  } catch {
    return (await caches.match(file)) ?? Response.error();
  }
}

// If the browser supports it, requests that are never cached do not wake the worker.
async function leaveAlone(event) {
  const places = ["/api/*", "/fragments/*", "/agents/:name/api/*"];
  await event.addRoutes?.(places.map((urlPattern) => ({ condition: { urlPattern }, source: "network" })));
}

self.addEventListener("install", (event) => {
  event.waitUntil(leaveAlone(event).catch(() => {}));
  event.waitUntil(keep().then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => event.waitUntil(forgetOlder()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (request.mode === "navigate") event.respondWith(orKept(event, OFFLINE));
  else if (pathname !== OFFLINE && SHELL.files.includes(pathname)) event.respondWith(orKept(event, pathname));
});

// --- notifications ------------------------------------------------------------------

const MANY_MS = 60_000;

// A page of the dashboard, whatever the notification contains.
function pageOf(path) {
  try {
    const { origin, href } = new URL(String(path ?? "/"), location.origin);
    return origin === location.origin ? href : location.origin;
  } catch {
    return location.origin;
  }
}

// A push must be shown. An open page may have just shown the same in more detail.
async function show(data) {
  let note = null;
  try {
    note = data?.json();
  } catch {
    // not JSON: shown without text
  }
  const tag = String(note?.tag ?? "hive").slice(0, 200);
  const [before] = await self.registration.getNotifications({ tag });
  const isTold = before !== undefined && Date.now() - before.timestamp < MANY_MS;
  await self.registration.showNotification(isTold ? before.title : String(note?.title ?? "The hive has news").slice(0, 500), {
    body: isTold ? before.body : "",
    tag,
    renotify: !isTold,
    icon: ICON,
    badge: ICON,
    data: { path: pageOf(note?.path) },
  });
}

// A tab with the page comes to the front; other tabs stay on their pages, which may have unsent
// text.
async function open(place) {
  const tabs = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = tabs.find(({ url }) => url === place);
  return there ? there.focus() : self.clients.openWindow(place);
}

self.addEventListener("push", (event) => event.waitUntil(show(event.data)));

// --- the subscription ----------------------------------------------------------------

function found(page, form) {
  return page.match(form)?.[1] ?? "";
}

// The browser replaced or ended its subscription: subscribe again, and inform the hive. After a
// logout this is not possible; the next page does it then (push.js).
async function subscribeAgain({ oldSubscription: before, newSubscription: made }) {
  const page = await (await fetch("/notifications", { credentials: "same-origin" })).text();
  const key = found(page, /<body[^>]* data-push="([\w-]+)"/);
  const csrf = found(page, /<input type="hidden" name="csrf" value="([\w-]+)"/);
  if (!key || !csrf) return;
  const bytes = Uint8Array.from(atob(key.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  const push = self.registration.pushManager;
  const now = made ?? (await push.getSubscription()) ?? (await push.subscribe({ userVisibleOnly: true, applicationServerKey: bytes }));
  const { endpoint, keys } = now.toJSON();
  const fields = { endpoint, p256dh: keys.p256dh, auth: keys.auth, browser: navigator.userAgent, replaces: before?.endpoint ?? "" };
  await fetch("/api/push", {
    method: "POST",
    credentials: "same-origin",
    headers: { Accept: "application/json", "X-CSRF-Token": csrf },
    body: new URLSearchParams(fields),
  });
}

self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(subscribeAgain(event)));

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(pageOf(event.notification.data?.path)));
});
