// Copies a block of code on hover or tap: one button for all blocks, placed over the block, so that
// nothing is inserted into agents' text.

const SAID_MS = 1500;

const button = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "Copy", hidden: true });
button.dataset.testid = "copy";
let block = null;
let timer = 0;

function show(found) {
  block = found;
  clearTimeout(timer);
  const at = block.getBoundingClientRect();
  button.textContent = "Copy";
  button.hidden = false;
  const host = block.closest("dialog") ?? document.body; // above what is modal
  if (button.parentElement !== host) host.append(button);
  button.style.top = `${at.top + 4}px`;
  button.style.left = `${at.right - button.offsetWidth - 4}px`;
}

function hide() {
  button.hidden = true;
  block = null;
}

async function copy() {
  const done = await navigator.clipboard.writeText(block.innerText).then(() => true, () => false);
  button.textContent = done ? "Copied" : "Could not copy";
  timer = setTimeout(hide, SAID_MS);
}

if (navigator.clipboard) {
  document.addEventListener("pointerover", ({ target }) => {
    const found = target.closest?.(".md pre");
    if (found && found !== block) show(found);
    else if (!found && block && target !== button) hide();
  });
  addEventListener("scroll", hide, { capture: true, passive: true });
  button.addEventListener("click", copy);
}
