"""The cases of guidelines, for reward models to score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from annotations.algorithms.clauses import Case, clauses_of
from annotations.models import (
    GUIDELINE_PARTS,
    GuidelineDraft,
    GuidelineVersion,
    Project,
    User,
)

GUIDELINES = frozenset(kind for kind, _ in GUIDELINE_PARTS)
"""What guidelines are for: kinds of work, all of them, evaluations."""


class CaseRow(TypedDict):
    """A case of a clause: two answers to a prompt, and which of them is to be chosen."""

    clause: str
    title: str
    prompt: Sequence[Mapping[str, str]]
    first: str
    second: str
    expected: str
    why: str
    digest: str


def guideline_cases(project: Project, kind: str) -> list[CaseRow]:
    """Return the cases of the version in force, in its order."""
    newest = project.guideline_versions.filter(kind=kind).order_by("-version").first()
    if newest is None:
        return []
    return _cases_of(newest)


def cases_in_force(project: Project) -> list[CaseRow]:
    """Return the cases of all versions in force, kind by kind."""
    kinds = project.guideline_versions.order_by("kind").values_list("kind", flat=True).distinct()
    return [case for kind in kinds for case in guideline_cases(project, kind)]


def _cases_of(version: GuidelineVersion) -> list[CaseRow]:
    return [_row(one.clause, one.title, one.case) for one in version.cases.all()]


def draft_cases(project: Project, kind: str, author: User) -> list[CaseRow]:
    """Return the cases of a person's own draft; what is no case yet is left out."""
    draft = GuidelineDraft.objects.filter(project=project, kind=kind, author=author).first()
    clauses = clauses_of(draft.text)[0] if draft else []
    return [_row(clause.slug, clause.title, case) for clause in clauses for case in clause.cases]


def _row(clause: str, title: str, case: Case) -> CaseRow:
    return {
        "clause": clause,
        "title": title,
        "prompt": case.messages,
        "first": case.first,
        "second": case.second,
        "expected": case.expected,
        "why": case.why,
        "digest": case.digest,
    }
