// What happens when a request made in the page fails: say so, and lose nothing.

import { gettext, say } from "./words.js";

const trouble = document.getElementById("trouble");

const MESSAGES = {
  400: gettext("The server could not read this. It may be too large: shorten it and send again."),
  401: gettext("You are signed out. Sign in again in another tab, then send once more."),
  403: gettext("This page has been open for too long, or you may not do this any more. What you entered is still here; sign in again in another tab, then send once more."),
  404: gettext("This is not here any more, or not yours. Copy what you wrote before you leave this page."),
  413: gettext("This is too large to send. Shorten it and send again."),
  429: gettext("Too many requests at once. Wait a moment, then send again."),
};

function messageFor(status) {
  if (MESSAGES[status]) return MESSAGES[status];
  if (status >= 500) return say("The server had a problem ({status}). What you entered is still here; wait a moment, then send again.", { status });
  return say("The server refused this ({status}). What you entered is still here; try again.", { status });
}

/** Say what went wrong, until it is closed or a request succeeds. */
export function showTrouble(message, signIn = false) {
  const notice = document.createElement("div");
  notice.className = "notice notice--bad";
  const text = document.createElement("p");
  text.textContent = message;
  notice.append(text);
  if (signIn) {
    const link = document.createElement("a");
    link.href = "/sign-in/";
    link.target = "_blank";
    link.textContent = gettext("Sign in");
    text.append(" ", link);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button button--quiet button--small";
  close.textContent = gettext("Close");
  close.addEventListener("click", hideTrouble);
  notice.append(close);
  trouble.replaceChildren(notice);
}

export function hideTrouble() {
  trouble.replaceChildren();
}

document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  showTrouble(messageFor(status), status === 401 || status === 403);
});
// An answer is kept in the browser and goes out by itself (drafts.js); the rest has to be sent again.
const isAnswer = (event) => event.detail.elt?.matches?.("[data-answer]") ?? false;
const LATER = gettext("What you entered is kept in this browser and is sent by itself when the connection is back.");

const isPoll = (event) => event.detail.elt?.matches?.("[data-polls]") ?? false;

document.addEventListener("htmx:sendError", (event) => {
  if (isPoll(event)) return showWaiting();
  showTrouble(`${gettext("The server cannot be reached.")} ${isAnswer(event) ? LATER : gettext("What you entered is still here; check the connection, then send again.")}`);
});
document.addEventListener("htmx:timeout", (event) => {
  if (isPoll(event)) return showWaiting();
  showTrouble(`${gettext("The server took too long.")} ${isAnswer(event) ? LATER : gettext("What you entered is still here; send again.")} ${gettext("Nothing is counted twice.")}`);
});
document.addEventListener("htmx:afterOnLoad", (event) => {
  if (event.detail.successful) hideTrouble();
});

/** Say once that a page that looks for news has no connection; it goes on looking. */
function showWaiting() {
  if (!trouble.hasChildNodes()) showTrouble(gettext("The server cannot be reached. This page goes on trying by itself."));
}

// Signing in again in another tab changes the form token; this page goes on with the new one.

export async function renewTokens() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!response?.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const token = page.querySelector("[name=csrfmiddlewaretoken]")?.value;
  if (!token || response.redirected) return;
  for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && trouble.querySelector("a")) renewTokens();
});

// A secret that is shown once came as the answer to a form. Loading it again asks for the page and
// makes no second one.

const shownOnce = document.querySelector("[data-shown-once]");
if (shownOnce) history.replaceState(history.state, "", shownOnce.dataset.shownOnce);

// A double click on the button of a plain form would send it twice, and only the second answer is
// seen: of two tokens or sets of recovery codes the first would be shown to nobody.

const TWICE_MS = 2000;
const sentAt = new WeakMap();

document.addEventListener("submit", (event) => {
  const form = event.target;
  const own = event.submitter?.formTarget || form.target;
  if (event.defaultPrevented || form.method !== "post" || own) return;
  if (performance.now() - (sentAt.get(form) ?? -TWICE_MS) < TWICE_MS) event.preventDefault();
  else sentAt.set(form, performance.now());
});
