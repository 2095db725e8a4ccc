"""What people go by, and that they have read it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.http import Http404
from pydantic import Field, StringConstraints

from annotations import access, selectors, services
from annotations.api.operations import DIGITS, Answer, Body, Call, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.api.people import owns
from annotations.api.problems import Problem
from annotations.exports import pseudonym
from annotations.models import (
    GUIDELINE_PARTS,
    GuidelineDraft,
    GuidelineVersion,
    Project,
    Role,
    Scope,
)

operations = Operations("Guidelines")

Part = Annotated[str, StringConstraints(pattern=f"^({'|'.join(k for k, _ in GUIDELINE_PARTS)})$")]
"""What guidelines are for."""


class GuidelineOut(Answer):
    """A published version of the guidelines for one kind of work. It never changes."""

    id: int
    kind: str = Field(
        description="A kind of work, `general` (what holds for every kind) or `evaluation` (by "
        "which evaluations are judged instead of `comparison`, where there are some)."
    )
    version: int
    text: str = Field(description="Markdown; of a kind, what holds for every kind comes first.")
    note: str = Field(description="What was new.")
    published_at: datetime


class GuidelineFilters(Paged):
    kind: Part | None = None
    version: Annotated[int, Field(ge=1, le=2**31 - 1), DIGITS] | None = None


class DraftOut(Answer):
    """One's own draft of guidelines, and what would have to be looked at before it is in force."""

    kind: str
    text: str
    note: str
    revision: int = Field(description="Rises with everything that is saved.")
    begun_from: int = Field(description="The version that the text was made from; 0: none.")
    in_force: int = Field(description="The version in force; 0: none.")
    errors: list[str] = Field(description="What is wrong with cases in the text.")
    conflicts: list[str] = Field(
        description="Clauses with a case to which a gold item knows another answer."
    )


class GuidelineDraftIn(Body):
    """What was written so far."""

    text: Annotated[str, StringConstraints(max_length=100_000)]
    note: Annotated[str, StringConstraints(max_length=300)] = ""
    revision: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        description="The newest draft that you know; 0 where there is none."
    )
    begun_from: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        None, description="The version that the text has in it; of a new draft that in force."
    )


class CaseOut(Answer):
    """A case of the guidelines: what somebody who goes by them chooses."""

    prompt: str
    first: str
    second: str
    expected: str
    why: str


class ChoseOtherwise(Answer):
    """How often somebody chose otherwise than the cases of a clause."""

    person: str
    wrong: int
    answered: int


class ClauseOut(Answer):
    """A clause of the guidelines in force that has cases."""

    slug: str
    title: str
    cases: list[CaseOut]
    served: int = Field(description="Of them, those that a gold item asks.")
    people: list[ChoseOtherwise] = Field(description="Names to owners, pseudonyms to others.")


class Clauses(Answer):
    """The clauses that have cases."""

    clauses: list[ClauseOut]


class ClauseToAsk(Body):
    """The clause whose cases are to be gold items."""

    clause: Annotated[str, StringConstraints(min_length=1, max_length=300)] = Field(
        description="Its `slug`."
    )


class GoldOfCasesOut(Answer):
    """What became of the cases of a clause."""

    made: int
    there: int = Field(description="Asked by a gold item that knows the same answer already.")
    contradicted: int = Field(description="Left out: a gold item knows another answer.")


class NewGuideline(Body):
    """The guidelines for a kind of work, to be put in force."""

    kind: Part
    text: Annotated[str, StringConstraints(max_length=100_000)] = Field(
        description="Markdown. Empty only to take those for `evaluation` out of use."
    )
    note: Annotated[str, StringConstraints(max_length=300)] = ""
    begun_from: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        description="The version that your text was made from; 0 where there was none. If another "
        "is in force by now, nothing is published."
    )


DRAFT = "projects/<int:project_id>/guidelines/<str:kind>/draft"


@operations.get("projects/<int:project_id>/guidelines")
def list_guidelines(call: Call, project_id: int, query: GuidelineFilters) -> Page[GuidelineOut]:
    """List all published guidelines of a project; of a kind, the highest version is in force."""
    project = access.get_project_for(call.user, project_id)
    same = query.model_dump(include={"kind", "version"}, exclude_none=True)
    found = project.guideline_versions.filter(**same).select_related("general")
    return page_of(found, query, _guideline)


@operations.get("guidelines/<int:version_id>")
def get_guideline(call: Call, version_id: int) -> GuidelineOut:
    """Show one published version."""
    return _guideline(access.get_guideline_version_for(call.user, version_id))


