// A chat: Enter sends, replies stream in, Esc stops them. What one writes is kept in this tab.

import { announce } from "./page.js";
import "./panels.js";
import { showTrouble } from "./requests.js";
import { events } from "./stream.js";

const say = document.getElementById("say");
const field = document.getElementById("text");
const DRAFT = `chat-draft:${location.pathname}`;
const LOST = "The connection was lost while a reply came. What had come is kept: load the page again.";

const isAtEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 120;
const toEnd = () => scrollTo({ top: document.documentElement.scrollHeight });

/** Let a reply stream into its place, then show it as the server has kept it. */
async function follow(reply) {
  const text = reply.querySelector("[data-text]");
  const status = reply.querySelector("[data-status]");
  let ended = false;
  try {
    for await (const [kind, value] of events(reply.dataset.write)) {
      const stays = isAtEnd();
      if (kind === "place") status.textContent = value;
      if (kind === "token") text.append(value);
      if (kind === "text") text.textContent = value;
      if (kind === "token" || kind === "text") status.textContent = "";
      if (kind === "end") ended = true;
      if (stays) toEnd();
    }
  } catch { /* said below: the connection broke off, or the server refused */ }
  if (!ended) {
    status.textContent = "Broken off";
    showTrouble(LOST);
    return;
  }
  const stays = isAtEnd();
  await htmx.ajax("GET", reply.dataset.show, { target: reply, swap: "outerHTML" });
  if (stays) toEnd();
  announce(`${reply.dataset.name}: ${text.textContent || document.getElementById(reply.id)?.textContent}`);
}

function begin() {
  for (const reply of document.querySelectorAll("[data-write]:not([data-followed])")) {
    reply.dataset.followed = "";
    follow(reply);
  }
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey && event.target.matches("#text, #edited")) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
  if (event.key === "Escape" && !event.target.closest("[data-report]")) {
    for (const button of document.querySelectorAll("[data-stop]")) button.click();
  }
});

field?.addEventListener("input", () => sessionStorage.setItem(DRAFT, field.value));
if (field && !field.value) field.value = sessionStorage.getItem(DRAFT) ?? "";

document.addEventListener("htmx:afterRequest", (event) => {
  if (!event.detail.successful) return;
  document.getElementById("problem")?.replaceChildren();
  if (event.detail.elt === say) {
    field.value = "";
    sessionStorage.removeItem(DRAFT);
  }
});
document.addEventListener("htmx:load", (event) => {
  if (!event.target.matches("#log, #log *")) return;
  if (document.querySelector("[data-write]:not([data-followed])")) {
    toEnd();
    field?.focus({ preventScroll: true });
  }
  begin();
});

if (document.querySelector(".exchange")) toEnd();
begin();
