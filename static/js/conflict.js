// Two versions of one answer: the person says which one goes on. Nothing is overwritten before.

import { inWords } from "./fields.js";
import { gettext } from "./words.js";

function version(name, way, form, fields, value) {
  const section = document.createElement("section");
  const heading = document.createElement("h3");
  heading.textContent = name;
  const text = document.createElement("div");
  text.className = "verbatim version__text";
  text.tabIndex = 0;
  text.setAttribute("role", "region");
  text.setAttribute("aria-label", name);
  text.textContent = inWords(form, fields);
  const button = document.createElement("button");
  button.className = "button";
  button.value = value;
  button.textContent = gettext("Go on with this one");
  button.setAttribute("aria-label", way);
  section.append(heading, text, button);
  return section;
}

/** Show both versions and call `decided` with whether the other tab's is taken. */
export function chooseVersion(form, mine, theirs, decided) {
  document.getElementById("versions")?.remove();
  const dialog = document.createElement("dialog");
  dialog.id = "versions";
  dialog.className = "dialog dialog--wide";
  dialog.setAttribute("aria-labelledby", "versions-name");
  const inner = document.createElement("form");
  inner.method = "dialog";
  const heading = document.createElement("h2");
  heading.id = "versions-name";
  heading.textContent = gettext("Another tab has saved something newer");
  const lead = document.createElement("p");
  lead.textContent = gettext("Nothing is lost: both are here. Choose the one to go on with.");
  const versions = document.createElement("div");
  versions.className = "versions";
  versions.append(
    version(gettext("What this tab has"), gettext("Go on with what this tab has"), form, mine, "mine"),
    version(gettext("What is stored"), gettext("Go on with what is stored"), form, theirs, "theirs"),
  );
  inner.append(heading, lead, versions);
  dialog.append(inner);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (dialog.returnValue) decided(dialog.returnValue === "theirs");
  });
  document.body.append(dialog);
  dialog.showModal();
}
