"""Who may do which kind of work and why, and how far people are in qualifying for it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.utils.translation import gettext as _

from annotations.models import (
    Group,
    Item,
    Kind,
    KindDecision,
    KindRule,
    Project,
    TestAttempt,
    User,
)
from annotations.prepared import Prepared, Slot
from annotations.selectors.screening import (
    SCREENED,
    Question,
    practice_items,
    practice_left_for,
    question_about,
)


@dataclass(frozen=True)
class ClosedKind:
    """A kind of work that the queue does not hand somebody, and what they can do about it."""

    kind: str
    needs_test: bool
    """False: they are not in the group, or an owner decided so."""
    is_used_up: bool = False
    """All goes at the test were failed."""
    withdrawn: str = ""
    """Why an owner decided so, if one did."""

    @property
    def label(self) -> str:
        return Kind(self.kind).label


@dataclass(frozen=True)
class Standing:
    """How far a person is in qualifying for a kind."""

    rule: KindRule
    practice_left: int
    attempts: list[TestAttempt]
    decision: KindDecision | None
    """What an owner decided by hand."""

    @property
    def passed(self) -> bool:
        return any(attempt.passed for attempt in self.attempts)

    @property
    def running(self) -> TestAttempt | None:
        return next((one for one in self.attempts if self._goes_on(one)), None)

    @property
    def waiting(self) -> TestAttempt | None:
        return next((one for one in self.attempts if one.is_waiting), None)

    @property
    def failed(self) -> list[TestAttempt]:
        return [attempt for attempt in self.attempts if attempt.passed is False]

    @property
    def attempts_left(self) -> int:
        return max(0, self.rule.attempts - len(self.attempts))

    @staticmethod
    def _goes_on(attempt: TestAttempt) -> bool:
        return attempt.passed is None and not attempt.is_waiting


@dataclass(frozen=True)
class KindStanding:
    """Whether a person may do a kind of work, and why."""

    kind: str
    is_open: bool
    why: str
    """In words, where nobody decided by hand."""
    decision: KindDecision | None
    has_test: bool
    """There is a test that they can see, or was one that they began."""

    @property
    def label(self) -> str:
        return Kind(self.kind).label


def closed_kinds(user: User, project: Project) -> list[ClosedKind]:
    """Return the kinds of work that the queue does not hand a person."""
    ids = {"person": user.pk, "project": project.pk}
    rules = _CLOSING_RULES(**ids)
    closed = {kind: ClosedKind(kind, inside, bool(used_up)) for kind, inside, used_up in rules}
    for kind, reason in _WITHDRAWN(**ids):
        closed[kind] = ClosedKind(kind, needs_test=False, withdrawn=reason)
    return list(closed.values())


def _closing_rules(
    *, person: Slot, project: Slot
) -> QuerySet[KindRule, tuple[str, bool, bool | None]]:
    in_group = Group.objects.filter(id=OuterRef("group"), members__user=person)
    taken = TestAttempt.objects.filter(
        project=OuterRef("project"), kind=OuterRef("kind"), person=person
    )
    passed = taken.filter(passed=True)
    failed = taken.filter(passed=False).order_by().values("kind").annotate(n=Count("id"))
    granted = KindDecision.objects.filter(
        project=OuterRef("project"),
        kind=OuterRef("kind"),
        person=person,
        is_granted=True,
        ended_at=None,
    )
    outside = Q(group__isnull=False) & ~Exists(in_group)
    untested = Q(is_tested=True) & ~Exists(passed)
    rules = KindRule.objects.filter(outside | untested, ~Exists(granted), project=project)
    rules = rules.annotate(
        is_inside=Q(group__isnull=True) | Exists(in_group),
        is_used_up=Q(attempts__lte=Subquery(failed.values("n"))),
    )
    return rules.values_list("kind", "is_inside", "is_used_up")


_CLOSING_RULES = Prepared(_closing_rules, "person", "project")


def _withdrawn(*, person: Slot, project: Slot) -> QuerySet[KindDecision, tuple[str, str]]:
    decisions = KindDecision.objects.filter(
        person=person, project=project, is_granted=False, ended_at=None
    )
    return decisions.values_list("kind", "reason")


_WITHDRAWN = Prepared(_withdrawn, "person", "project")


def decisions_by_hand(person: User, project: Project) -> dict[str, KindDecision]:
    """Return what owners decided about a person, by kind, as far as it holds."""
    held = KindDecision.objects.filter(person=person, project=project, ended_at=None)
    return {one.kind: one for one in held.select_related("made_by")}


def kind_standings(person: User, project: Project) -> list[KindStanding]:
    """Return for every kind of work whether a person may do it, and why."""
    closed = {one.kind for one in closed_kinds(person, project)}
    rules = {rule.kind: rule for rule in project.kind_rules.select_related("group")}
    by_hand = decisions_by_hand(person, project)
    inside = set(Group.objects.filter(project=project, members__user=person))
    attempts: dict[str, list[TestAttempt]] = defaultdict(list)
    for attempt in TestAttempt.objects.filter(project=project, person=person).order_by("id"):
        attempts[attempt.kind].append(attempt)
    return [
        KindStanding(
            kind,
            is_open=kind not in closed,
            why=_why(rules.get(kind), inside, attempts[kind]),
            decision=by_hand.get(kind),
            has_test=(kind in rules and rules[kind].is_tested) or bool(attempts[kind]),
        )
        for kind in Kind.values
    ]


def _why(rule: KindRule | None, inside: set[Group], attempts: list[TestAttempt]) -> str:
    """Return in words what a rule says of somebody with these groups and attempts."""
    if rule is None or (rule.group is None and not rule.is_tested):
        return _("It is for everybody.")
    words = []
    if rule.group is not None:
        is_in = rule.group in inside
        said = (
            _("It is for the group “%(group)s”: in it.")
            if is_in
            else _("It is for the group “%(group)s”: not in it.")
        )
        words.append(said % {"group": rule.group})
    if rule.is_tested:
        said = _("It is for those who pass its test: %(how)s.")
        words.append(said % {"how": _test_in_words(attempts)})
    return " ".join(words)


def _test_in_words(attempts: list[TestAttempt]) -> str:
    passed = next((one for one in attempts if one.passed), None)
    if passed is not None:
        said = _("passed with %(percent)s %%, where %(needed)s %% were needed")
        return said % {"percent": passed.percent, "needed": passed.pass_percent}
    if not attempts:
        return _("not taken yet")
    last = attempts[-1]
    if last.is_waiting:
        return _("taken, and an owner is to judge it")
    if last.passed is None:
        return _("begun")
    said = _("not passed, with %(percent)s %% where %(needed)s %% were needed")
    return said % {"percent": last.percent, "needed": last.pass_percent}


def qualification_of(person: User, rule: KindRule) -> Standing:
    """Return how far a person is in qualifying for the kind of a rule."""
    attempts = TestAttempt.objects.filter(
        project=rule.project_id, kind=rule.kind, person=person
    ).order_by("id")
    return Standing(
        rule,
        practice_left_for(person, rule).count(),
        list(attempts),
        decisions_by_hand(person, rule.project).get(rule.kind),
    )


def rule_of(person: User, project: Project, kind: str) -> KindRule | None:
    """Return the rule of a kind that has a test; or that had one, which the person began.

    Where a test is asked for no more, what was begun, waits or was judged is there as before.
    """
    if kind not in SCREENED:
        return None
    rule = project.kind_rules.filter(kind=kind).first() or KindRule(project=project, kind=kind)
    begun = project.test_attempts.filter(kind=kind, person=person)
    is_there = rule.is_tested or begun.exists() or practice_items(project, kind).exists()
    return rule if is_there else None


def next_question(person: User, rule: KindRule) -> Question | None:
    """Return what a person is to answer next, of a test that runs or else of the practice."""
    running = qualification_of(person, rule).running
    if running is not None:
        number = running.answers.count()
        items = Item.objects.select_related("prompt", "rating_scheme")
        item = items.get(id=running.items[number])
        return question_about(person, item, number + 1, len(running.items))
    left = list(practice_left_for(person, rule))
    if not left:
        return None
    every = practice_items(rule.project, rule.kind).count()
    return question_about(person, left[0], every - len(left) + 1, every)
