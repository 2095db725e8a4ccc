// What the project counts while one writes. Syllables come from the server, with the page and with
// each saved draft.

import { gettext, say } from "./words.js";

const NAMES = {
  characters: [gettext("{count} character"), gettext("{count} characters")],
  words: [gettext("{count} word"), gettext("{count} words")],
  lines: [gettext("{count} line"), gettext("{count} lines")],
};
const COUNT = {
  characters: (text) => [...text].length,
  words: (text) => text.split(/\s+/).filter(Boolean).length,
  lines: (text) => text.split("\n").filter((line) => line.trim()).length,
};

let syllables = null; // {text, perLine, fits}: of the text as it was last saved

function figures(text, names) {
  return names
    .filter((name) => name in COUNT)
    .map((name) => {
      const count = COUNT[name](text);
      return say(NAMES[name][count === 1 ? 0 : 1], { count });
    })
    .join(", ");
}

function wantedOf(counter) {
  return (counter.dataset.lineSyllables ?? "").split(" ").filter(Boolean);
}

function syllableText(text, wanted) {
  if (!syllables) return "";
  const { perLine, fits } = syllables;
  const counts = perLine.join("-");
  if (!wanted.length) return counts ? say("{counts} syllables", { counts }) : "";
  if (fits && syllables.text === text) return say("{counts} syllables ✓", { counts: wanted.join("-") });
  const values = { counts, wanted: wanted.join("-") };
  return say(counts ? gettext("{counts} of {wanted} syllables") : gettext("{wanted} syllables wanted"), values);
}

/** Write the counts of a text field under it. */
export function showCounts(field) {
  const counter = document.querySelector(`[data-counter-for="${field.id}"]`);
  if (!counter) return;
  const names = (counter.dataset.counters ?? "lines words").split(" ");
  const parts = [figures(field.value, names)];
  const wanted = wantedOf(counter);
  if (wanted.length || names.includes("syllables")) parts.push(syllableText(field.value, wanted));
  counter.textContent = parts.filter(Boolean).join(" · ");
}

/** Take what the server counted in a text. */
export function takeCounts(counts, text) {
  if (!counts) return;
  syllables = { text, perLine: counts.syllables ?? [], fits: Boolean(counts.fits) };
}

/** Begin with what the server counted in the text that it sent. */
export function beginCounts() {
  syllables = null;
  const counter = document.querySelector("[data-counted]");
  const field = document.getElementById(counter?.dataset.counterFor);
  if (field) takeCounts(JSON.parse(counter.dataset.counted), field.value);
}
