// The settings for colours and time zone take effect immediately, and the server stores them for
// the next page. Without this script the form has a button.

import { ages } from "./times.js";
import { toast } from "./toast.js";

const root = document.documentElement;

async function keep(form) {
  try {
    const answer = await fetch(form.action, {
      method: "POST", body: new FormData(form), headers: { Accept: "application/json" }, credentials: "same-origin",
    });
    if (answer.ok) return;
  } catch {
    // said below
  }
  toast({ text: "The setting was not saved; it applies to this page only.", failed: true });
}

export function watchDisplay() {
  const form = document.getElementById("display");
  form?.addEventListener("change", () => {
    const chosen = new FormData(form);
    root.dataset.theme = chosen.get("theme");
    root.dataset.clock = chosen.get("clock");
    ages();
    document.dispatchEvent(new Event("hive:display"));
    keep(form);
  });
}
