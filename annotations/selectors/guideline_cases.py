"""Cases of guidelines: what gold items and people say about them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q

from annotations.algorithms.clauses import Case, Clause, changed_clauses, clauses_of
from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.prompts import content_hash
from annotations.algorithms.rankings import outcomes_from_ranking
from annotations.algorithms.shares import Share, wilson
from annotations.algorithms.text import same_words
from annotations.models import (
    EVALUATION,
    GENERAL,
    Comparison,
    Completion,
    GuidelineCase,
    GuidelineVersion,
    Item,
    Kind,
    KnownAnswer,
    Project,
    User,
    counted,
)
from annotations.selectors.queue import Literal

GOLD = Q(purpose=Literal(Item.Purpose.GOLD.value))
ASKED = GOLD & Q(open_slots__gt=0)
"""Not what was retired: what an owner has given up speaks against nothing, and asks nobody."""
OTHER_SIDE = {"left": "right", "right": "left"}
CHUNK = 500


@dataclass(frozen=True)
class CheckedCase:
    """A case, and the gold items that know another answer."""

    case: Case
    conflicts: list[KnownAnswer]


@dataclass(frozen=True)
class CheckedClause:
    """A clause with what was found about its cases."""

    slug: str
    title: str
    cases: list[CheckedCase]
    is_changed: bool


@dataclass(frozen=True)
class CheckedGuideline:
    """What there is to know about a text before it is published."""

    clauses: list[CheckedClause]
    errors: list[str]
    gone: list[Clause]
    """Clauses with cases that are in force and not in this text."""

    @property
    def cases(self) -> int:
        return sum(len(clause.cases) for clause in self.clauses)

    @property
    def conflicts(self) -> int:
        return sum(bool(one.conflicts) for clause in self.clauses for one in clause.cases)


@dataclass(frozen=True)
class ErrorRate:
    """How often a person chose otherwise than the cases of a clause that they were asked."""

    annotator: User
    wrong: int
    answered: int

    @property
    def otherwise(self) -> Share:
        return wilson(self.wrong, self.answered)


@dataclass
class ServedClause:
    """A clause whose cases may be served as gold items."""

    slug: str
    title: str
    cases: list[GuidelineCase] = field(default_factory=list)
    served: int = 0
    rates: list[ErrorRate] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return sum(rate.wrong for rate in self.rates)

    @property
    def answered(self) -> int:
        return sum(rate.answered for rate in self.rates)


def check_guideline(
    project: Project, part: str, text: str, in_force_now: GuidelineVersion | None
) -> CheckedGuideline:
    """Return the clauses of a text with their cases, held against the gold items."""
    clauses, errors = clauses_of(text)
    before = in_force_now.text if in_force_now else ""
    changed, gone = changed_clauses(before, text)
    slugs = {clause.slug for clause in changed}
    known = gold_conflicts(project, part, [case for clause in clauses for case in clause.cases])
    checked = [
        CheckedClause(
            clause.slug,
            clause.title,
            [CheckedCase(case, known.get(case.digest, [])) for case in clause.cases],
            clause.slug in slugs,
        )
        for clause in clauses
    ]
    return CheckedGuideline(checked, errors, [clause for clause in gone if clause.cases])


def gold_conflicts(
    project: Project, part: str, cases: Sequence[Case]
) -> dict[str, list[KnownAnswer]]:
    """Return the gold items that know another answer to a case, by the digest of the case.

    An item is about a case if it is asked still, has its prompt and shows both its answers: a
    comparison, or a ranking in which both have a place. A ranking knows no "both bad", so it never
    speaks against that one, nor against a tie that it has as a tie. What is known by the guidelines
    for evaluations speaks for those alone, and against what holds for every kind of work.
    """
    by_hash: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_hash[content_hash(case.messages)].append(case)
    found: dict[str, list[KnownAnswer]] = defaultdict(list)
    for item in _gold_items(project, list(by_hash)):
        if part != GENERAL and item.is_for_evaluation != (part == EVALUATION):
            continue
        texts = {one.pk: same_words(one.text) for one in item.completions.all()}
        for case in by_hash[item.prompt.content_hash]:
            outcome = _known_outcome(item, case, texts)
            if outcome and not _agrees(item, outcome, case.expected):
                found[case.digest].append({"item": item.pk, "outcome": outcome})
    return dict(found)


def served_clauses(version: GuidelineVersion) -> list[ServedClause]:
    """Return the clauses of a version that have cases, with who chose otherwise where served."""
    cases = list(version.cases.all())
    clauses: dict[str, ServedClause] = {}
    for case in cases:
        clauses.setdefault(case.clause, ServedClause(case.clause, case.title)).cases.append(case)
    by_fingerprint = {case.fingerprint: case for case in cases}
    gold = gold_of_cases(version.project, version.kind, list(by_fingerprint))
    by_item = {item: by_fingerprint[fingerprint] for item, fingerprint, _ in gold}
    for fingerprint in {fingerprint for _, fingerprint, is_asked in gold if is_asked}:
        clauses[by_fingerprint[fingerprint].clause].served += 1
    for slug, rates in _error_rates(version.project, by_item).items():
        clauses[slug].rates = rates
    return list(clauses.values())


def gold_of_cases(
    project: Project, part: str, fingerprints: Sequence[str]
) -> list[tuple[int, str, bool]]:
    """Return the gold comparisons that ask what the fingerprints are of, and whether they still do.

    One that was retired does not. Only what is known by the same part of the guidelines.
    """
    gold = project.items.filter(
        GOLD,
        kind=Literal(Kind.COMPARISON.value),
        gold__guidelines__isnull=part != EVALUATION,
    )
    rows = gold.filter(fingerprint__in=fingerprints).values_list("id", "fingerprint", "open_slots")
    return [(item, fingerprint, bool(places)) for item, fingerprint, places in rows]


def fingerprint_of_case(case: Case) -> str:
    """Return the fingerprint of a comparison that asks what a case is about."""
    return fingerprint_of(Kind.COMPARISON, case.messages, [case.first, case.second])


def _gold_items(project: Project, hashes: Sequence[str]) -> Iterable[Item]:
    for start in range(0, len(hashes), CHUNK):
        yield from (
            project.items.filter(
                ASKED,
                kind__in=[Kind.COMPARISON, Kind.RANKING],
                prompt__content_hash__in=hashes[start : start + CHUNK],
            )
            .select_related("prompt")
            .prefetch_related("completions")
            .order_by("id")
        )


def _known_outcome(item: Item, case: Case, texts: Mapping[int, str]) -> str:
    """Return what a gold item says of a case, as if it showed the case's first answer as A."""
    first = next((pk for pk, text in texts.items() if text == same_words(case.first)), None)
    second = next((pk for pk, text in texts.items() if text == same_words(case.second)), None)
    gold: dict[str, Any] | None = item.gold
    if first is None or second is None or not gold:
        return ""
    if item.kind == Kind.COMPARISON:
        return _oriented(gold["outcome"], gold["left"] == first)
    for one, other, label in outcomes_from_ranking(gold["tiers"]):
        if {one, other} == {first, second}:
            if label not in ("first", "second"):
                return "tie"
            return "left" if (label == "first") == (one == first) else "right"
    return ""


