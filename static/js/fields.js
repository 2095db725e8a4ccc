// The fields of an answer as [name, value] pairs, and back into the form.

import { gettext } from "./words.js";

const NOT_ENTERED = ["csrfmiddlewaretoken", "draft_revision", "active_ms", "correcting"];

export function fieldsOf(form) {
  return [...new FormData(form)].filter(
    ([name, value]) => !NOT_ENTERED.includes(name) && typeof value === "string",
  );
}

/** Return the fields as the server sent them: a quick writer may have begun before this file came. */
export function servedFieldsOf(form) {
  return [...form.elements]
    .filter((control) => control.name && !control.disabled && control.matches("input, textarea, select"))
    .filter((control) => !NOT_ENTERED.includes(control.name))
    .filter((control) => !control.matches("[type=radio], [type=checkbox]") || control.defaultChecked)
    .map((control) => [control.name, control.defaultValue ?? control.value]);
}

/**
 * Say whether two lists of fields are the same, but for the line ends that browsers send and the
 * order that a database keeps the names in.
 */
export function isSame(some, others) {
  const byName = ([a], [b]) => Number(a > b) - Number(a < b);
  const plain = (fields) => JSON.stringify(
    fields.map(([n, v]) => [n, v.replace(/\r\n?/g, "\n")]).sort(byName),
  );
  return plain(some) === plain(others);
}

/** Return the pairs of what the server keeps: lists of values by name. */
export function pairsOf(byName) {
  return Object.entries(byName ?? {}).flatMap(([name, values]) =>
    values.map((value) => [name, value]));
}

/** Put fields into a form; what they do not name becomes empty. */
export function fill(form, fields) {
  const values = new Map();
  for (const [name, value] of fields) values.set(name, [...(values.get(name) ?? []), value]);
  for (const control of form.elements) {
    // What is hidden says what the form is about, which is not entered.
    if (!control.name || control.type === "hidden") continue;
    const wanted = values.get(control.name) ?? [];
    if (control.matches("[type=radio], [type=checkbox]")) {
      control.checked = wanted.includes(control.value);
    } else if (control.matches("input, textarea, select")) {
      control.value = wanted.shift() ?? "";
    }
  }
  form.dispatchEvent(new CustomEvent("filled", { bubbles: true }));
}

export const hidden = (form, name) => form.elements.namedItem(name)?.value ?? "";

export function setHidden(form, name, value) {
  let field = form.elements.namedItem(name);
  if (!field) {
    field = document.createElement("input");
    field.type = "hidden";
    field.name = name;
    form.append(field);
  }
  field.value = String(value);
}

/** Return words for what was entered, for somebody who has to choose between two versions. */
export function inWords(form, fields) {
  const lines = fields.filter(([, value]) => value).map(([name, value]) => {
    const options = [...form.elements].filter((control) => control.name === name);
    const control = options.find((one) => one.type !== "radio" || one.value === value);
    const about = control?.closest("[role=radiogroup]")?.getAttribute("aria-label");
    const label = control?.getAttribute("aria-label");
    if (name === "reason") return `${gettext("Reason:")} ${value}`;
    if (name.startsWith("rating-") && about) return `${about} ${label}`;
    if (control?.type === "checkbox") return control.labels[0].textContent.trim();
    if (control?.type === "number") return `${label}: ${value}`;
    return control?.type === "radio" ? label : value;
  });
  return lines.join("\n") || gettext("Nothing entered");
}