@operations.post("projects/<int:project_id>/guidelines", Scope.WRITE, status=201)
def publish_guideline(call: Call, project_id: int, body: NewGuideline) -> GuidelineOut:
    """Put guidelines in force. People read them before their next item. Owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    version = services.publish_guideline(
        project, body.kind, body.text, call.user, note=body.note, begun_from=body.begun_from
    )
    return _guideline(version)


@operations.post("guidelines/<int:version_id>/acknowledge", Scope.LABEL)
def acknowledge(call: Call, version_id: int) -> GuidelineOut:
    """Keep that the owner of the token has read a version. Twice is once."""
    version = access.get_guideline_version_for(call.user, version_id)
    services.acknowledge(call.user, version)
    return _guideline(version)


@operations.get(DRAFT)
def get_guideline_draft(call: Call, project_id: int, kind: str) -> DraftOut:
    """Show one's own draft of the guidelines for a kind of work, or of another part. Owners can.

    Where there is none it is what is in force, with revision 0.
    """
    project = _owned(call, project_id, kind)
    draft = selectors.guideline_draft(project, kind, call.user)
    return _draft(project, kind, draft)


@operations.put(DRAFT, Scope.WRITE)
def save_guideline_draft(
    call: Call, project_id: int, kind: str, body: GuidelineDraftIn
) -> DraftOut:
    """Keep a text as one's own draft. People still read what is in force. Owners can.

    It is refused where a newer draft is stored than `revision`.
    """
    project = _owned(call, project_id, kind)
    saved = services.save_guideline_draft(
        project,
        kind,
        body.text,
        call.user,
        note=body.note,
        revision=body.revision,
        begun_from=body.begun_from,
    )
    if saved.stale:
        raise Problem(
            "not-possible",
            f"Draft {saved.draft.revision} is stored, newer than yours. Get it, and send both as "
            "one.",
        )
    return _draft(project, kind, saved.draft)


@operations.delete(DRAFT, Scope.WRITE)
def discard_guideline_draft(call: Call, project_id: int, kind: str) -> None:
    """Throw one's own draft away. What is in force does not change. Owners can."""
    services.discard_guideline_draft(_owned(call, project_id, kind), kind, call.user)


@operations.get("projects/<int:project_id>/guidelines/<str:kind>/cases")
def list_cases(call: Call, project_id: int, kind: str) -> Clauses:
    """List the cases of the guidelines in force, and how often people choose otherwise.

    Owners, engineers and reviewers can.
    """
    project = access.get_project_for(call.user, project_id, *access.DECIDING)
    version = selectors.guideline_in_force(project, _part(kind))
    by_name = owns(call, project_id)
    return Clauses(
        clauses=[
            ClauseOut(
                slug=clause.slug,
                title=clause.title,
                cases=[
                    CaseOut(
                        prompt=one.prompt,
                        first=one.first,
                        second=one.second,
                        expected=one.expected,
                        why=one.why,
                    )
                    for one in clause.cases
                ],
                served=clause.served,
                people=[
                    ChoseOtherwise(
                        person=str(rate.annotator) if by_name else pseudonym(rate.annotator.pk),
                        wrong=rate.wrong,
                        answered=rate.answered,
                    )
                    for rate in clause.rates
                ],
            )
            for clause in (selectors.served_clauses(version) if version else [])
        ]
    )


@operations.post("projects/<int:project_id>/guidelines/<str:kind>/cases/gold", Scope.WRITE)
def make_gold_of_cases(call: Call, project_id: int, kind: str, body: ClauseToAsk) -> GoldOfCasesOut:
    """Make a gold item of each case of a clause that none asks yet. Twice is once. Owners can."""
    version = selectors.guideline_in_force(_owned(call, project_id, kind), kind)
    if version is None:
        raise Problem("not-possible", "Nothing is published yet. Publish the guidelines first.")
    gold = services.make_gold_of_cases(version, body.clause, call.user)
    return GoldOfCasesOut(made=gold.made, there=gold.there, contradicted=gold.contradicted)


def _part(kind: str) -> str:
    if kind not in dict(GUIDELINE_PARTS):
        raise Http404("There is no such kind of work.")
    return kind


def _owned(call: Call, project_id: int, kind: str) -> Project:
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    _part(kind)
    return project


def _draft(project: Project, kind: str, draft: GuidelineDraft | None) -> DraftOut:
    in_force = selectors.guideline_in_force(project, kind)
    begun = draft or in_force
    text, version = begun.text if begun else "", in_force.version if in_force else 0
    check = selectors.check_guideline(project, kind, text, in_force)
    return DraftOut(
        kind=kind,
        text=text,
        note=draft.note if draft else "",
        revision=draft.revision if draft else 0,
        begun_from=draft.begun_from if draft else version,
        in_force=version,
        errors=check.errors,
        conflicts=[
            clause.title for clause in check.clauses if any(one.conflicts for one in clause.cases)
        ],
    )


def _guideline(version: GuidelineVersion) -> GuidelineOut:
    return GuidelineOut(
        id=version.pk,
        kind=version.kind,
        version=version.version,
        text=version.full_text,
        note=version.note,
        published_at=version.published_at,
    )
