"""The questions of practice and tests: gold items, how a person sees them, and how far an answer is
the known one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from annotations.algorithms.gold import (
    RatedPoint,
    rated_points,
    share_ranked_right,
    share_rated_right,
)
from annotations.algorithms.text import letter_of
from annotations.models import (
    WRITTEN_KINDS,
    Completion,
    Item,
    Kind,
    KindRule,
    Project,
    Review,
    ScreeningAnswer,
    TestAttempt,
    User,
)
from annotations.selectors.gold import SCORED

UNSERVED = (Kind.REVIEW, *WRITTEN_KINDS)
"""Kinds whose gold is asked in practice and tests alone: no queue hands it out. Of a text nothing
is known that another could be held against, and a review decides about somebody's work."""

SCREENED = (*SCORED, *UNSERVED)
"""Kinds that have practice and tests. What is written in a test, an owner judges."""

OUTCOMES = ("left", "right", "tie", "both_bad")


@dataclass(frozen=True)
class Question:
    """A gold item as one person sees it: in an order of their own, without its answer."""

    item: Item
    shown: list[Completion]
    number: int
    of: int

    @property
    def order(self) -> list[int]:
        return [completion.pk for completion in self.shown]

    @property
    def texts(self) -> list[str]:
        return [completion.text for completion in self.shown]

    @property
    def lettered(self) -> list[tuple[str, str]]:
        """Return the letter and the text of each completion."""
        return [(letter_of(position), text) for position, text in enumerate(self.texts, start=1)]

    @property
    def letters(self) -> dict[int, str]:
        return {pk: letter_of(position) for position, pk in enumerate(self.order, start=1)}

    def better(self, outcome: str) -> int | str:
        """Return what an outcome says about the completions, whatever their order was."""
        sides = {"left": self.shown[0].pk, "right": self.shown[1].pk}
        return sides.get(outcome, outcome)


@dataclass(frozen=True)
class RatedInWords:
    """A question of a rating with what a person said and what is known, in words."""

    letter: str
    text: str
    given: str
    known: str
    is_right: bool


@dataclass(frozen=True)
class Written:
    """What a person wrote in a test, and the question that it answers."""

    question: Question
    answer: ScreeningAnswer

    @property
    def example(self) -> str:
        return str(known_answer(self.question.item))


def practice_left_for(person: User, rule: KindRule) -> QuerySet[Item]:
    """Return the practice items that a person has not answered, the oldest first."""
    answered = ScreeningAnswer.objects.filter(person=person, attempt=None, item=OuterRef("pk"))
    left = practice_items(rule.project, rule.kind).filter(~Exists(answered))
    return left.exclude(subject__annotator=person)  # nobody reviews what they wrote


def practice_items(project: Project, kind: str) -> QuerySet[Item]:
    """Return the items that people practise with, the oldest first."""
    chosen = project.items.filter(practice__isnull=False, kind=kind)
    return chosen.select_related("practice", "prompt", "rating_scheme").order_by("id")


def gold_items(project: Project, kind: str) -> QuerySet[Item]:
    """Return the gold items of a kind that a test may ask, the newest first.

    Not those that are retired or known by the guidelines for evaluations, nor rankings that are
    known to tie everything, nor ratings of which nothing is known.
    """
    gold = project.items.filter(purpose=Item.Purpose.GOLD, kind=kind, gold__isnull=False)
    gold = gold.filter(gold__guidelines__isnull=True)
    # Of what no queue hands out the places say only whether it is asked.
    gold = gold.filter(Q(open_slots__gt=0) | Q(kind__in=UNSERVED, overlap__gt=0))
    if kind == Kind.RANKING:
        gold = gold.filter(gold__tiers__1__isnull=False)
    if kind == Kind.RATING:
        gold = gold.filter(gold__answers__isnull=False).exclude(gold__answers={})
    return gold.filter(practice__isnull=True).select_related("prompt").order_by("-id")


