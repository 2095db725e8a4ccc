// The labelling pages, put together. Without this file everything is still there but slower.

import { activeMilliseconds, beginActivity } from "./activity.js";
import { stepPart, takePart } from "./assembly.js";
import "./conversation.js";
import { chooseNamed, stepChoice } from "./comparison.js";
import { beginCounts, showCounts } from "./counters.js";
import { forgetDifferences, showRewriteDifferences, toggleDifferences } from "./differences.js";
import { beginDraft, entered, handedIn, handingIn, idOf, savingNow, waitForConnection } from "./drafts.js";
import "./dragging.js";
import { hidden } from "./fields.js";
import { beginGuidelines, closeSheet, searchGuidelines, toggleGuidelines } from "./guidelines.js";
import "./held.js";
import { isTyping, listenForKeys, showKeys } from "./keys.js";
import { answer, send, work } from "./page.js";
import "./panels.js";
import { answerQuestion, isAsked } from "./questions.js";
import { beginRanking, isIncomplete, isRanking, move, pickByKey, showBoard, step } from "./ranking.js";
import { beginUndo, undo } from "./undo.js";

// Keys

const skipPanel = () => document.querySelector("[data-skip]");

const reportPanel = () => document.querySelector(".dock [data-report]");
const panels = () => [skipPanel(), reportPanel()].filter(Boolean);

function toggle(panel) {
  if (!panel) return false;
  panel.open = !panel.open;
  for (const other of panels()) if (other !== panel) other.open = false;
}

function focusOn(selector) {
  const field = document.querySelector(selector);
  if (!field) return false;
  field.focus();
}

function press(selector) {
  const button = work()?.querySelector(selector);
  if (!button) return false;
  button.click();
}

function leave(event) {
  const isInPanel = event.target.closest?.("[data-skip], [data-report]");
  for (const panel of panels()) panel.removeAttribute("open");
  closeSheet();
  // To the page, where every key does what it says: Enter sends, and opens no panel again.
  if (isInPanel || isTyping(event.target)) work()?.focus({ preventScroll: true });
}

const stepBy = (by) => (isRanking() ? step(by) : stepChoice(by));

listenForKeys({
  leave,
  send,
  undo,
  skip: () => toggle(skipPanel()),
  report: () => toggle(reportPanel()),
  reason: () => focusOn("#reason"),
  write: () => focusOn("#answer textarea, textarea[form=answer]"),
  guidelines: toggleGuidelines,
  search: searchGuidelines,
  help: showKeys,
  diff: toggleDifferences,
  up: move,
  down: move,
  join: move,
  split: move,
  remove: move,
  previous: () => stepBy(-1),
  next: () => stepBy(1),
  "part-previous": () => stepPart(-1),
  "part-next": () => stepPart(1),
  "part-take": takePart,
  end: () => press("[data-end]"),
  again: () => press("[data-again]"),
  other: (action, event) => {
    const number = Number(/^(?:pick|point)-(\d)$/.exec(action)?.[1]);
    if (!number) return chooseNamed(action);
    return isAsked(event.target) ? answerQuestion(number) : pickByKey(number);
  },
});

document.addEventListener("click", (event) => {
  const target = event.target.closest?.("[data-diff], [data-show-keys], [data-take-stored]");
  if (target?.hasAttribute("data-diff")) toggleDifferences();
  if (target?.hasAttribute("data-show-keys")) showKeys();
  if (target?.hasAttribute("data-take-stored")) handedIn(idOf(answer()));
});

// Entering

function refresh() {
  for (const field of document.querySelectorAll("textarea[id]")) showCounts(field);
  showRewriteDifferences();
  showBoard();
}

const isOfAnswer = (element) => element.form === answer() || element === answer();

document.addEventListener("input", (event) => {
  if (!isOfAnswer(event.target)) return;
  if (event.target.matches("textarea")) {
    showCounts(event.target);
    showRewriteDifferences();
  }
  entered();
});
document.addEventListener("change", (event) => { if (isOfAnswer(event.target)) entered(); });
document.addEventListener("filled", refresh);
document.addEventListener("counted", refresh);

// Sending

const isAnswer = (element) => element?.matches?.("[data-answer]") ?? false;

document.addEventListener("submit", (event) => {
  if (!isAnswer(event.target)) return;
  const stop = () => { event.preventDefault(); event.stopImmediatePropagation(); };
  if (isIncomplete() || (isRanking() && !answer().reportValidity())) return stop();
  const saving = savingNow();
  if (saving) {
    stop();
    // Unless it brought up a question that comes first.
    saving.then(() => setTimeout(() => document.querySelector("dialog[open]") ?? send()));
    return;
  }
  handingIn();
}, true);

for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => { if (isAnswer(event.detail.elt)) waitForConnection(); });
}
document.addEventListener("htmx:responseError", (event) => {
  const passing = [502, 503, 504].includes(event.detail.xhr.status);
  if (passing && isAnswer(event.detail.elt)) waitForConnection();
});
/** Return the answer form that a request closes: by sending it, or by skipping its item. */
function closedBy(event) {
  const sent = event.detail.requestConfig?.elt;
  if (event.detail.xhr.status >= 300) return null;
  if (isAnswer(sent)) return sent;
  return sent?.closest?.("[data-skip]") ? answer() : null;
}

// Before the answer is looked at: the last item sends the browser on without a swap.
document.addEventListener("htmx:beforeOnLoad", (event) => {
  const form = closedBy(event);
  if (form) handedIn(idOf(form));
});

// When an item appears

function begin({ refused = false, goesOn = false } = {}) {
  const form = answer() ?? work()?.querySelector("[data-answers-not]");
  const measured = Number(form ? hidden(form, "active_ms") : 0) || 0;
  beginActivity(goesOn ? Math.max(measured, activeMilliseconds()) : measured);
  forgetDifferences();
  beginCounts();
  beginRanking();
  beginDraft(refused);
  beginGuidelines();
  beginUndo();
  refresh();
}

/** Go to the field that one writes in, else to the page, where the keys are. */
function focusFirst() {
  const place = work()?.querySelector("textarea[autofocus]") ?? work();
  place?.focus({ preventScroll: true });
}

// In the same moment as the swap (base.html has no delay for settling): who goes on typing after a
// pick types the next message, and what is typed at once belongs to the item on the page.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "work") return;
  // 422: what was sent is nowhere but in this page, and the focus is where it was.
  const refused = event.detail.xhr?.status === 422;
  // What comes by itself takes the focus from nobody.
  const goesOn = event.detail.requestConfig?.elt?.matches?.("[data-polls]") ?? false;
  begin({ refused, goesOn });
  if (goesOn && document.activeElement !== document.body) return;
  if (!refused || !work().contains(document.activeElement)) focusFirst();
});
begin();
if (!work()?.contains(document.activeElement)) focusFirst();
