// Putting an answer together: parts are taken in order by key or click, and make up the text until
// somebody polishes it by hand.

import { announce, answer, work } from "./page.js";
import { gettext, say } from "./words.js";

const parts = () => [...(work()?.querySelectorAll("[data-part]") ?? [])];
const order = (part) => part.querySelector("[type=number]");
const place = (part) => Number(order(part).value) || 0;
const taken = () => parts().filter(place).sort((a, b) => place(a) - place(b));
const textOf = (part) => part.querySelector("[data-part-text]").textContent;

let current = null;

export function stepPart(by) {
  const all = parts();
  if (!all.length) return false;
  const at = all.indexOf(current);
  current = all[Math.min(all.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by))];
  for (const part of all) part.toggleAttribute("data-current", part === current);
  current.scrollIntoView({ block: "nearest" });
  announce(`${place(current) ? `${say("Taken as number {number}:", { number: place(current) })} ` : ""}${textOf(current)}`);
}

function joined() {
  const chosen = taken();
  return chosen
    .map((part, at) => textOf(part) + (at < chosen.length - 1 ? order(part).dataset.separator || "\n" : ""))
    .join("");
}

function putTogether(before) {
  const field = document.getElementById("text");
  const polished = field.value.trim() && field.value !== before;
  if (!polished) field.value = joined();
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

function take(part) {
  const before = joined();
  if (place(part)) order(part).value = "";
  else order(part).value = String(taken().length + 1);
  taken().forEach((other, at) => { order(other).value = String(at + 1); });
  show();
  putTogether(before);
  announce(`${place(part) ? say("Number {number}:", { number: place(part) }) : gettext("Put back:")} ${textOf(part)}`);
}

/** Take the part in hand, or put it back. */
export function takePart() {
  if (!parts().includes(current)) return false;
  take(current);
}

function show() {
  for (const part of parts()) part.toggleAttribute("data-taken", place(part) > 0);
}

document.addEventListener("click", (event) => {
  const part = event.target.closest?.("[data-part]");
  if (part && !event.target.matches("input")) {
    current = part;
    take(part);
  }
  if (event.target.closest?.("[data-put-together]")) {
    event.preventDefault();
    document.getElementById("text").value = joined();
    answer().dispatchEvent(new Event("filled", { bubbles: true }));
    document.getElementById("text").dispatchEvent(new Event("input", { bubbles: true }));
  }
});
document.addEventListener("filled", show);
document.addEventListener("input", (event) => { if (event.target.matches("[data-part] input")) show(); });
