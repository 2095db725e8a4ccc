// The tier board of a ranking. The radios of the form stay the truth: every move reads the tiers
// from them and writes them back, so keys, buttons and dragging cannot differ.

import { announce, answer, work } from "./page.js";
import { append, down, join, putBefore, putInto, remove, split, tierOf, up } from "./tiers.js";
import { gettext, say } from "./words.js";

const MOVES = { up, down, join, split, remove };
const ORDINALS = ["1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th"].map(gettext);

let current = null; // the number of the completion that is picked up

const board = () => work()?.querySelector("[data-board]");
const cards = () => [...(work()?.querySelectorAll("[data-place]") ?? [])];
const radios = (item) => [...answer().querySelectorAll(`[name="tier-${item}"]`)];
const letter = (item) => String.fromCharCode(64 + item);
const letters = (items) => items.map(letter).join(", ");
const tiedWith = (items) => (items.length ? say(", tied with {letters}", { letters: letters(items) }) : "");

export const isRanking = () => Boolean(board());

function readTiers() {
  const byPlace = new Map();
  cards().forEach((_, index) => {
    const place = Number(radios(index + 1).find((radio) => radio.checked)?.value);
    if (place) byPlace.set(place, [...(byPlace.get(place) ?? []), index + 1]);
  });
  return [...byPlace.keys()].sort((a, b) => a - b).map((place) => byPlace.get(place));
}

function writeTiers(tiers) {
  cards().forEach((_, index) => {
    const place = tierOf(tiers, index + 1) + 1;
    for (const radio of radios(index + 1)) radio.checked = Number(radio.value) === place;
  });
  answer().dispatchEvent(new Event("change", { bubbles: true }));
}

const unplaced = (tiers) => cards().map((_, at) => at + 1).filter((item) => tierOf(tiers, item) < 0);

// Showing

function chip(item, tiers) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.dataset.drag = item;
  button.dataset.pick = item;
  button.setAttribute("aria-pressed", String(item === current));
  const tied = tiers[tierOf(tiers, item)].filter((other) => other !== item);
  button.setAttribute("aria-label", `${letter(item)}, ${ORDINALS[tierOf(tiers, item)]}${tiedWith(tied)}`);
  const name = document.createElement("strong");
  name.textContent = letter(item);
  const text = document.createElement("span");
  text.className = "chip__text";
  text.textContent = cards()[item - 1].querySelector("[data-completion]").textContent.trim().slice(0, 80);
  button.append(name, text);
  return button;
}

function row(index, tiers) {
  const line = document.createElement("li");
  line.className = "tier";
  line.dataset.tier = index;
  if (!tiers[index]) line.setAttribute("aria-hidden", "true"); // a place to drop something, and nothing to read
  line.append(...(tiers[index] ?? []).map((item) => chip(item, tiers)));
  return line;
}

function orderText(tiers) {
  const order = tiers.map((tier) => tier.map(letter).join(" = ")).join("  >  ");
  const left = unplaced(tiers);
  if (!order) return "";
  return left.length ? `${order}  ·  ${say("to place: {letters}", { letters: letters(left) })}` : order;
}

/** Draw the board and the cards as the radios have it. */
export function showBoard() {
  const place = board()?.querySelector("[data-tiers]");
  if (!place) return;
  const tiers = readTiers();
  const focused = document.activeElement?.closest?.(".chip")?.dataset.pick;
  place.replaceChildren(...cards().map((_, index) => row(index, tiers)));
  if (focused) place.querySelector(`[data-pick="${current ?? focused}"]`)?.focus({ preventScroll: true });
  cards().forEach((card, index) => {
    const at = tierOf(tiers, index + 1);
    card.toggleAttribute("data-current", index + 1 === current);
    card.toggleAttribute("data-placed", at >= 0);
    card.toggleAttribute("data-missing", false);
    const button = card.querySelector("[data-pick]");
    button.firstElementChild.textContent = at < 0 ? gettext("Place") : ORDINALS[at];
    button.setAttribute("aria-label", at < 0 ? say("Place {letter} next", { letter: letter(index + 1) }) : say("Pick up {letter}, {place}", { letter: letter(index + 1), place: ORDINALS[at] }));
  });
  for (const tool of board().querySelectorAll("[data-move]")) {
    tool.setAttribute("aria-disabled", String(current === null));
  }
  const output = work().querySelector("[data-order]");
  output.textContent = orderText(tiers);
  output.classList.remove("error");
}

