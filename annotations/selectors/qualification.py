"""Who may do which kind of work, and how far people are in qualifying for it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from annotations.models import (
    Completion,
    Group,
    Item,
    Kind,
    KindRule,
    Project,
    ScreeningAnswer,
    TestAttempt,
    User,
)
from annotations.prepared import Prepared, Slot

SCREENED = (Kind.COMPARISON,)
"""Kinds that have practice and tests."""

OUTCOMES = ("left", "right", "tie", "both_bad")


@dataclass(frozen=True)
class ClosedKind:
    """A kind of work that the queue does not hand somebody, and what they can do about it."""

    kind: str
    needs_test: bool
    """False: they are not in the group."""

    @property
    def label(self) -> str:
        return Kind(self.kind).label


@dataclass(frozen=True)
class Question:
    """A gold item as one person sees it: in an order of their own, without its answer."""

    item: Item
    shown: list[Completion]
    number: int
    of: int

    def better(self, outcome: str) -> int | str:
        """Return what an outcome says about the completions, whatever their order was."""
        sides = {"left": self.shown[0].pk, "right": self.shown[1].pk}
        return sides.get(outcome, outcome)


@dataclass(frozen=True)
class Standing:
    """How far a person is in qualifying for a kind."""

    rule: KindRule
    practice_left: int
    attempts: list[TestAttempt]

    @property
    def passed(self) -> bool:
        return any(attempt.passed for attempt in self.attempts)

    @property
    def running(self) -> TestAttempt | None:
        return next((one for one in self.attempts if one.passed is None), None)

    @property
    def attempts_left(self) -> int:
        return max(0, self.rule.attempts - len(self.attempts))


def closed_kinds(user: User, project: Project) -> list[ClosedKind]:
    """Return the kinds of work that the queue does not hand a person."""
    rules = _CLOSING_RULES(person=user.pk, project=project.pk)
    return [ClosedKind(kind, needs_test=is_inside) for kind, is_inside in rules]


def _closing_rules(*, person: Slot, project: Slot) -> QuerySet[KindRule, tuple[str, bool]]:
    in_group = Group.objects.filter(id=OuterRef("group"), members__user=person)
    passed = TestAttempt.objects.filter(
        project=OuterRef("project"), kind=OuterRef("kind"), person=person, passed=True
    )
    outside = Q(group__isnull=False) & ~Exists(in_group)
    untested = Q(is_tested=True) & ~Exists(passed)
    rules = KindRule.objects.filter(outside | untested, project=project).annotate(
        is_inside=Q(group__isnull=True) | Exists(in_group)
    )
    return rules.values_list("kind", "is_inside")


_CLOSING_RULES = Prepared(_closing_rules, "person", "project")


def qualification_of(person: User, rule: KindRule) -> Standing:
    """Return how far a person is in qualifying for the kind of a rule."""
    attempts = TestAttempt.objects.filter(
        project=rule.project_id, kind=rule.kind, person=person
    ).order_by("id")
    return Standing(rule, practice_left_for(person, rule).count(), list(attempts))


def practice_left_for(person: User, rule: KindRule) -> QuerySet[Item]:
    """Return the practice items that a person has not answered, the oldest first."""
    answered = ScreeningAnswer.objects.filter(person=person, attempt=None, item=OuterRef("pk"))
    return practice_items(rule.project, rule.kind).filter(~Exists(answered))


def practice_items(project: Project, kind: str) -> QuerySet[Item]:
    """Return the items that people practise with, the oldest first."""
    chosen = project.items.filter(practice__isnull=False, kind=kind)
    return chosen.select_related("practice", "prompt").order_by("id")


def gold_items(project: Project, kind: str) -> QuerySet[Item]:
    """Return the gold items of a kind that a test may ask, the newest first."""
    gold = project.items.filter(purpose=Item.Purpose.GOLD, kind=kind, gold__isnull=False)
    return gold.filter(practice__isnull=True).select_related("prompt").order_by("-id")


def question_about(person: User, item: Item, number: int, of: int) -> Question:
    """Return an item as a person sees it, in the order that chance gave them once for all."""
    shown = sorted(item.completions.all(), key=lambda completion: completion.pk)
    # Repeatable on purpose: the page and what is sent from it must have the same order.
    random.Random(f"{person.pk} {item.pk}").shuffle(shown)
    return Question(item, shown, number, of)


def known_answer(item: Item) -> int | str:
    """Return the completion that a gold comparison knows to be better, or that none is."""
    gold = item.gold or {}
    sides = {"left": gold.get("left"), "right": gold.get("right")}
    better = sides.get(gold.get("outcome", ""), gold.get("outcome"))
    assert better is not None  # as of every gold comparison
    return better
