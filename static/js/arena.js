// The arena: both answers stream in, in step; a key votes, takes back, goes on.

import { listenForKeys } from "./keys.js";
import { announce, work } from "./page.js";
import { showTrouble } from "./requests.js";
import { beginUndo, undo } from "./undo.js";

const LOST = "The connection was lost while the answers came. Load the page again: they go on from where they are.";

const token = () => document.querySelector("[name=csrfmiddlewaretoken]").value;

/** Yield [name, value] of each server-sent event in a response. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const found = block.match(/^event: (\w+)\ndata: (.*)$/);
      if (found) yield [found[1], JSON.parse(found[2])];
    }
  }
}

function showPlace({ place, seconds }) {
  const wait = seconds === 1 ? "1 second" : `${seconds} seconds`;
  document.getElementById("place").textContent = `Place ${place} in the queue, about ${wait}.`;
}

function showPieces(pieces) {
  document.getElementById("place").textContent = "Both answers are shown in step. You vote when both have ended.";
  work().querySelectorAll("[data-piece]").forEach((card, side) => card.append(pieces[side]));
}

/** Let both answers stream in, then show the battle as the server has kept it. */
async function follow(battle) {
  const again = battle.querySelector("[data-try]");
  again.hidden = true;
  let problem = LOST;
  try {
    const headers = { Accept: "text/event-stream", "X-CSRFToken": token() };
    const response = await fetch(battle.dataset.write, { method: "POST", headers });
    if (!response.ok) throw new Error(response.status);
    for await (const [name, value] of events(response)) {
      if (name === "place") showPlace(value);
      if (name === "pieces") showPieces(value);
      if (name === "problem") problem = value;
      if (name === "end") problem = "";
    }
  } catch { /* said below: the connection broke off, or the server refused */ }
  if (problem) {
    again.hidden = false;
    document.getElementById("place").textContent = "";
    showTrouble(problem);
    return;
  }
  await htmx.ajax("GET", battle.dataset.show, { target: "#work", swap: "outerHTML" });
}

function begin() {
  beginUndo();
  if (work()?.dataset.write) follow(work());
}

function press(selector) {
  const button = work()?.querySelector(selector);
  if (!button) return false;
  button.click();
}

/** Vote by a key of the comparison page: how much better an answer is makes no difference here. */
function voteByKey(action) {
  return press(`[name=outcome][value="${action.split("-")[0]}"]`);
}

function send() {
  const field = document.activeElement;
  if (!field?.matches?.("[data-sends]")) return press("[data-next]");
  field.form.requestSubmit();
}

listenForKeys({
  send,
  undo,
  leave: (event) => { if (event.target.matches("textarea")) work()?.focus({ preventScroll: true }); },
  other: voteByKey,
});

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "work") return;
  begin();
  announce(document.getElementById("prompt-name").textContent);
  if (document.activeElement === document.body) work().focus({ preventScroll: true });
});
begin();
