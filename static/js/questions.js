// Questions with a scale: a digit answers the one in hand and goes on to the next.

import { choose, kind, work } from "./page.js";

const groups = () => [...(work()?.querySelectorAll(".points") ?? [])];
const isAnswered = (group) => Boolean(group.querySelector(":checked"));

/** Say whether digits answer questions here: where nothing else is asked, or one has the focus. */
export function isAsked(element) {
  return kind() === "rating" || Boolean(element.closest?.(".questions"));
}

function inHand() {
  const all = groups();
  const focused = document.activeElement?.closest?.(".points");
  return focused ?? all.find((group) => !isAnswered(group)) ?? null;
}

/** Answer the question in hand and put the next open one in hand. */
export function answerQuestion(point) {
  const group = inHand();
  const option = group?.querySelector(`[type=radio][value="${point}"]`);
  if (!option) return false;
  choose(option);
  const all = groups();
  const rest = [...all.slice(all.indexOf(group) + 1), ...all];
  const next = rest.find((other) => !isAnswered(other));
  next?.querySelector("[type=radio]").focus({ preventScroll: true });
  (next ?? group).scrollIntoView({ block: "nearest" });
}
