// From keys to actions. What a key does is written in the dialog that shows all keys, which the
// server fills with the person's own; the rest of the page only repeats it.

import { kind } from "./page.js";

const TYPING = "textarea, select, [contenteditable=true], input:not([type=radio]):not([type=checkbox])";
const PRESSING = "button, summary, a";
const STEPS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", " "];

export const isTyping = (element) => element.matches?.(TYPING) ?? false;

function rows() {
  return [...document.querySelectorAll("#keys [data-action]")]
    .filter((row) => row.dataset.kinds.split(" ").includes(kind()));
}

function actionFor(event) {
  const all = rows();
  const named = (key) => all.find((row) => row.dataset.key === key)?.dataset.action;
  // With caps lock, or on a keyboard whose digits need Shift, the key that was meant.
  const digit = event.shiftKey ? null : /^Digit(\d)$/.exec(event.code)?.[1];
  return named(event.key)
    ?? (event.getModifierState("CapsLock") ? named(event.key.toLowerCase()) : null)
    ?? (digit ? named(digit) : null);
}

/** Do what the page itself does with a key: press what has the focus, step through radios. */
function isNative(event) {
  if (event.key === "Enter") return Boolean(event.target.closest(PRESSING));
  if (event.key === " ") return event.target.matches("button, summary, input");
  return STEPS.includes(event.key) && event.target.matches('input[type="radio"]');
}

// In a field that nobody has written in there is nothing of its own to take back.
document.addEventListener("input", (event) => { event.target.dataset.written = ""; });

/** Call the function of an action when its key is pressed, unless somebody is typing. */
export function listenForKeys(acts) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.repeat || event.isComposing) return;
    if (event.key === "Escape") return acts.leave(event);
    const withControl = (event.ctrlKey || event.metaKey) && !event.altKey;
    if (document.querySelector("dialog[open]")) return;
    let action = null;
    const isFree = !isTyping(event.target) || !("written" in event.target.dataset);
    if (withControl && event.key === "Enter") action = "send";
    else if (withControl) action = isFree && event.key === "z" && !event.shiftKey ? "undo" : null;
    else if (isTyping(event.target) || event.altKey) return;
    else if (!isNative(event)) action = actionFor(event);
    const act = acts[action] ?? acts.other;
    if (action && act(action, event) !== false) event.preventDefault();
  });
}

/** Say whether a key picks a completion that is not there. */
function isBeyond(action) {
  const place = /^pick-(\d)$/.exec(action)?.[1];
  return place && Number(place) > document.querySelectorAll("[data-place]").length;
}

/** Show the keys of this page, and only these. */
export function showKeys() {
  const dialog = document.getElementById("keys");
  if (!dialog) return false;
  const shown = new Set(rows().filter(({ dataset: { action } }) => !isBeyond(action)));
  for (const row of dialog.querySelectorAll("[data-action]")) row.hidden = !shown.has(row);
  dialog.showModal();
}
