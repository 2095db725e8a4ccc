// Dragging a completion to a tier, with a mouse, a pen or a finger.

import { drop } from "./ranking.js";

const FAR_ENOUGH = 6; // pixels, so that a click stays a click
const EDGE = 48; // pixels from the edge of the window where the page begins to scroll
const BESIDE = 24; // pixels around the board that still belong to it

let drag = null; // {item, source, x, y, ghost, target}

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
  drag.ghost.style.translate = `${event.clientX}px ${event.clientY}px`;
  if (event.clientY < EDGE) scrollBy(0, -12);
  if (event.clientY > innerHeight - EDGE) scrollBy(0, 12);
  drag.target = targetAt(event.clientX, event.clientY);
  showTarget(drag.target);
}

function end() {
  drag?.ghost?.remove();
  document.body.classList.remove("is-dragging");
  showTarget(null);
  drag = null;
}

document.addEventListener("pointerdown", (event) => {
  const source = event.target.closest?.("[data-drag]");
  if (!source || event.button !== 0 || !event.isPrimary) return;
  drag = { item: Number(source.dataset.drag), x: event.clientX, y: event.clientY, ghost: null, target: null };
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
