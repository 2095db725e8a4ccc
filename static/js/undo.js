// The bar that offers to take back what was just sent: there for the grace period, then gone.

let end = null;

const bar = () => document.querySelector("[data-undo]");

function left(seconds) {
  return seconds >= 60 ? `${Math.floor(seconds / 60)} min` : `${seconds} s`;
}

/** Take back what was just sent or skipped. */
export function undo() {
  const button = bar()?.querySelector("button");
  if (!button) return false;
  button.click();
}

/** Count down the bar that has just arrived and let it go. */
export function beginUndo() {
  clearInterval(end);
  if (!bar()) return;
  const until = performance.now() + Number(bar().dataset.secondsLeft ?? 60) * 1000;
  const show = () => {
    const seconds = Math.ceil((until - performance.now()) / 1000);
    const output = bar()?.querySelector("[data-seconds]");
    if (output) output.textContent = left(Math.max(0, seconds));
    if (seconds > 0) return;
    clearInterval(end);
    // Whoever is about to press it may: it goes when it is left.
    if (!bar()?.contains(document.activeElement)) bar()?.remove();
  };
  end = setInterval(show, 1000);
  show();
}
