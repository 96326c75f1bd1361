// The running turn on an agent's page: each event as one line of text.

const SHOWN = 300;
const LONGEST = 4000;
const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;

// Hidden characters by name, as the server does it; line ends and tabs stay.
function visible(text) {
  return text.replace(HIDDEN, (char) => {
    if (char === "\n" || char === "\t") return char;
    const code = char.codePointAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return `\u2039U+${code.toString(16).toUpperCase().padStart(4, "0")}\u203a`;
  });
}

// Events say what they are by "kind" and "data": take the text out of the usual
// places, and show anything else as JSON.
function wordsOf(data) {
  if (typeof data === "string") return data;
  if (typeof data?.tool === "string") return `${data.tool}: ${data.reason ?? ""}`;
  if (typeof data?.text === "string") return data.text;
  if (typeof data?.name === "string") {
    const rest = data.input ?? data.args;
    return rest === undefined ? data.name : `${data.name} ${JSON.stringify(rest)}`;
  }
  return JSON.stringify(data);
}

export function showTurnEvent(event) {
  const list = document.getElementById("turn");
  if (!list || event.agent !== list.dataset.agent) return;
  list.querySelector(".empty")?.remove();
  const { kind = "event", data = event.data } = event.data;
  const item = document.createElement("li");
  const tag = document.createElement("span");
  tag.className = "tag";
  tag.textContent = String(kind).replaceAll("_", " ");
  const text = visible(wordsOf(data) ?? "");
  const body = document.createElement("span");
  body.className = "body";
  body.textContent =
    text.length > LONGEST ? `${text.slice(0, LONGEST)} … (${text.length - LONGEST} more characters)` : text;
  item.append(tag, " ", body);
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  while (list.children.length > SHOWN) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}