def _agrees(item: Item, outcome: str, expected: str) -> bool:
    if outcome == expected:
        return True
    return item.kind == Kind.RANKING and outcome == "tie" and expected == "both_bad"


def _oriented(outcome: str, is_same_order: bool) -> str:
    return outcome if is_same_order else OTHER_SIDE.get(outcome, outcome)


def _error_rates(
    project: Project, by_item: Mapping[int, GuidelineCase]
) -> dict[str, list[ErrorRate]]:
    """Return each clause's error rates, the highest first."""
    texts = dict(
        Completion.objects.filter(items__in=list(by_item)).values_list("id", "text").distinct()
    )
    answers = Comparison.objects.filter(
        counted("annotation__", project.pk), annotation__item__in=list(by_item)
    ).values_list("annotation__item_id", "annotation__annotator_id", "left_id", "outcome")
    wrong: Counter[tuple[str, int]] = Counter()
    answered: Counter[tuple[str, int]] = Counter()
    for item, person, left, outcome in answers.iterator(chunk_size=2000):
        case = by_item[item]
        is_same_order = same_words(texts[left]) == same_words(case.first)
        answered[case.clause, person] += 1
        wrong[case.clause, person] += _oriented(outcome, is_same_order) != case.expected
    people = User.objects.in_bulk({person for _, person in answered})
    rates: dict[str, list[ErrorRate]] = defaultdict(list)
    for (clause, person), count in answered.items():
        rates[clause].append(ErrorRate(people[person], wrong[clause, person], count))
    for found in rates.values():
        found.sort(key=lambda rate: (-rate.wrong / rate.answered, rate.annotator.username))
    return dict(rates)
