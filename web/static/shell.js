// Registers the service worker, once a page has loaded: it is in nobody's way. Browsers
// have none where the address is not secure (http, and not of this machine).

export const registered = new Promise((resolve) => {
  if (!("serviceWorker" in navigator)) return resolve(null);
  const register = () =>
    navigator.serviceWorker.register("/worker.js", { updateViaCache: "none" }).then(resolve, () => resolve(null));
  if (document.readyState === "complete") register();
  else window.addEventListener("load", register, { once: true });
});
