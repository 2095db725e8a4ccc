// Differences in the page: between two completions on a key, between an original and its rewrite
// while one writes. Marked by line and stroke, not by colour alone.

import { wordDiff } from "./diff.js";
import { announce, work } from "./page.js";
import { gettext, say } from "./words.js";

const ELEMENTS = { same: "span", old: "del", new: "ins", mark: "mark" };

function marked(segments, opOf) {
  return segments.map(({ op, text }) => {
    const element = document.createElement(ELEMENTS[opOf(op)]);
    element.textContent = text;
    return element;
  });
}

const counted = (segments, op) => segments.filter((s) => s.op === op && s.text.trim()).length;
const places = (count) => (count === 1 ? gettext("1 place") : say("{count} places", { count }));

let hidden = null; // the two texts as they were, while their differences are shown

function show([left, right]) {
  const segments = wordDiff(left.textContent, right.textContent);
  hidden = [left, right].map((element) => [element, [...element.childNodes]]);
  left.replaceChildren(
    ...marked(segments.filter(({ op }) => op !== "new"), (op) => (op === "old" ? "mark" : "same")),
  );
  right.replaceChildren(
    ...marked(segments.filter(({ op }) => op !== "old"), (op) => (op === "new" ? "mark" : "same")),
  );
  const [inLeft, inRight] = [counted(segments, "old"), counted(segments, "new")];
  announce(
    inLeft + inRight
      ? say("Differences are marked: {left} in A, {right} in B.", { left: places(inLeft), right: places(inRight) })
      : gettext("The two texts have the same words."),
  );
}

/** Mark what differs between the two completions, or show them as they are again. */
export function toggleDifferences() {
  const texts = [...(work()?.querySelectorAll("[data-completion]") ?? [])];
  if (texts.length !== 2) return false;
  const button = work().querySelector("[data-diff]");
  if (hidden) {
    for (const [element, nodes] of hidden) element.replaceChildren(...nodes);
    hidden = null;
    announce(gettext("Differences are not marked any more."));
  } else {
    show(texts);
  }
  button?.setAttribute("aria-pressed", String(Boolean(hidden)));
}

export function forgetDifferences() {
  hidden = null;
}

/** Show the original with what the rewrite takes out of it and puts into it. */
export function showRewriteDifferences() {
  for (const output of document.querySelectorAll("[data-diff-of]")) {
    const field = document.getElementById(output.dataset.diffOf);
    const original = document.getElementById(output.dataset.diffFrom ?? "original")
      ?? work()?.querySelector("[data-completion]");
    if (!field || !original) continue;
    const segments = wordDiff(original.textContent, field.value);
    const isChanged = field.value && segments.some(({ op }) => op !== "same");
    output.dataset.name = gettext("What changes");
    output.replaceChildren(...(isChanged ? marked(segments, (op) => op) : []));
  }
}
