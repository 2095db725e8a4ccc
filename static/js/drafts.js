// Drafts: what is entered is kept in this browser at once and on the server soon after. A lost
// connection is shown and outlived; a page that knows less than the server never overwrites it.

import { activeMilliseconds } from "./activity.js";
import { takeCounts } from "./counters.js";
import { chooseVersion } from "./conflict.js";
import { fieldsOf, fill, hidden, isSame, pairsOf, servedFieldsOf, setHidden } from "./fields.js";
import { announce, answer } from "./page.js";
import { hideTrouble, renewTokens, showTrouble } from "./requests.js";
import { gettext, say } from "./words.js";

const QUIET_MS = 800; // after the last key
const LONGEST_MS = 5000; // of typing without a pause
const PATIENCE_MS = 10_000;
const KEEPALIVE_CHARS = 60_000;
const LONGEST_PASTE = 200_000; // ten times what can be sent
const RETRY_MS = [2000, 4000, 8000, 15_000, 30_000];

const WORDS = {
  offline: gettext("Not saved: no connection. Kept in this browser."),
  broken: gettext("Not saved: the server has a problem. Kept in this browser."),
  signedOut: gettext("Not saved: you are signed out. Kept in this browser; sign in again in another tab."),
  stale: gettext("Not saved: another tab has saved something newer."),
  closed: gettext("Not saved: this item was handed in or skipped elsewhere. Kept in this browser."),
  overtaken: gettext("Not saved: this answer was corrected or taken back elsewhere. Kept in this browser."),
  refused: gettext("Not saved: the server cannot keep this."),
  local: gettext("Kept in this browser"),
  saved: gettext("Draft saved"),
  back: gettext("The connection is back. Draft saved."),
  changed: gettext("Not sent: you changed it after sending. Send it again when it is ready."),
  expired: gettext("Draft saved. The time for this item is over; send it all the same, it is kept."),
};

/** The item on the page: its form, what the server has of it and what is still to be sent. */
let item = null;

function show(state, loud = false) {
  const line = document.getElementById("saving");
  if (!line) return;
  line.textContent = state ? WORDS[state] : "";
  line.dataset.state = state;
  if (state === "stale") line.append(" ", choiceButton());
  if (loud) announce(WORDS[state]);
}

/** Return the way back to the two versions, for somebody who closed them undecided. */
function choiceButton() {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button--small";
  button.textContent = gettext("Compare them");
  button.addEventListener("click", () => {
    if (item?.undecided) ask(item.undecided.revision, item.undecided.theirs);
  });
  return button;
}

// In this browser

const keyOf = (id) => `draft-${id}`;

function keep() {
  const entry = { fields: item.fields, revision: item.revision, waiting: item.waiting };
  try {
    localStorage.setItem(keyOf(item.id), JSON.stringify(entry));
  } catch {
    // Storage is full or forbidden: the server still has what it has.
  }
}

function kept(id) {
  try {
    const entry = JSON.parse(localStorage.getItem(keyOf(id)));
    return Array.isArray(entry?.fields) ? entry : null;
  } catch {
    return null;
  }
}

const forget = (id) => localStorage.removeItem(keyOf(id));

// On the server

function body(form) {
  const fields = new URLSearchParams(item.fields);
  fields.append("csrfmiddlewaretoken", hidden(form, "csrfmiddlewaretoken"));
  fields.append("draft_revision", item.revision);
  fields.append("active_ms", activeMilliseconds());
  if (item.correcting) fields.append("correcting", item.correcting);
  return fields;
}

async function post(leaving) {
  const request = { method: "POST", body: body(item.form), redirect: "manual" };
  // What outlives the page may not be larger; it stays in this browser.
  if (leaving) request.keepalive = String(request.body).length < KEEPALIVE_CHARS;
  else request.signal = AbortSignal.timeout(PATIENCE_MS);
  const response = await fetch(item.url, request);
  if (response.type === "opaqueredirect") return { status: 401 };
  const isJson = response.headers.get("Content-Type")?.includes("json");
  return { status: response.status, answer: isJson ? await response.json() : {} };
}

