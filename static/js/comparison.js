// Choosing on the scale: the same key twice is the answer, or once for those who want it so.

import { answer, choose, send } from "./page.js";

const sendsOnChoice = () => answer()?.hasAttribute("data-sends-on-choice") ?? false;

const scale = () => [...(answer()?.querySelectorAll(".scale__row [type=radio]") ?? [])];

/** Choose the answer that an action names. */
export function chooseNamed(name) {
  const option = [...(answer()?.elements ?? [])]
    .find((control) => control.type === "radio" && control.value === name);
  if (!option) return false;
  if (option.checked) return send();
  choose(option);
  if (sendsOnChoice()) send();
}

/** Move the choice along the scale, without sending. */
export function stepChoice(by) {
  const options = scale();
  if (!options.length) return false;
  const checked = options.findIndex((option) => option.checked);
  const at = checked < 0 ? Math.floor(options.length / 2) : checked;
  choose(options[Math.min(options.length - 1, Math.max(0, at + by))]);
}

// A press of the pointer, not the click that a browser makes of an arrow key.
document.addEventListener("click", (event) => {
  if (event.detail > 0 && sendsOnChoice() && event.target.matches?.('[name="choice"]')) send();
});
