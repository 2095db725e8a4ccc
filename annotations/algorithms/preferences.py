"""From comparisons and rewrites to preference pairs and scores.

Ratings give no pairs. A 6 for one answer and a 4 for another are two judgements, each made for
itself; people drift along the scale in a day and use it differently from one another, so their
difference is not the preference that asking for one yields. Where both are wanted the ranking
asks the questions first, and gives the pairs. Neither does an assembly: that its author found
the whole better than each of its sources is likely, but nobody was asked.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")

MARGINS = {"significantly": 1.0, "better": 2 / 3, "slightly": 1 / 3, "negligibly": 0.0}
"""How far apart a reward model should put two completions (Llama 2, arXiv 2307.09288, 3.2.2)."""

UNSTATED_MARGIN = 0.0
"""Someone who did not say how much better asks for no margin: the loss is plain Bradley-Terry."""

REWRITE_MARGIN = MARGINS["slightly"]
"""Who rewrites an answer says that theirs is better, but not by how much.

It is sure to be a difference, so there is a margin; it is the same answer made better, so the
margin is the least that a stated strength gives.
"""


def margin_for(strength: str) -> float:
    """Return the margin that a stated strength asks for; none for an unstated one.

    >>> margin_for("significantly"), margin_for("")
    (1.0, 0.0)
    """
    if not strength:
        return UNSTATED_MARGIN
    return MARGINS[strength]


def pair_from_comparison(left: T, right: T, outcome: str) -> tuple[T, T] | None:
    """Return (chosen, rejected), or None where nothing was chosen.

    A tie and "both bad" give no pair.

    >>> pair_from_comparison("a", "b", "right")
    ('b', 'a')
    >>> pair_from_comparison("a", "b", "tie") is None
    True
    """
    match outcome:
        case "left":
            return left, right
        case "right":
            return right, left
        case "tie" | "both_bad":
            return None
    raise ValueError(f"An outcome is left, right, tie or both_bad, not {outcome!r}.")


def pair_from_rewrite(original: T, edited: T) -> tuple[T, T]:
    """Return (chosen, rejected): the edited text was written because the original fell short.

    Where the original itself had won a comparison, that comparison gives its own pair, and
    edited > chosen > rejected is the chain of the two.

    >>> pair_from_rewrite("a frog jump", "a frog jumps")
    ('a frog jumps', 'a frog jump')
    """
    return edited, original


def score_for(outcome: str, *, side: str) -> float:
    """Return what a comparison is worth to one side: a win 1, a loss 0, anything else one half.

    >>> score_for("left", side="left"), score_for("left", side="right")
    (1.0, 0.0)
    >>> score_for("both_bad", side="left")
    0.5
    """
    pair = pair_from_comparison("left", "right", outcome)
    if pair is None:
        return 0.5
    return 1.0 if pair[0] == side else 0.0