function whereIs(item, tiers) {
  const at = tierOf(tiers, item);
  if (at < 0) return say("{letter} is off the board.", { letter: letter(item) });
  const tied = tiers[at].filter((other) => other !== item);
  return `${say("{letter} is {place}", { letter: letter(item), place: ORDINALS[at] })}${tiedWith(tied)}.`;
}

function change(tiers) {
  writeTiers(tiers);
  showBoard();
  const left = unplaced(tiers);
  announce(`${whereIs(current, tiers)} ${left.length ? say("To place: {letters}.", { letters: letters(left) }) : gettext("All are placed.")}`);
}

// Acts

/** Place a completion below the others; one that is placed is picked up. */
export function pick(item) {
  if (!isRanking() || item > cards().length) return false;
  const tiers = readTiers();
  current = item;
  if (tierOf(tiers, item) < 0) {
    change(append(tiers, item));
  } else {
    showBoard();
    announce(`${whereIs(item, tiers)} ${gettext("Picked up.")}`);
  }
}

/** Pick by a key from anywhere in the page. Where all are placed then, Enter sends. */
export function pickByKey(item) {
  const isPicked = pick(item);
  // The focus came to this button when something had yet to be placed.
  const isLeft = document.activeElement?.closest?.("[data-place] [data-pick]");
  if (isLeft && isRanking() && !unplaced(readTiers()).length) work().focus({ preventScroll: true });
  return isPicked;
}

/** Move what is picked up. */
export function move(name) {
  if (!isRanking() || current === null) return false;
  change(MOVES[name](readTiers(), current));
}

/** Pick up the completion before or after the one that is. */
export function step(by) {
  if (!isRanking()) return false;
  const order = readTiers().flat();
  if (!order.length) return false;
  const at = order.indexOf(current);
  current = order[Math.min(order.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  showBoard();
  announce(`${whereIs(current, readTiers())} ${gettext("Picked up.")}`);
}

/** Put a completion where it was dropped: before a tier, into one, or off the board. */
export function drop(item, { index, tie, off }) {
  current = item;
  work().focus({ preventScroll: true }); // so that the keys go on from the page
  const tiers = readTiers();
  change(off ? remove(tiers, item) : (tie ? putInto : putBefore)(tiers, item, index));
}

/** Say what keeps a ranking from being sent and go there. Return whether something does. */
export function isIncomplete() {
  if (!isRanking()) return false;
  const left = unplaced(readTiers());
  if (!left.length) return false;
  const output = work().querySelector("[data-order]");
  output.textContent = say("Not sent. Still to place: {letters}.", { letters: letters(left) });
  output.classList.add("error");
  announce(output.textContent);
  for (const item of left) cards()[item - 1].toggleAttribute("data-missing", true);
  cards()[left[0] - 1].querySelector("[data-pick]").focus();
  return true;
}

export function beginRanking() {
  current = null;
  if (!isRanking()) return;
  // The radios are out of sight, where the browser could not point at one that is missing.
  answer().noValidate = true;
}

document.addEventListener("click", (event) => {
  const picked = event.target.closest?.("[data-pick]");
  if (picked) pick(Number(picked.dataset.pick));
  const tool = event.target.closest?.("[data-move]");
  if (tool) move(tool.dataset.move);
  // After the mouse the keys go on from the page, so that Enter sends.
  if ((picked || tool) && event.detail > 0) work().focus({ preventScroll: true });
});