/** Send what is entered. Two at once would look like two tabs, so the second waits. */
async function save(leaving = false) {
  if (!item || item.over || item.undecided) return;
  clearTimeout(item.timer);
  item.timer = null;
  if (item.busy) {
    item.again = true;
    return;
  }
  const mine = item;
  const sent = mine.fields;
  mine.since = null;
  mine.busy = post(leaving).catch(() => ({ status: 0 }));
  const result = await mine.busy;
  mine.busy = null;
  if (item !== mine) return;
  mine.unanswered = result.status === 0 ? sent : mine.unanswered;
  took(result, sent);
  if (mine.again && !mine.timer && !mine.over) {
    mine.again = false;
    save();
  }
}

function took({ status, answer: said }, sent) {
  if (status === 200) return saved(said, sent);
  if (status === 409) return stale(said);
  if (status === 410) {
    item.over = true;
    const state = item.correcting ? "overtaken" : "closed";
    stopWaiting(WORDS[state]);
    return show(state, true);
  }
  if (status === 404) {
    item.failures = 0;
    show("local");
    return sendIfWaiting();
  }
  const isSignedOut = status === 401 || status === 403;
  if (isSignedOut) renewTokens();
  else if (status >= 400 && status < 429) return refused(said);
  failed(status === 0 ? "offline" : isSignedOut ? "signedOut" : "broken");
}

/** Say what the server has against a draft; it is tried again when it changes. */
function refused(said) {
  item.failures = 0;
  show("refused");
  const words = `${said?.error ?? WORDS.refused} ${gettext("Kept in this browser.")}`;
  document.getElementById("saving").textContent = words;
  stopWaiting(words);
}

function saved(said, sent) {
  item.unanswered = null;
  know(said.revision ?? item.revision);
  const wasFailing = item.failures > 0;
  item.failures = 0;
  item.stored = sent;
  if (isSame(item.fields, sent)) {
    forget(item.id);
  } else {
    keep();
    item.again = true; // changed on the way, perhaps back to what was stored before
  }
  show(said.state === "expired" ? "expired" : wasFailing ? "back" : "saved", wasFailing);
  takeCounts(said.counts, textOf(sent));
  item.form.dispatchEvent(new CustomEvent("counted", { bubbles: true }));
  sendIfWaiting();
}

function sendIfWaiting() {
  if (item?.waiting) item.form.requestSubmit();
}

/** No longer send the answer by itself, and take back what promised it. */
function stopWaiting(words) {
  if (!item.waiting) return;
  item.waiting = false;
  if (words) showTrouble(words);
  else hideTrouble();
}

const textOf = (fields) => (fields.find(([name]) => name === "text")?.[1] ?? "");

function failed(state) {
  show(state, item.failures === 0);
  const wait = RETRY_MS[Math.min(item.failures, RETRY_MS.length - 1)];
  item.failures += 1;
  item.timer = setTimeout(() => { item.timer = null; save(); }, wait);
}

function stale({ revision, fields }) {
  const mine = item;
  const theirs = pairsOf(fields);
  // Not another tab, but this one: it was stored, and the answer got lost on the way.
  const isOwn = isSame(theirs, mine.fields) || (mine.unanswered && isSame(theirs, mine.unanswered));
  mine.unanswered = null;
  if (isOwn) return agree(revision, theirs, false);
  ask(revision, theirs);
}

/** Ask which version goes on. Until that is said, nothing is saved but in this browser. */
function ask(revision, theirs) {
  const mine = item;
  mine.undecided = { revision, theirs };
  stopWaiting();
  show("stale", true);
  chooseVersion(mine.form, mine.fields, theirs, (useTheirs) => {
    if (item !== mine) return;
    mine.undecided = null;
    agree(revision, theirs, useTheirs);
  });
}

function know(revision) {
  item.revision = revision;
  setHidden(item.form, "draft_revision", revision);
}

function agree(revision, theirs, useTheirs) {
  know(revision);
  item.stored = theirs;
  if (useTheirs) {
    fill(item.form, theirs);
    item.fields = fieldsOf(item.form);
    forget(item.id);
    show("saved");
  } else {
    keep();
    save();
  }
}

// Changes

