// What the project counts while one writes. Syllables come from the server, with the page and with
// each saved draft.

const NAMES = {
  characters: ["character", "characters"],
  words: ["word", "words"],
  lines: ["line", "lines"],
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
      return `${count} ${NAMES[name][count === 1 ? 0 : 1]}`;
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
  if (!wanted.length) return counts ? `${counts} syllables` : "";
  if (fits && syllables.text === text) return `${wanted.join("-")} syllables ✓`;
  return counts ? `${counts} of ${wanted.join("-")} syllables` : `${wanted.join("-")} syllables wanted`;
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
