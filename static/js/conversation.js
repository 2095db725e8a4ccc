// A conversation: the page opens at what was said last, and waits quietly for replies.

import { work } from "./page.js";

const isConversation = () => work()?.dataset.work === "conversation";

// What was said before lies above; on a new page nobody has scrolled yet.
if (isConversation() && document.querySelector(".turns") && !scrollY) {
  document.getElementById("prompt-name").scrollIntoView();
}

document.addEventListener("htmx:beforeRequest", (event) => {
  // Somebody who is about to skip does not want the page to change under their hands.
  const isPoll = event.detail.elt.matches("[data-polls]");
  if (isPoll && document.querySelector("[data-skip][open]")) event.preventDefault();
});