/** Keep what has just been entered, and send it in a moment. */
export function entered() {
  if (!item || item.form !== answer()) return;
  const fields = fieldsOf(item.form);
  // Leaving a field is no change.
  if (!isSame(fields, item.fields)) stopWaiting(WORDS.changed);
  item.fields = fields;
  item.asked = false;
  if (item.undecided) return keep();
  if (isSame(item.fields, item.stored) && !item.failures) {
    forget(item.id);
    return;
  }
  keep();
  if (item.failures) return; // it is being tried again anyway
  item.since ??= Date.now();
  clearTimeout(item.timer);
  const wait = Math.min(QUIET_MS, Math.max(0, item.since + LONGEST_MS - Date.now()));
  item.timer = setTimeout(() => { item.timer = null; save(); }, wait);
}

/**
 * Return what a submit has to wait for, or null: a draft on its way, or one whose answer got lost,
 * which may be stored, so that the page would look like a stale one.
 */
export function savingNow() {
  if (item?.busy || !item?.unanswered || item.asked) return item?.busy ?? null;
  item.asked = true;
  return save();
}

/** Get ready to submit: nothing else is sent meanwhile. */
export function handingIn() {
  if (!item) return;
  clearTimeout(item.timer);
  item.timer = null;
  item.again = false;
  item.fields = fieldsOf(item.form);
  setHidden(item.form, "active_ms", activeMilliseconds());
  keep();
}

/** Send the answer itself as soon as the server can be reached. */
export function waitForConnection() {
  if (!item) return;
  item.waiting = true;
  keep();
  failed("offline");
}

/** The server has the answer. */
export function handedIn(id) {
  forget(id);
  if (item?.id === id) {
    clearTimeout(item.timer);
    item = null;
  }
  show("");
}

/**
 * Return what this browser keeps a form under: its assignment, and what it corrects if it does, or
 * the turn of the conversation that it is about.
 */
export function idOf(form) {
  const id = /\/(\d+)\/submit\/$/.exec(form.getAttribute("action"))?.[1];
  const part = hidden(form, "correcting") || hidden(form, "turn");
  return id && part ? `${id}-${part}` : id;
}

/**
 * Take up the item that is on the page, with what this browser kept of it. An answer that the
 * server refused is nowhere but in the page, so it is kept anew.
 */
export function beginDraft(refused) {
  clearTimeout(item?.timer);
  item = null;
  show("");
  const form = answer();
  const id = form ? idOf(form) : null;
  if (!id) return;
  item = {
    id,
    form,
    url: form.action.replace(/submit\/$/, "draft/"),
    correcting: hidden(form, "correcting"), // the answer that this one takes the place of, if any
    revision: Number(hidden(form, "draft_revision")) || 0,
    fields: fieldsOf(form),
    stored: refused ? [] : servedFieldsOf(form),
    timer: null,
    since: null,
    busy: null,
    unanswered: null,
    asked: false,
    again: false,
    failures: 0,
    waiting: false,
    undecided: null, // {revision, theirs}: what another tab stored, while nobody has said which goes on
    over: false,
  };
  restore(kept(id));
}

function restore(entry) {
  if (!isSame(item.fields, item.stored)) return entered();
  if (!entry) return;
  if (isSame(entry.fields, item.fields)) {
    // Where the page shows two versions, the stored one is the other.
    if (!document.querySelector("[data-take-stored]")) forget(item.id);
    return;
  }
  if (entry.revision < item.revision) {
    const { revision, fields } = item;
    know(entry.revision);
    fill(item.form, entry.fields);
    item.fields = entry.fields;
    return ask(revision, fields);
  }
  fill(item.form, entry.fields);
  entered();
  if (entry.waiting) announce(gettext("This was not sent yet. What you entered is back; send it again."));
}

// A browser lays out what is pasted before anybody can refuse it, and may stand still for minutes.
document.addEventListener("paste", (event) => {
  const length = event.clipboardData?.getData("text/plain").length ?? 0;
  if (!item || length <= LONGEST_PASTE || !event.target.matches?.("textarea")) return;
  event.preventDefault();
  const characters = length.toLocaleString(document.documentElement.lang);
  showTrouble(say("Not pasted: that has {characters} characters. Paste only the part that answers the prompt.", { characters }));
});

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden" && item?.timer) save(true);
});
addEventListener("pagehide", () => { if (item?.timer) save(true); });
addEventListener("online", () => { if (item?.failures) save(); });
