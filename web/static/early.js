// Keeps events that occur before the page's modules have attached their listeners. A classic script
// in the head: it runs before the first paint, records events, and replays them once all modules
// have run. Default actions of the browser (text, ticks, links, forms submitted by a click) happen
// immediately and only once.

{
  const KINDS = ["keydown", "click", "input", "change", "toggle"];
  const BOX = "input[type=checkbox]";
  const TYPED = "textarea, input:not([type=checkbox], [type=radio], [type=file])";
  const kept = [];

  const keep = (event) => {
    if (!event.isTrusted) return;
    event.stopImmediatePropagation(); // some modules may listen already: nothing is heard twice
    kept.push(event);
  };

  // The replayed click ticks a box; no other default action is repeated.
  const isTick = ({ type, target }) => type === "click" && target.matches(BOX);
  const isOfTick = ({ type, target }) => ["input", "change"].includes(type) && target.matches(BOX);
  const cancel = (event) => event.preventDefault();

  // Text after a shortcut that focuses a field belongs to that field.
  const type = (field, { key, ctrlKey, metaKey, altKey }) => {
    if (ctrlKey || metaKey || altKey) return;
    if (key === "Enter") return field.form?.requestSubmit();
    if (key.length !== 1) return;
    field.setRangeText(key, field.selectionStart, field.selectionEnd, "end");
    field.dispatchEvent(new InputEvent("input", { bubbles: true, data: key, inputType: "insertText" }));
  };

  const repeat = (event) => {
    const { target } = event;
    const active = document.activeElement;
    const isLed = event.type === "keydown" && !target.matches?.(TYPED) && active.matches(TYPED);
    const again = new event.constructor(event.type, event);
    if (event.type === "click" && !isTick(event)) addEventListener("click", cancel, { capture: true, once: true });
    const isUnheard = (isLed ? active : target).dispatchEvent(again);
    if (isLed && isUnheard) type(active, event);
  };

  for (const kind of KINDS) addEventListener(kind, keep, true);
  addEventListener("DOMContentLoaded", () => {
    for (const kind of KINDS) removeEventListener(kind, keep, true);
    for (const { target } of kept.filter(isTick)) target.checked = !target.checked;
    for (const event of kept) if (event.target.isConnected && !isOfTick(event)) repeat(event);
  });
}
