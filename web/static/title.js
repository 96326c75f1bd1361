// The number of items that need the operator, in the page's title and icon as in the navigation, so
// that a hidden tab shows it too. An increase is also announced to screen readers.

const icon = document.querySelector("link[rel=icon]");
const live = document.getElementById("needs-said");
const nav = document.getElementById("nav");
const PLAIN = new URL("favicon.svg", import.meta.url).pathname;

let shown = count();
const name = document.title.slice(shown ? `(${shown}) `.length : 0);

function count() {
  return Number(nav?.querySelector("[data-needs]")?.dataset.needs ?? 0);
}

function say() {
  const number = count();
  if (number === shown) return;
  if (number > shown) live.textContent = number === 1 ? "1 thing needs you" : `${number} things need you`;
  shown = number;
  document.title = number ? `(${number}) ${name}` : name;
  icon.href = number ? `/favicon/${number}.svg` : PLAIN;
}

nav?.addEventListener("hive:swapped", say);
