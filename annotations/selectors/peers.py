"""How often others said the same as one person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from django.db.models import Q, QuerySet

from annotations.algorithms.gold import share_rated_right
from annotations.algorithms.rankings import outcomes_from_ranking
from annotations.models import (
    Annotation,
    Comparison,
    Item,
    Kind,
    Project,
    RankedCompletion,
    Rating,
    RatingAnswer,
    User,
    in_force,
)
from annotations.selectors.gold import points_of

Alike = tuple[int, float]
"""An item, and how far somebody else said the same of it, from 0 to 1."""
Condition = Callable[[str], Q]
"""Which annotations are meant, by the path to them."""


def peers_of(
    project: Project, person: User, said: QuerySet[Annotation], newest: int
) -> dict[str, list[Alike]]:
    """Return by kind how far each answer of others is what a person said of the same item.

    Of rankings it is the share of pairs in the same order, of ratings the share of points that
    would count as right on a gold item. Not of gold items, as in the report on agreement; nor are
    decisions about disagreements anybody's answer.
    """
    work = said.exclude(item__purpose=Item.Purpose.GOLD).order_by("-created_at", "-id")
    found: dict[str, list[Alike]] = {}
    for kind in (Kind.COMPARISON, Kind.RANKING, Kind.RATING):
        own = dict(work.filter(kind=kind).values_list("id", "item_id")[:newest])
        if not own:
            continue
        mine, theirs = _those(list(own)), _of_others(kind, list(own.values()), person)
        if kind == Kind.COMPARISON:
            found[kind] = list(_compared_alike(mine, theirs))
        elif kind == Kind.RANKING:
            found[kind] = list(_ranked_alike(mine, theirs))
        else:
            found[kind] = list(_rated_alike(project, mine, theirs))
    return found


def _those(annotations: list[int]) -> Condition:
    return lambda path: Q(**{f"{path}id__in": annotations})


def _of_others(kind: str, items: list[int], person: User) -> Condition:
    """Return the condition that somebody else said it about one of the items.

    A condition and no query of their annotations: for that PostgreSQL reads all comparisons.
    """

    def theirs(path: str) -> Q:
        given = {"kind": kind, "item__in": items, "adjudication__isnull": True}
        said = Q(**{f"{path}{name}": value for name, value in given.items()})
        return in_force(path) & said & ~Q(**{f"{path}annotator": person})

    return theirs


def _compared_alike(mine: Condition, theirs: Condition) -> Iterator[Alike]:
    own = dict(_choices(mine))
    for item, choice in _choices(theirs):
        yield item, float(choice == own[item])


def _choices(said: Condition) -> Iterator[tuple[int, int | str]]:
    """Yield for each comparison the completion that was found better, or that none was."""
    rows = Comparison.objects.filter(said("annotation__")).values_list(
        "annotation__item_id", "left_id", "right_id", "outcome"
    )
    for item, left, right, outcome in rows:
        yield item, {"left": left, "right": right}.get(outcome, outcome)


def pairs_of(tiers: Sequence[Sequence[int]]) -> dict[tuple[int, int], str]:
    """Return what a ranking says of every two completions."""
    return {(a, b): label for a, b, label in outcomes_from_ranking(tiers)}


def _ranked_alike(mine: Condition, theirs: Condition) -> Iterator[Alike]:
    own = dict(_orders(mine))
    for item, pairs in _orders(theirs):
        if pairs:
            yield item, share_ordered_alike(pairs, own[item])


def share_ordered_alike(
    pairs: Mapping[tuple[int, int], str], others: Mapping[tuple[int, int], str]
) -> float:
    """Return of how many pairs of a ranking another one says the same."""
    return sum(others.get(pair) == label for pair, label in pairs.items()) / len(pairs)


def _orders(said: Condition) -> Iterator[tuple[int, dict[tuple[int, int], str]]]:
    """Yield for each ranking what it says of every two completions."""
    rows = (
        RankedCompletion.objects.filter(said("ranking__annotation__"))
        .order_by("ranking_id", "tier", "completion_id")
        .values_list("ranking_id", "ranking__annotation__item_id", "tier", "completion_id")
    )
    for (_, item), entries in groupby(rows, key=itemgetter(0, 1)):
        tiers = [[row[3] for row in tied] for _, tied in groupby(entries, key=itemgetter(2))]
        yield item, pairs_of(tiers)


def _rated_alike(project: Project, mine: Condition, theirs: Condition) -> Iterator[Alike]:
    questions = dict(project.rating_schemes.values_list("id", "questions"))
    own = {item: (scheme, points) for item, scheme, points in _points(mine)}
    for item, scheme, points in _points(theirs):
        if own[item][0] == scheme:
            yield item, share_rated_right(points, own[item][1], questions[scheme])


def _points(said: Condition) -> Iterator[tuple[int, int, dict[str, dict[str, int]]]]:
    """Yield for each rating its item, the questions and the answers."""
    answers = dict(points_of(RatingAnswer.objects.filter(said("rating__annotation__"))))
    ratings = Rating.objects.filter(said("annotation__"))
    for rating, item, scheme in ratings.values_list("pk", "annotation__item_id", "scheme_id"):
        yield item, scheme, answers.get(rating, {})
