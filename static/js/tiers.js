// Rankings as lists of tiers, best first; those in one tier are tied. Every function returns new tiers.

const without = (tiers, item) =>
  tiers.map((tier) => tier.filter((other) => other !== item)).filter((tier) => tier.length);

export const tierOf = (tiers, item) => tiers.findIndex((tier) => tier.includes(item));

/** Give an item a tier of its own, before the tier that is now at `index`. */
export function putBefore(tiers, item, index) {
  const marked = tiers.map((tier, at) => ({ at, items: tier.filter((other) => other !== item) }));
  const before = marked.filter(({ at }) => at < index);
  const after = marked.filter(({ at }) => at >= index);
  return [...before.map(({ items }) => items), [item], ...after.map(({ items }) => items)]
    .filter((tier) => tier.length);
}

/** Tie an item with those in the tier that is now at `index`. */
export function putInto(tiers, item, index) {
  return tiers
    .map((tier, at) => {
      const others = tier.filter((other) => other !== item);
      return at === index ? [...others, item].sort((a, b) => a - b) : others;
    })
    .filter((tier) => tier.length);
}

/** Put an item below all others. */
export const append = (tiers, item) => putBefore(tiers, item, tiers.length);

export const remove = (tiers, item) => without(tiers, item);

/** Move an item one step towards the best: out of its tie, or past the tier above. */
export function up(tiers, item) {
  const at = tierOf(tiers, item);
  if (at < 0) return append(tiers, item);
  return putBefore(tiers, item, tiers[at].length > 1 ? at : at - 1);
}

/** Move an item one step towards the worst. */
export function down(tiers, item) {
  const at = tierOf(tiers, item);
  if (at < 0) return append(tiers, item);
  return putBefore(tiers, item, tiers[at].length > 1 ? at + 1 : at + 2);
}

/** Tie an item with the tier above it. */
export function join(tiers, item) {
  const at = tierOf(tiers, item);
  if (at < 0 && tiers.length) return putInto(tiers, item, tiers.length - 1);
  return at > 0 ? putInto(tiers, item, at - 1) : tiers;
}

/** Take an item out of its tie, below those it was tied with. */
export function split(tiers, item) {
  const at = tierOf(tiers, item);
  return at >= 0 && tiers[at].length > 1 ? putBefore(tiers, item, at + 1) : tiers;
}
