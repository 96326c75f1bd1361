"""Pushes as the browser delivers them to a page's worker, and what the worker shows."""

import time
from typing import Any, Final

from playwright.sync_api import BrowserContext, Page

from checks.browser.kit import WAIT_MS
from checks.kits.patience import PATIENCE_S

# Asking for notifications while one is about to be shown makes Chromium forget it, so
# what was shown is kept, and asked for only afterwards.
RECORD: Final = """() => {
  self.told = [];
  const show = ServiceWorkerRegistration.prototype.showNotification;
  ServiceWorkerRegistration.prototype.showNotification = async function (title, rest) {
    await show.call(this, title, rest);
    self.told.push({ title, body: rest.body, tag: rest.tag, path: rest.data.path });
  };
}"""
SHOWN: Final = """async ([count, most]) => {
  for (const began = Date.now(); self.told.length < count; ) {
    if (Date.now() - began > most) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return self.told;
}"""
_ON_SCREEN: Final = """async () => {
  const found = await self.registration.getNotifications();
  return found.map(({ title, body, tag }) => ({ title, body, tag }));
}"""
# A click needs a hand: the event is made, and what it would open is kept.
_CLICK: Final = """async (tag) => {
  const [notification] = await self.registration.getNotifications({ tag });
  const opened = [];
  self.clients.openWindow = async (place) => void opened.push(place);
  const waits = [];
  const event = new NotificationEvent("notificationclick", { notification });
  event.waitUntil = (work) => waits.push(work);
  self.dispatchEvent(event);
  await Promise.allSettled(waits);
  return { opened, left: (await self.registration.getNotifications({ tag })).length };
}"""


class Delivery:
    """Delivers pushes to a page's worker, as the browser does when one has come."""

    def __init__(self, url: str, context: BrowserContext, page: Page) -> None:
        """``page`` is one of the dashboard at ``url``, and its worker is ready."""
        self._origin = url
        self.worker = context.service_workers[-1]  # older ones may still end
        self.worker.evaluate(RECORD)
        self._session = context.new_cdp_session(page)
        registrations: list[str] = []
        self._session.on(
            "ServiceWorker.workerRegistrationUpdated",
            lambda said: registrations.extend(
                one["registrationId"]
                for one in said["registrations"]
                if one["scopeURL"].startswith(url)
            ),
        )
        self._session.send("ServiceWorker.enable")
        deadline = time.monotonic() + PATIENCE_S
        while not registrations:
            assert time.monotonic() < deadline
            page.wait_for_timeout(20)
        self._registration = registrations[-1]

    def push(self, data: str) -> None:
        """Let the worker hear of a message that was decrypted to ``data``."""
        self._session.send(
            "ServiceWorker.deliverPushMessage",
            {
                "origin": self._origin,
                "registrationId": self._registration,
                "data": data,
            },
        )

    def shown(self, count: int) -> list[dict[str, Any]]:
        """Return what the worker has shown when it has so much."""
        found: list[dict[str, Any]] = self.worker.evaluate(SHOWN, [count, WAIT_MS])
        assert len(found) >= count, found
        return found

    def on_screen(self) -> list[dict[str, Any]]:
        """Return the notifications that are there now."""
        found: list[dict[str, Any]] = self.worker.evaluate(_ON_SCREEN)
        return found

    def click(self, tag: str) -> dict[str, Any]:
        """Click a notification; return what it opens, and how many of it are left."""
        clicked: dict[str, Any] = self.worker.evaluate(_CLICK, tag)
        return clicked
