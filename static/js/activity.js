// Time at work: with the page in sight, and at most half a minute after a sign of life.

const IDLE_MS = 30_000;
const SIGNS = ["keydown", "pointerdown", "pointermove", "wheel", "scroll", "input", "touchstart"];

let total = 0;
let last = null; // when the person was last seen, or null while the page is out of sight

// Not the time of day, which can be set back.
const now = () => performance.now();

function count() {
  if (last === null) return;
  const moment = now();
  total += Math.min(moment - last, IDLE_MS);
  last = moment;
}

/** Begin with what was measured before, for the item that is shown from now on. */
export function beginActivity(milliseconds) {
  total = milliseconds;
  last = document.visibilityState === "visible" ? now() : null;
}

/** Return the milliseconds at work on this item so far. */
export function activeMilliseconds() {
  if (last === null) return Math.round(total);
  return Math.round(total + Math.min(now() - last, IDLE_MS));
}

for (const sign of SIGNS) document.addEventListener(sign, count, { passive: true, capture: true });
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") {
    last = now();
  } else {
    count();
    last = null;
  }
});
