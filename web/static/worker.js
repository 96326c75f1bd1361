// The service worker: shows notifications that were pushed, and a page of its own where
// the dashboard does not answer. It keeps SHELL.files, which hive-web puts before this
// text, and nothing else: no page and no answer of the hive is ever in its cache.

const CACHE = `hive-shell-${SHELL.version}`;
const [OFFLINE] = SHELL.files;

async function keep() {
  const cache = await caches.open(CACHE);
  // Without the cookie: what is kept is what a stranger gets.
  await cache.addAll(SHELL.files.map((file) => new Request(file, { cache: "reload", credentials: "omit" })));
}

async function forgetOlder() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}

// The answer of hive-web whatever it says; the kept file only if there is none.
async function orKept(event, file) {
  try {
    return (await event.preloadResponse) ?? (await fetch(event.request));
  } catch {
    return (await caches.match(file)) ?? Response.error();
  }
}

self.addEventListener("install", (event) => event.waitUntil(keep().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(forgetOlder()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (request.mode === "navigate") event.respondWith(orKept(event, OFFLINE));
  else if (pathname !== OFFLINE && SHELL.files.includes(pathname)) event.respondWith(orKept(event, pathname));
});
