// What is done on a page before its modules have attached their listeners is not lost. A
// classic script in the head: it is there from the first paint, keeps what happens, and
// lets it happen again once all modules have run. What the browser does by itself (text,
// ticks, links, forms that a click sends) it does at once and only once.

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

  // A box is ticked by the click that happens again; nothing else does what it did already.
  const isTick = ({ type, target }) => type === "click" && target.matches(BOX);
  const isOfTick = ({ type, target }) => ["input", "change"].includes(type) && target.matches(BOX);
  const cancel = (event) => event.preventDefault();

  // A shortcut that led into a field was followed by text for it.
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
