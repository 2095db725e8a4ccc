"""From comparisons to preference pairs and scores."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")

MARGINS = {"significantly": 1.0, "better": 2 / 3, "slightly": 1 / 3, "negligibly": 0.0}
"""How far apart a reward model should put two completions (Llama 2, arXiv 2307.09288, 3.2.2)."""

UNSTATED_MARGIN = 0.0
"""Someone who did not say how much better asks for no margin: the loss is plain Bradley-Terry."""


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