def question_about(person: User, item: Item, number: int, of: int) -> Question:
    """Return an item as a person sees it, in the order that chance gave them once for all."""
    shown = sorted(item.completions.all(), key=lambda completion: completion.pk)
    # Repeatable on purpose: the page and what is sent from it must have the same order.
    random.Random(f"{person.pk} {item.pk}").shuffle(shown)
    return Question(item, shown, number, of)


def known_answer(item: Item) -> Any:
    """Return what a gold item knows, as an answer to it is kept.

    The completion that is better or that none is, the tiers, the points, the decision, or an
    example of a text.
    """
    gold = item.gold or {}
    match Kind(item.kind):
        case Kind.COMPARISON:
            sides = {"left": gold.get("left"), "right": gold.get("right")}
            known = sides.get(gold.get("outcome", ""), gold.get("outcome"))
        case Kind.RANKING:
            known = gold.get("tiers")
        case Kind.RATING:
            known = gold.get("answers")
        case Kind.REVIEW:
            known = gold.get("decision")
        case _:
            known = gold.get("text")
    assert known is not None  # as of every gold item of its kind
    return known


def share_right(item: Item, said: Any) -> float:
    """Return how much of an answer to a gold item of a scored kind is as known, from 0 to 1."""
    known = known_answer(item)
    match Kind(item.kind):
        case Kind.RANKING:
            return share_ranked_right({"tiers": known}, said)
        case Kind.RATING:
            return share_rated_right(known, said, _questions(item))
        case _:
            return float(said == known)


def in_letters(question: Question, said: Any) -> str:
    """Return in words what a comparison, a ranking or a review says, by the letters of a person."""
    if question.item.kind == Kind.REVIEW:
        return _(Review.Decision(said).label)
    letters = question.letters
    if question.item.kind == Kind.RANKING:
        tiers = (sorted(letters[one] for one in tied) for tied in said)
        return _(", then ").join(_(" and ").join(tied) for tied in tiers)
    words = {"tie": _("Neither is better"), "both_bad": _("Both are bad")}
    if isinstance(said, str):
        return words[said]
    return _("%(letter)s is better") % {"letter": letters[said]}


def rated_in_words(question: Question, said: Any) -> list[RatedInWords]:
    """Return, point by point, what a person said in a rating and what is known."""
    asked = _questions(question.item)
    texts = {one["name"]: one["text"] for one in asked}
    flags = {one["name"] for one in asked if one["form"] == "flag"}
    letters = {str(pk): letter for pk, letter in question.letters.items()}
    found = [
        RatedInWords(
            letters[point.completion],
            texts[point.question],
            _in_words(point.given, is_flag=point.question in flags),
            _in_words(point.known, is_flag=point.question in flags),
            point.is_right,
        )
        for point in _points(question.item, said)
    ]
    return sorted(found, key=lambda one: one.letter)


def tests_to_judge(project: Project, judge: User) -> QuerySet[TestAttempt]:
    """Return the written tests that wait for an owner, the oldest first; not their own."""
    waiting = project.test_attempts.filter(passed=None, finished_at__isnull=False)
    theirs = waiting.filter(person__is_active=True).exclude(person=judge)
    return theirs.order_by("finished_at", "id")


def written_in(attempt: TestAttempt) -> list[Written]:
    """Return what was written in a test, in the order in which it was asked."""
    answers = attempt.answers.select_related("item__prompt", "verdict").order_by("id")
    answers = answers.prefetch_related("item__completions")
    return [
        Written(question_about(attempt.person, answer.item, number, len(attempt.items)), answer)
        for number, answer in enumerate(answers, start=1)
    ]


def _points(item: Item, said: Mapping[str, Mapping[str, int]]) -> Iterator[RatedPoint]:
    return rated_points(known_answer(item), said, _questions(item))


def _questions(item: Item) -> Sequence[Any]:
    return item.rating_scheme.questions if item.rating_scheme else []


def _in_words(value: int | None, *, is_flag: bool) -> str:
    if value is None:
        return _("no answer")
    return (_("yes") if value else _("no")) if is_flag else str(value)
