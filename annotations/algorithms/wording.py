"""Which texts are worded most like another one.

A text is a vector: the sum of its different words, each weighted by how rare it is among the texts
compared (idf). Half of a word is the word itself, half are the three-letter pieces of it, so that
`egg` and `eggs`, or a word and its misspelling, are near each other. The similarity of two texts is
the cosine: 1 for the same words in whatever order, 0 where no word has a piece in common. Nothing
was learned from any language: two texts that say the same in other words are not found.
"""

from __future__ import annotations

import heapq
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")
Vector = Mapping[str, float]

NEARLY_THE_SAME = 0.8
"""From here on texts differ in a word or two, or in their order: our rule of thumb."""
LEAST = 0.1
"""What is less like a text shares its most frequent words alone, and is left out."""
FLOOR = 0.2
"""What a word weighs that is in every text."""
PIECE = 3
CHECKED = 10
"""For each text that is wanted so many are looked at closely."""
MOST_CHARS = 4000
"""Of a text no more is read."""

# Where no spaces part words (Han, Hiragana, Katakana), each character stands for one.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


def words(text: str) -> frozenset[str]:
    """Return the different words of a text.

    >>> sorted(words("Boil an EGG, an egg!")), sorted(words("写诗"))
    (['an', 'boil', 'egg'], ['写', '诗'])
    """
    return frozenset(_WORD.findall(unicodedata.normalize("NFKC", text[:MOST_CHARS]).casefold()))


def nearest(text: str, others: Iterable[tuple[T, str]], count: int) -> list[tuple[T, float]]:
    """Return which others are worded most like a text, with their similarity, the most so first.

    Of equal ones the first stays first. Texts that are hardly alike are left out, and nothing is
    like a text without words.

    >>> eggs = [(1, "How long do eggs boil?"), (2, "Name a river."), (3, "Boil an egg?")]
    >>> [(key, round(value, 2)) for key, value in nearest("boil an egg", eggs, 5)]
    [(3, 1.0), (1, 0.19)]
    """
    own = words(text)
    compared = [(key, words(other)) for key, other in others]
    weight = _weights([of_one for _, of_one in compared])
    target = _vector(own, weight)
    size = _size(target)
    if not size:
        return []
    # Closely to look at all of them takes ten times as long. Here the pieces that words of one text
    # have in common are not reckoned with.
    share: dict[str, float] = {}
    for _, of_one in compared:
        for word in of_one:
            if word not in share:
                share[word] = weight(word) * _dot(_word_vector(word), target)
    rough = []
    for place, (_, of_one) in enumerate(compared):
        common = sum(share[word] for word in of_one)
        if common:
            length = math.sqrt(sum(weight(word) ** 2 for word in of_one))
            rough.append((common / length, -place))
    found = []
    for _, place in heapq.nlargest(CHECKED * count, rough):
        key, of_one = compared[-place]
        vector = _vector(of_one, weight)
        similarity = min(1.0, _dot(vector, target) / (_size(vector) * size))
        if similarity >= LEAST:
            found.append((similarity, place, key))
    best = heapq.nlargest(count, found, key=lambda one: one[:2])
    return [(key, similarity) for similarity, _, key in best]


def _weights(texts: list[frozenset[str]]) -> Callable[[str], float]:
    frequency = Counter(word for of_one in texts for word in of_one)
    kept = {
        word: math.log((1 + len(texts)) / (1 + often)) + FLOOR for word, often in frequency.items()
    }
    unheard = math.log(1 + len(texts)) + FLOOR
    return lambda word: kept.get(word, unheard)


def _vector(of_one: frozenset[str], weight: Callable[[str], float]) -> Vector:
    vector: dict[str, float] = {}
    # Sorted, since a sum of floats depends on its order and that of a set on the process.
    for word in sorted(of_one):
        for feature, value in _word_vector(word).items():
            vector[feature] = vector.get(feature, 0.0) + weight(word) * value
    return vector


def _word_vector(word: str) -> Vector:
    """Return a word and its pieces, of length 1. A piece has a space before it, a word has not."""
    padded = f"^{word}$"
    pieces = Counter(padded[at : at + PIECE] for at in range(max(1, len(padded) - PIECE + 1)))
    length = math.sqrt(2 * sum(often**2 for often in pieces.values()))
    vector = {f" {piece}": often / length for piece, often in pieces.items()}
    vector[word] = math.sqrt(0.5)
    return vector


def _dot(one: Vector, other: Vector) -> float:
    return sum(value * other[feature] for feature, value in one.items() if feature in other)


def _size(vector: Vector) -> float:
    return math.sqrt(sum(value**2 for value in vector.values()))
