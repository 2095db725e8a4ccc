// What scripts say, in the language of the page: the page carries the words, by the English ones.

const words = JSON.parse(document.getElementById("words")?.textContent ?? "{}");

export function gettext(english) {
  return words[english] ?? english;
}

/** Say a sentence with values in the places that it leaves open, such as {count}. */
export function say(english, values) {
  return gettext(english).replaceAll(/\{(\w+)\}/g, (_, name) => values[name]);
}
