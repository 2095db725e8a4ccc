// The guidelines beside the work: found by a word, opened where one stopped reading.

import { kind } from "./page.js";
import { gettext, say } from "./words.js";

const panel = () => document.querySelector("[data-guidelines]");
const text = () => document.querySelector("[data-guidelines-text]");
const field = () => document.querySelector("[data-guidelines-search]");

let matches = [];
let at = -1;

// Where one stopped reading

const scrollKey = () => `guidelines-${panel()?.dataset.guidelines}`;

function slug(heading) {
  return heading.textContent.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
}

function nameHeadings() {
  const taken = new Set();
  for (const heading of text().querySelectorAll("h1, h2, h3, h4")) {
    const name = `clause-${slug(heading)}`;
    if (!heading.id && !taken.has(name)) heading.id = name;
    taken.add(name);
  }
}

/** Scroll to where the reader was, or to the clause that has the name of this kind of work. */
function takeUp() {
  const stored = sessionStorage.getItem(scrollKey());
  if (stored !== null) {
    text().scrollTop = Number(stored);
    return;
  }
  const clause = text().querySelector(`#clause-${CSS.escape(kind() ?? "none")}`);
  if (clause) text().scrollTop = clause.offsetTop - text().offsetTop;
}

export function beginGuidelines() {
  if (!text() || text().dataset.begun) return;
  text().dataset.begun = "yes";
  matches = [];
  nameHeadings();
  takeUp();
  text().addEventListener("scroll", () => {
    sessionStorage.setItem(scrollKey(), String(Math.round(text().scrollTop)));
  }, { passive: true });
}

// Finding

function clear() {
  for (const mark of text().querySelectorAll("mark")) {
    const parent = mark.parentNode;
    mark.replaceWith(...mark.childNodes);
    parent.normalize();
  }
  matches = [];
  at = -1;
}

function markIn(node, word) {
  const lower = node.data.toLowerCase();
  // A letter that changes its length in lower case would shift what is marked.
  if (lower.length !== node.data.length) return;
  const found = lower.lastIndexOf(word);
  if (found < 0) return;
  const range = document.createRange();
  range.setStart(node, found);
  range.setEnd(node, found + word.length);
  const mark = document.createElement("mark");
  range.surroundContents(mark);
  const rest = mark.previousSibling;
  if (rest?.nodeType === Node.TEXT_NODE) markIn(rest, word);
}

function find(word) {
  clear();
  if (word) {
    const walker = document.createTreeWalker(text(), NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) nodes.push(walker.currentNode);
    for (const node of nodes) markIn(node, word);
    matches = [...text().querySelectorAll("mark")];
  }
  go(1);
}

function go(by) {
  const count = document.querySelector("[data-guidelines-count]");
  matches[at]?.removeAttribute("data-current");
  if (!matches.length) {
    count.textContent = field().value.trim() ? gettext("not found") : "";
    return;
  }
  at = (at + by + matches.length) % matches.length;
  matches[at].setAttribute("data-current", "");
  matches[at].closest("details.case")?.setAttribute("open", "");
  matches[at].scrollIntoView({ block: "nearest" });
  count.textContent = say("{number} of {count}", { number: at + 1, count: matches.length });
}

document.addEventListener("input", (event) => {
  if (event.target === field()) find(field().value.trim().toLowerCase());
});
document.addEventListener("keydown", (event) => {
  if (event.target !== field() || event.key !== "Enter") return;
  event.preventDefault();
  go(event.shiftKey ? -1 : 1);
});

// Opening. On a phone the text lies below the work; called for, it comes up as a sheet.

const NARROW = matchMedia("(max-width: 60rem)");

function open(wanted) {
  panel().parentElement.toggleAttribute("data-sheet", wanted && NARROW.matches);
  panel().open = wanted;
}

const isInSight = () => panel().open && (!NARROW.matches || panel().parentElement.hasAttribute("data-sheet"));

export function toggleGuidelines() {
  if (!panel()) return false;
  open(!isInSight());
}

/** Put the sheet away, and leave the guidelines of a wide page as they are. */
export function closeSheet() {
  if (!panel()?.parentElement.hasAttribute("data-sheet")) return;
  const isLeft = panel().contains(document.activeElement);
  open(false);
  if (isLeft) document.querySelector("[data-open-guidelines]")?.focus();
}

export function searchGuidelines() {
  if (!panel()) return false;
  open(true);
  field().focus();
  field().select();
}

document.addEventListener("toggle", (event) => {
  if (event.target !== panel()) return;
  if (!panel().open) panel().parentElement.removeAttribute("data-sheet");
  if (NARROW.matches) return; // a sheet comes and goes, which says nothing about a wide page
  document.cookie = `guidelines=${panel().open ? "open" : "closed"}; path=/; max-age=31536000; samesite=lax`;
}, true);
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-open-guidelines]") || !panel()) return;
  event.preventDefault();
  toggleGuidelines();
});
document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-close-guidelines]")) closeSheet();
});
