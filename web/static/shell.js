// Registers the service worker after the page has loaded, so that it delays nothing. Browsers do
// not support it on insecure addresses (http, except for this machine).

export const registered = new Promise((resolve) => {
  if (!("serviceWorker" in navigator)) return resolve(null);
  const register = () =>
    navigator.serviceWorker.register("/worker.js", { updateViaCache: "none" }).then(resolve, () => resolve(null));
  if (document.readyState === "complete") register();
  else window.addEventListener("load", register, { once: true });
});
