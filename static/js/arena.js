// The arena: both answers stream in, in step; a key votes, takes back, goes on.

import { listenForKeys } from "./keys.js";
import { announce, work } from "./page.js";
import "./panels.js";
import { showTrouble } from "./requests.js";
import { events } from "./stream.js";
import { beginUndo, undo } from "./undo.js";
import { gettext, say } from "./words.js";

function showPlace({ place, seconds }) {
  const words = seconds === 1
    ? say("Place {place} in the queue, about 1 second.", { place })
    : say("Place {place} in the queue, about {seconds} seconds.", { place, seconds });
  document.getElementById("place").textContent = words;
}

function showPieces(pieces) {
  document.getElementById("place").textContent = gettext("Both answers are shown in step. You vote when both have ended.");
  work().querySelectorAll("[data-piece]").forEach((card, side) => card.append(pieces[side]));
}

/** Let both answers stream in, then show the battle as the server has kept it. */
async function follow(battle) {
  const again = battle.querySelector("[data-try]");
  again.hidden = true;
  let problem = gettext("The connection was lost while the answers came. Load the page again: they go on from where they are.");
  try {
    for await (const [name, value] of events(battle.dataset.write)) {
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
  if (reportPanel()?.open) return false;
  return press(`[name=outcome][value="${action.split("-")[0]}"]`);
}

const reportPanel = () => document.getElementById("report");

function toggleReport() {
  const panel = reportPanel();
  if (!panel) return false;
  panel.open = !panel.open;
}

function send() {
  const field = document.activeElement;
  if (!field?.matches?.("[data-sends]")) return press("[data-next]");
  field.form.requestSubmit();
}

listenForKeys({
  send,
  undo,
  report: toggleReport,
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
