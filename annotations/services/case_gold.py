"""Cases of guidelines as gold items: they look like any other item, and check who works by them."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from annotations.models import (
    EVALUATION,
    Completion,
    GuidelineCase,
    GuidelineVersion,
    Item,
    Kind,
    Prompt,
    User,
)
from annotations.selectors.guideline_cases import gold_conflicts, gold_of_cases
from annotations.services.gold import GOLD_OVERLAP
from annotations.services.prompts import prompt_of
from annotations.services.rules import ServiceError, lock


@dataclass(frozen=True)
class GoldOfCases:
    """What became of the cases of a clause."""

    made: int
    there: int
    """Asked by a gold item that knows the same answer already."""
    contradicted: int
    """Left out, because a gold item knows another answer."""


@transaction.atomic
def make_gold_of_cases(version: GuidelineVersion, clause: str, user: User) -> GoldOfCases:
    """Make a gold item of each case of a clause that no gold item asks yet. Twice is once."""
    project = version.project
    lock(project)
    cases = list(version.cases.filter(clause=clause))
    if not cases:
        raise ServiceError("This clause has no cases in this version. Add some and publish them.")
    against = gold_conflicts(project, version.kind, [case.case for case in cases])
    there = gold_of_cases(project, version.kind, [case.fingerprint for case in cases])
    asked = {fingerprint for _, fingerprint, is_asked in there if is_asked}
    free = [case for case in cases if case.digest not in against]
    new = {case.fingerprint: case for case in free if case.fingerprint not in asked}
    for case in new.values():
        _make(version, case, user)
    return GoldOfCases(len(new), len(free) - len(new), len(cases) - len(free))


def _make(version: GuidelineVersion, case: GuidelineCase, user: User) -> None:
    prompt = prompt_of(version.project, case.case.messages, user, origin=Prompt.Origin.IMPORTED)
    first, second = (
        Completion.objects.create(prompt=prompt, text=text, origin=Completion.Origin.IMPORTED)
        for text in (case.first, case.second)
    )
    item = Item.objects.create(
        project=version.project,
        kind=Kind.COMPARISON,
        prompt=prompt,
        purpose=Item.Purpose.GOLD,
        overlap=GOLD_OVERLAP,
        open_slots=GOLD_OVERLAP,
        fingerprint=case.fingerprint,
        gold={
            "left": first.pk,
            "right": second.pk,
            "outcome": case.expected,
            "strength": "",
            **({"guidelines": EVALUATION} if version.is_for_evaluation else {}),
        },
    )
    item.completions.add(first, second)
