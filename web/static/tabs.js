// Shows parts of an agent's page, which are links to sections without this script, as tabs. The
// address names the open one, so that a reload keeps it.

const list = document.querySelector("[data-tabs]");
const tabs = [...(list?.querySelectorAll("a") ?? [])];
const panelOf = (tab) => document.getElementById(tab.hash.slice(1));

function select(chosen) {
  for (const tab of tabs) {
    const isChosen = tab === chosen;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
    panelOf(tab).hidden = !isChosen;
  }
}

// Opens a folded section when its part is requested.
function open(tab) {
  select(tab);
  const folded = panelOf(tab).querySelector("details");
  if (folded) folded.open = true;
}

function go(tab) {
  open(tab);
  history.replaceState(null, "", tab.hash);
}

function move(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const at = tabs.indexOf(event.target);
  const to = step ? (at + step + tabs.length) % tabs.length : { Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined || at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  tabs[to].focus();
  go(tabs[to]);
}

// The part that an address names, or that contains the named element.
function named() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  return target ? tabs.find((tab) => panelOf(tab).contains(target)) : undefined;
}

function arrive() {
  const tab = named();
  if (!tab) return;
  open(tab);
  list.scrollIntoView();
}

if (list) {
  list.setAttribute("role", "tablist");
  for (const tab of tabs) {
    const panel = panelOf(tab);
    tab.id = `${panel.id}-tab`;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    panel.querySelector("h2")?.classList.add("sr"); // the tab says it
    tab.addEventListener("click", (event) => {
      if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      go(tab);
    });
  }
  list.addEventListener("keydown", move);
  addEventListener("hashchange", arrive);
  select(tabs[0]);
  arrive();
  addEventListener("load", arrive); // what is above it has its size by then
}
