// The parts of the labelling page that every module speaks of.

export const work = () => document.getElementById("work");
export const answer = () => document.getElementById("answer");

export function kind() {
  return work()?.dataset.work;
}

/** Say something to those who cannot see it happen. */
export function announce(text) {
  const region = document.getElementById("announcement");
  if (!region) return;
  region.textContent = "";
  // A region is read out when it changes, so the same words twice need a moment between them.
  setTimeout(() => { region.textContent = text; }, 50);
}

export function choose(input) {
  input.checked = true;
  input.focus({ preventScroll: true });
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

export function send() {
  const form = answer();
  // htmx sends the button in focus with its form, as if it had been pressed: put together, not sent.
  if (form && document.activeElement?.matches("button[name]") && document.activeElement.form === form) {
    work().focus({ preventScroll: true });
  }
  form?.requestSubmit();
}
