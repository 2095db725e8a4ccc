"""Whether somebody who ranks or rates leans to what they saw first, or to what is longer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations

from django.db.models import QuerySet
from django.db.models.functions import Length

from annotations.algorithms.winrate import WinRate, win_rate
from annotations.models import Annotation, Kind, RankedCompletion, RatingAnswer

Order = Mapping[int, int]
"""How good each completion was found, the more the better."""


def ordered_leanings(said: QuerySet[Annotation], newest: int) -> tuple[WinRate, WinRate]:
    """Return of the texts put in order how often the earlier shown and the longer one won.

    Every two completions of a ranking that are not tied, and every two of a rating with other
    points on one scale. The pairs of one answer are not independent, so an answer is a cluster.
    """
    work = said.filter(kind__in=(Kind.RANKING, Kind.RATING)).order_by("-created_at", "-id")
    shown = dict(work.values_list("id", "shown_order")[:newest])
    earlier: list[tuple[int, float]] = []
    longer: list[tuple[int, float]] = []
    if not shown:
        return win_rate(earlier), win_rate(longer)
    lengths: dict[int, int] = {}
    for annotation, order in _orders(list(shown), lengths):
        places = {completion: place for place, completion in enumerate(shown[annotation])}
        for one, other in combinations(order, 2):
            if order[one] == order[other]:
                continue
            better, worse = (one, other) if order[one] > order[other] else (other, one)
            if better in places and worse in places:
                earlier.append((annotation, float(places[better] < places[worse])))
            if lengths[better] != lengths[worse]:
                longer.append((annotation, float(lengths[better] > lengths[worse])))
    return win_rate(earlier), win_rate(longer)


def _orders(annotations: list[int], lengths: dict[int, int]) -> Iterator[tuple[int, Order]]:
    """Yield each order that was given, and fill in how long the texts are."""
    found: dict[tuple[int, str], dict[int, int]] = defaultdict(dict)
    ranked = RankedCompletion.objects.filter(ranking__in=annotations).values_list(
        "ranking_id", "completion_id", "tier", Length("completion__text")
    )
    for ranking, completion, tier, length in ranked:
        found[ranking, ""][completion] = -tier
        lengths[completion] = length
    # A flag is no order: that one holds of a text makes it neither better nor worse.
    scales = _scales(annotations)
    rated = RatingAnswer.objects.filter(rating__in=list(scales)).values_list(
        "rating_id", "completion_id", "question", "value", Length("completion__text")
    )
    for rating, completion, question, value, length in rated:
        if question in scales[rating]:
            found[rating, question][completion] = value
            lengths[completion] = length
    for (annotation, _), order in found.items():
        yield annotation, order


def _scales(annotations: list[int]) -> dict[int, set[str]]:
    """Return the names of the scales of each rating; not of what is asked beside a ranking."""
    asked = Annotation.objects.filter(id__in=annotations, kind=Kind.RATING)
    return {
        rating: {one["name"] for one in questions if one["form"] == "scale"}
        for rating, questions in asked.values_list("id", "rating__scheme__questions")
    }
