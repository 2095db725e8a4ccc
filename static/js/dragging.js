// Dragging a completion to a tier, with a mouse, a pen or a finger.

import { drop } from "./ranking.js";

const FAR_ENOUGH = 6; // pixels, so that a click stays a click
const EDGE = 48; // pixels from the edge of the window where the page begins to scroll
const STEP = 12; // pixels that it scrolls in a frame
const BESIDE = 24; // pixels around the board that still belong to it

let drag = null; // {item, x, y, at, ghost, target, frame}

function tiersOfBoard() {
  return [...document.querySelectorAll("[data-tiers] .tier")];
}

/** Return where a drop at a point would put it: into a tier (a tie), or before one. */
function targetAt(x, y) {
  const rows = tiersOfBoard();
  if (!rows.length) return null;
  const box = rows[0].parentElement.getBoundingClientRect();
  const outside = x < box.left - BESIDE || x > box.right + BESIDE || y < box.top - BESIDE || y > box.bottom + BESIDE;
  if (outside) return null;
  const filled = rows.filter((row) => row.childElementCount);
  for (const [index, row] of filled.entries()) {
    const { top, bottom, height } = row.getBoundingClientRect();
    if (y < top + height / 4) return { index, tie: false, row };
    if (y <= bottom - height / 4) return { index, tie: true, row };
  }
  return { index: filled.length, tie: false, row: rows[Math.min(filled.length, rows.length - 1)] };
}

function showTarget(target) {
  for (const row of tiersOfBoard()) delete row.dataset.drop;
  if (target) target.row.dataset.drop = target.tie ? "into" : "before";
}

function begin(event) {
  const letter = String.fromCharCode(64 + drag.item);
  drag.ghost = document.createElement("div");
  drag.ghost.className = "ghost";
  drag.ghost.textContent = letter;
  drag.ghost.setAttribute("aria-hidden", "true");
  document.body.append(drag.ghost);
  document.body.classList.add("is-dragging");
  getSelection()?.removeAllRanges();
  follow(event);
}

function follow(event) {
  drag.at = { x: event.clientX, y: event.clientY };
  aim();
  drag.frame ??= requestAnimationFrame(scrollAtEdge);
}

function aim() {
  const { x, y } = drag.at;
  drag.ghost.style.translate = `${x}px ${y}px`;
  drag.target = targetAt(x, y);
  showTarget(drag.target);
}

/** Scroll for as long as the pointer rests at the edge: the board may lie far below a card. */
function scrollAtEdge() {
  drag.frame = null;
  const { y } = drag.at;
  const by = y < EDGE ? -STEP : y > innerHeight - EDGE ? STEP : 0;
  const before = scrollY;
  if (by) scrollBy(0, by);
  if (scrollY === before) return;
  aim();
  drag.frame = requestAnimationFrame(scrollAtEdge);
}

function end() {
  cancelAnimationFrame(drag?.frame);
  drag?.ghost?.remove();
  document.body.classList.remove("is-dragging");
  showTarget(null);
  drag = null;
}

document.addEventListener("pointerdown", (event) => {
  const source = event.target.closest?.("[data-drag]");
  if (!source || event.button !== 0 || !event.isPrimary) return;
  drag = { item: Number(source.dataset.drag), x: event.clientX, y: event.clientY, at: null, ghost: null, target: null, frame: null };
});

document.addEventListener("pointermove", (event) => {
  if (!drag || !event.isPrimary) return;
  if (drag.ghost) return follow(event);
  if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) >= FAR_ENOUGH) begin(event);
});

document.addEventListener("pointerup", () => {
  if (!drag) return;
  const { item, ghost, target } = drag;
  end();
  if (!ghost) return;
  // The click that follows belongs to the drag.
  const swallow = (event) => { event.stopPropagation(); event.preventDefault(); };
  document.addEventListener("click", swallow, { capture: true, once: true });
  setTimeout(() => document.removeEventListener("click", swallow, { capture: true }), 0);
  if (target) drop(item, target);
});

document.addEventListener("pointercancel", end);
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && drag) end(); });
document.addEventListener("selectstart", (event) => { if (drag?.ghost) event.preventDefault(); });
