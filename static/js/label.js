// Keys, counters and drafts of the labelling pages. Everything works without this file.

const work = () => document.getElementById("work");
const answerForm = () => document.querySelector("[data-answer]");

// Keys

const TYPING = "textarea, select, input:not([type=radio]):not([type=checkbox])";
const PRESSING = "button, summary, a";

function choose(input) {
  input.checked = true;
  input.focus({ preventScroll: true });
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

function send() {
  answerForm()?.requestSubmit();
}

function compareKey(event) {
  const options = [...document.querySelectorAll('[name="choice"]')];
  const option = options.find((input) => input.dataset.key === event.key);
  if (option) {
    // Pressed twice: that is the answer.
    if (option.checked) send();
    else choose(option);
    return true;
  }
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.target.matches('[type="radio"]')) return false;
  const scale = options.slice(0, 9);
  const at = scale.findIndex((input) => input.checked);
  choose(scale[Math.min(8, Math.max(0, (at < 0 ? 4 : at) + step))]);
  return true;
}

const places = () => [...document.querySelectorAll("[data-place]")];

function mark(card) {
  for (const other of places()) other.toggleAttribute("data-current", other === card);
  card?.scrollIntoView({ block: "nearest" });
}

function rankKey(event) {
  const cards = places();
  const at = Math.max(0, cards.findIndex((card) => card.hasAttribute("data-current")));
  if (/^[1-9]$/.test(event.key)) {
    const input = cards[at].querySelector(`[value="${event.key}"]`);
    if (!input) return false;
    input.checked = true;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    mark(cards[Math.min(at + 1, cards.length - 1)]);
    return true;
  }
  if (event.target.matches('[type="radio"]') && event.key !== "Backspace") return false;
  const step = { ArrowLeft: -1, ArrowRight: 1, Backspace: -1, ArrowUp: -2, ArrowDown: 2 }[event.key];
  if (!step) return false;
  mark(cards[Math.min(cards.length - 1, Math.max(0, at + step))]);
  return true;
}

function toggle(details) {
  if (!details) return false;
  details.open = !details.open;
  return true;
}

function singleKey(event) {
  if (event.key === "g") return toggle(document.querySelector("[data-guidelines]"));
  if (event.key === "s") return toggle(document.querySelector("[data-skip]"));
  const kind = work()?.dataset.work;
  if (kind === "demonstration" || !kind) return false;
  if (event.key === "Enter") {
    if (event.target.closest(PRESSING)) return false;
    send();
    return true;
  }
  return kind === "comparison" ? compareKey(event) : rankKey(event);
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.repeat || event.isComposing) return;
  if (event.key === "Escape") {
    document.querySelector("[data-skip]")?.removeAttribute("open");
    if (event.target.matches(TYPING)) event.target.blur();
    return;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    send();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches(TYPING)) return;
  if (singleKey(event)) event.preventDefault();
});

// Skipping: the panel closes when something else is clicked, and opens onto its first reason.

document.addEventListener("click", (event) => {
  const panel = document.querySelector("[data-skip][open]");
  if (panel && !panel.contains(event.target)) panel.open = false;
});
document.addEventListener("toggle", (event) => {
  const details = event.target;
  if (details.matches("[data-skip]") && details.open) details.querySelector("button")?.focus();
  if (details.matches("[data-guidelines]")) {
    document.cookie = `guidelines=${details.open ? "open" : "closed"}; path=/; max-age=31536000; samesite=lax`;
  }
}, true);

// Counting

function count(field) {
  const counter = document.querySelector(`[data-counter-for="${field.id}"]`);
  if (!counter) return;
  const lines = field.value.split("\n").filter((line) => line.trim()).length;
  const words = field.value.split(/\s+/).filter(Boolean).length;
  counter.textContent = `${lines} ${lines === 1 ? "line" : "lines"}, ${words} ${words === 1 ? "word" : "words"}`;
}

function showOrder() {
  const output = document.querySelector("[data-order]");
  if (!output) return;
  const tiers = new Map();
  for (const card of places()) {
    const chosen = card.querySelector(":checked");
    if (!chosen) continue;
    const place = Number(chosen.value);
    tiers.set(place, [...(tiers.get(place) ?? []), card.querySelector("h2").textContent.trim()]);
  }
  output.textContent = [...tiers.keys()].sort((a, b) => a - b).map((place) => tiers.get(place).join(" = ")).join("  >  ");
}

// Drafts: what was typed survives a closed tab until it has been sent.

const DRAFT = "draft-";

function keepDraft(field) {
  localStorage.setItem(DRAFT + field.dataset.draft, field.value);
}

function restoreDraft(field) {
  const draft = localStorage.getItem(DRAFT + field.dataset.draft);
  if (draft && !field.value) field.value = draft;
  if (field.value) keepDraft(field); // a quick writer may have begun before this file arrived
}

document.addEventListener("input", (event) => {
  const field = event.target;
  if (field.dataset.draft) keepDraft(field);
  if (field.matches("textarea")) count(field);
});
document.addEventListener("change", (event) => {
  showOrder();
  const card = event.target.closest("[data-place]");
  if (card) mark(card);
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const sent = event.detail.requestConfig?.elt?.querySelector?.("[data-draft]")?.dataset.draft;
  if (sent && event.detail.xhr.status < 300) localStorage.removeItem(DRAFT + sent);
});

// When an item appears

function begin() {
  const field = document.querySelector("textarea[data-draft]");
  if (field) {
    restoreDraft(field);
    count(field);
    field.focus({ preventScroll: true });
  } else if (!work()?.contains(document.activeElement)) {
    work()?.focus({ preventScroll: true });
  }
  const cards = places();
  if (cards.length) mark(cards.find((card) => !card.querySelector(":checked")) ?? cards.at(-1));
  showOrder();
}

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target.id === "work" || event.target.id === "work") begin();
});
begin();
