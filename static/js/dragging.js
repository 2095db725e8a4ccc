// Dragging a completion to a tier or off the board, with a mouse, a pen or a finger.

import { drop } from "./ranking.js";

const FAR_ENOUGH = 6; // pixels, so that a click stays a click
const EDGE = 56; // pixels from the edge of the window where the page begins to scroll
const FASTEST = 1.5; // pixels a millisecond that it scrolls, at the very edge
const BESIDE = 24; // pixels around the board that still belong to it

let drag = null; // {item, pointer, isOnBoard, at: {x, y}, ghost, target, frame}

function tiersOfBoard() {
  return [...document.querySelectorAll("[data-tiers] .tier")];
}

const pool = () => document.querySelector("[data-place]")?.parentElement;

function isWithin(element, x, y, beside = 0) {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return x >= left - beside && x <= right + beside && y >= top - beside && y <= bottom + beside;
}

/** Return where a drop at a point would put it: into a tier (a tie), before one, or off the board. */
function targetAt(x, y) {
  const rows = tiersOfBoard();
  if (!rows.length) return null;
  if (!isWithin(rows[0].parentElement, x, y, BESIDE)) {
    return drag.isOnBoard && isWithin(pool(), x, y) ? { off: true, element: pool() } : null;
  }
  const filled = rows.filter((row) => row.childElementCount);
  for (const [index, row] of filled.entries()) {
    const { top, bottom, height } = row.getBoundingClientRect();
    if (y < top + height / 4) return { index, tie: false, element: row };
    if (y <= bottom - height / 4) return { index, tie: true, element: row };
  }
  return { index: filled.length, tie: false, element: rows[Math.min(filled.length, rows.length - 1)] };
}

function showTarget(target) {
  for (const element of document.querySelectorAll("[data-drop]")) delete element.dataset.drop;
  if (target) target.element.dataset.drop = target.off ? "off" : target.tie ? "into" : "before";
}

function begin(event) {
  drag.ghost = document.createElement("div");
  drag.ghost.className = event.pointerType === "touch" ? "ghost ghost--finger" : "ghost";
  drag.ghost.textContent = String.fromCharCode(64 + drag.item);
  drag.ghost.setAttribute("aria-hidden", "true");
  document.body.append(drag.ghost);
  document.body.classList.add("is-dragging");
  getSelection()?.removeAllRanges();
  follow(event);
}

function follow(event) {
  drag.at = { x: event.clientX, y: event.clientY };
  aim();
  if (speedAt(drag.at.y)) drag.frame ??= requestAnimationFrame((now) => scrollOn(now, now));
}

function aim() {
  const { x, y } = drag.at;
  drag.ghost.style.translate = `${x}px ${y}px`;
  drag.target = targetAt(x, y);
  showTarget(drag.target);
}

/** Return how fast the page scrolls while the pointer rests at this height: the nearer the edge, the faster. */
function speedAt(y) {
  if (y < EDGE) return (FASTEST * Math.max(y, 0)) / EDGE - FASTEST;
  const below = innerHeight - y;
  return below < EDGE ? FASTEST - (FASTEST * Math.max(below, 0)) / EDGE : 0;
}

/** Scroll for as long as the pointer rests at the edge: the board may lie screens below a card. */
function scrollOn(now, before) {
  const speed = speedAt(drag.at.y);
  drag.frame = speed ? requestAnimationFrame((next) => scrollOn(next, now)) : null;
  if (!speed) return;
  scrollBy({ top: speed * (now - before), behavior: "instant" });
  aim();
}

function end() {
  if (!drag) return;
  cancelAnimationFrame(drag.frame);
  drag.ghost?.remove();
  document.body.classList.remove("is-dragging");
  showTarget(null);
  drag = null;
}

document.addEventListener("pointerdown", (event) => {
  const source = event.target.closest?.("[data-drag]");
  // A second finger neither moves what the first one holds nor lets go of it.
  if (!source || event.button !== 0 || !event.isPrimary) return;
  end();
  drag = {
    item: Number(source.dataset.drag),
    pointer: event.pointerId,
    isOnBoard: Boolean(source.closest("[data-board]")),
    at: { x: event.clientX, y: event.clientY },
    ghost: null,
    target: null,
    frame: null,
  };
});

document.addEventListener("pointermove", (event) => {
  if (event.pointerId !== drag?.pointer) return;
  if (event.buttons === 0) return end(); // let go where no page could hear of it
  if (drag.ghost) return follow(event);
  if (Math.hypot(event.clientX - drag.at.x, event.clientY - drag.at.y) >= FAR_ENOUGH) begin(event);
});

document.addEventListener("pointerup", (event) => {
  if (event.pointerId !== drag?.pointer) return;
  const { item, ghost, target } = drag;
  end();
  if (!ghost) return;
  // The click that follows belongs to the drag.
  const swallow = (click) => { click.stopPropagation(); click.preventDefault(); };
  document.addEventListener("click", swallow, { capture: true, once: true });
  setTimeout(() => document.removeEventListener("click", swallow, { capture: true }), 0);
  if (target) drop(item, target);
});

document.addEventListener("pointercancel", (event) => { if (event.pointerId === drag?.pointer) end(); });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") end(); });
document.addEventListener("selectstart", (event) => { if (drag?.ghost) event.preventDefault(); });
// Everything lies elsewhere then, and what comes with another item is not what was picked up.
matchMedia("(orientation: portrait)").addEventListener("change", end);
document.addEventListener("htmx:beforeSwap", end);
