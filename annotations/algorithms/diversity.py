"""How different texts are from each other: distinct n-grams and self-BLEU.

Both are counted over words, small-lettered; a mark of punctuation is a word. A model that has come
to say the same whatever it is asked has few distinct n-grams and a high self-BLEU.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from math import exp, log

WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
BLEU_ORDER = 4
SMOOTHING = 0.1
"""What a count of no match is taken for (Chen and Cherry 2014, method 1)."""

Gram = tuple[str, ...]


def words_of(text: str) -> list[str]:
    """Return the words of a text, small.

    >>> words_of("The frog's leap!")
    ['the', "frog's", 'leap', '!']
    """
    return WORD.findall(text.lower())


def distinct(texts: Sequence[str], n: int) -> float:
    """Return the share of the n-grams of all texts that differ (Li et al. 2016, arXiv:1510.03055).

    It falls with the amount of text: only as many texts of about one length can be compared. Texts
    without an n-gram give 0.

    >>> distinct(["a frog", "a pond"], 1), distinct(["a frog", "a pond"], 2), distinct([""], 1)
    (0.75, 1.0, 0.0)
    """
    grams = [gram for text in texts for gram in _grams(words_of(text), n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def self_bleu(texts: Sequence[str]) -> list[float]:
    """Return the BLEU-4 of each text against all others (Zhu et al. 2018, arXiv:1802.01886).

    1 is what another text says word for word, near 0 what no other resembles; a text without a
    word, and one alone, resemble nothing. The brevity penalty takes the other whose length is
    nearest, the shorter of two.

    >>> [round(one, 2) for one in self_bleu(["a frog in the pond", "a frog in the pond", "snow"])]
    [1.0, 1.0, 0.0]
    """
    words = [words_of(text) for text in texts]
    counts = [[Counter(_grams(one, n)) for one in words] for n in range(1, BLEU_ORDER + 1)]
    most = [_two_largest(of_order) for of_order in counts]
    lengths = [len(one) for one in words]
    return [_bleu(number, counts, most, lengths) for number in range(len(texts))]


def _bleu(
    number: int,
    counts: Sequence[Sequence[Counter[Gram]]],
    most: Sequence[dict[Gram, tuple[int, int, int]]],
    lengths: Sequence[int],
) -> float:
    """Return BLEU of one text; orders that it is too short for are left out."""
    if not lengths[number] or len(lengths) < 2:
        return 0.0
    logs: list[float] = []
    for of_order, largest in zip(counts, most, strict=True):
        own = of_order[number]
        if not own:
            break
        matched = sum(
            min(count, _largest_elsewhere(largest[gram], number)) for gram, count in own.items()
        )
        if not matched and not logs:
            return 0.0  # not even a word in common
        logs.append(log((matched or SMOOTHING) / own.total()))
    others = [length for place, length in enumerate(lengths) if place != number]
    nearest = min(others, key=lambda length: (abs(length - lengths[number]), length))
    penalty = min(0.0, 1 - nearest / lengths[number])
    return exp(penalty + sum(logs) / len(logs))


def _two_largest(counts: Sequence[Counter[Gram]]) -> dict[Gram, tuple[int, int, int]]:
    """Return of each n-gram its largest count, whose that is, and the next largest elsewhere."""
    found: dict[Gram, tuple[int, int, int]] = {}
    for number, own in enumerate(counts):
        for gram, count in own.items():
            largest, owner, second = found.get(gram, (0, -1, 0))
            if count > largest:
                found[gram] = (count, number, largest)
            elif count > second:
                found[gram] = (largest, owner, count)
    return found


def _largest_elsewhere(largest: tuple[int, int, int], number: int) -> int:
    count, owner, second = largest
    return second if owner == number else count


def _grams(words: Sequence[str], n: int) -> list[Gram]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
