// What differs between two texts, word by word. Joining same and old gives the old text, same and
// new the new one: spaces and line breaks are words here.

const WORDS = /\n|[^\S\n]+|[\p{L}\p{M}\p{N}'’_-]+|[^\s]/gu;
const MOST_CELLS = 4_000_000;

export const wordsOf = (text) => text.match(WORDS) ?? [];

/** Return [{op: "same" | "old" | "new", text}], by a longest common subsequence. */
export function wordDiff(oldText, newText) {
  const a = wordsOf(oldText);
  const b = wordsOf(newText);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (
    tail < a.length - head && tail < b.length - head
    && a[a.length - 1 - tail] === b[b.length - 1 - tail]
  ) tail += 1;
  const middle = between(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  return joined([
    ...a.slice(0, head).map((text) => ({ op: "same", text })),
    ...middle,
    ...a.slice(a.length - tail).map((text) => ({ op: "same", text })),
  ]);
}

function between(a, b) {
  const all = (words, op) => words.map((text) => ({ op, text }));
  // Texts as long as this have changed as a whole, or nobody reads their words one by one.
  if (a.length * b.length > MOST_CELLS) return [...all(a, "old"), ...all(b, "new")];
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] = a[i] === b[j]
        ? longest[(i + 1) * width + j + 1] + 1
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const segments = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      segments.push({ op: "same", text: a[i] });
      i += 1;
      j += 1;
    } else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
      segments.push({ op: "old", text: a[i] });
      i += 1;
    } else {
      segments.push({ op: "new", text: b[j] });
      j += 1;
    }
  }
  return [...segments, ...all(a.slice(i), "old"), ...all(b.slice(j), "new")];
}

/** Join what belongs together; a mere space between two changes belongs to both of them. */
function joined(segments) {
  const result = [];
  let change = { old: "", new: "" };
  const close = () => {
    for (const op of ["old", "new"]) if (change[op]) result.push({ op, text: change[op] });
    change = { old: "", new: "" };
  };
  segments.forEach(({ op, text }, at) => {
    const bridges = /^[^\S\n]+$/.test(text) && (change.old || change.new)
      && at + 1 < segments.length && segments[at + 1].op !== "same";
    if (op !== "same") {
      change[op] += text;
    } else if (bridges) {
      change.old += text;
      change.new += text;
    } else {
      close();
      if (result.at(-1)?.op === "same") result.at(-1).text += text;
      else result.push({ op, text });
    }
  });
  close();
  return result;
}
