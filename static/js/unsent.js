// What is begun in a form and not sent is there again when its page is: after another form of the
// page was sent or refused, and after a look elsewhere. It stays in this tab, for this person,
// until the form is sent or they sign out. Answers to items have drafts of their own (drafts.js).

import { fieldsOf, fill, isSame, servedFieldsOf } from "./fields.js";
import { gettext } from "./words.js";

const STORE = "unsent";
const TYPED = "textarea, input:not([type=hidden], [type=checkbox], [type=radio], [type=file])";
const SECRET = "[type=password], [autocomplete=one-time-code]";

const who = document.body.dataset.user;
const forms = new Map(); // by what makes a form the same one on the next page
const served = new Map();
const sent = new Set();

/** Return where a form goes, what it is about, and what it asks. */
function nameOf(form) {
  // What its own page was asked to show (a search, a part) makes it no other form.
  const { pathname, search } = new URL(form.getAttribute("action") ?? location.pathname, location.href);
  const named = [...form.elements].filter((one) => one.name && one.name !== "csrfmiddlewaretoken");
  const about = named.map((one) => (one.type === "hidden" ? [one.name, one.value] : one.name));
  return JSON.stringify([pathname + search, form.id, about]);
}

function kept() {
  try {
    const found = JSON.parse(sessionStorage.getItem(STORE));
    return found?.who === who ? found.forms : {};
  } catch {
    return {};
  }
}

function keep(entries) {
  try {
    sessionStorage.setItem(STORE, JSON.stringify({ who, forms: entries }));
  } catch {
    // Storage is full or forbidden: what is on the page stays there.
  }
}

function tell(form) {
  const note = document.createElement("p");
  note.className = "small unsent";
  note.textContent = `${gettext("You began this earlier, and it is not sent yet.")} `;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button--quiet button--small";
  button.textContent = gettext("Discard it");
  button.addEventListener("click", () => {
    form.reset();
    note.remove();
    form.querySelector(TYPED).focus();
  });
  note.append(button);
  form.append(note);
  const folded = form.closest("details");
  if (folded) folded.open = true;
}

/** Put back what was begun, unless the server has something else in the form by now. */
function takeUp() {
  const [visit] = performance.getEntriesByType("navigation");
  const wasRefused = visit?.responseStatus >= 400;
  const cameBack = visit?.type === "back_forward";
  const entries = kept();
  for (const [name, entry] of Object.entries(entries)) {
    if (wasRefused || cameBack) entry.isSent = false;
    const form = forms.get(name);
    if (entry.isSent) delete entries[name];
    else if (form && isSame(served.get(form), entry.served)) {
      fill(form, entry.fields);
      tell(form);
    } else if (form && !wasRefused) delete entries[name];
  }
  keep(entries);
}

function leave() {
  const entries = kept();
  for (const [name, form] of forms) {
    const before = entries[name]?.served ?? served.get(form);
    const fields = fieldsOf(form);
    if (isSame(fields, before)) delete entries[name];
    else entries[name] = { fields, served: before, isSent: sent.has(form) };
  }
  keep(entries);
}

if (who) {
  for (const form of document.querySelectorAll("form[method=post]:not([hx-post])")) {
    const controls = [...form.elements];
    if (!controls.some((one) => one.matches(TYPED)) || controls.some((one) => one.matches(SECRET))) continue;
    forms.set(nameOf(form), form);
    served.set(form, servedFieldsOf(form));
  }
  takeUp();
  addEventListener("pagehide", leave);
  // A page that the browser had kept whole is as it was left, and nothing on it is sent any more.
  addEventListener("pageshow", (event) => { if (event.persisted) sent.clear(); });
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.submitter?.formTarget || event.target.target) return;
    sent.add(event.target);
    if (!event.target.matches("[data-sign-out]")) return;
    forms.clear();
    keep({});
  });
}
