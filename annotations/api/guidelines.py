"""What people go by, and that they have read it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from annotations import access, services
from annotations.api.operations import DIGITS, Answer, Body, Call, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.models import GUIDELINE_PARTS, GuidelineVersion, Kind, Role, Scope

operations = Operations("Guidelines")


class GuidelineOut(Answer):
    """A published version of the guidelines for one kind of work. It never changes."""

    id: int
    kind: str = Field(description="A kind of work, or `general`: what holds for every kind.")
    version: int
    text: str = Field(description="Markdown; of a kind, what holds for every kind comes first.")
    note: str = Field(description="What was new.")
    published_at: datetime


class GuidelineFilters(Paged):
    kind: Kind | None = None
    version: Annotated[int, Field(ge=1, le=2**31 - 1), DIGITS] | None = None


class NewGuideline(Body):
    """The guidelines for a kind of work, to be put in force."""

    kind: Annotated[
        str, StringConstraints(pattern=f"^({'|'.join(k for k, _ in GUIDELINE_PARTS)})$")
    ]
    text: Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
    note: Annotated[str, StringConstraints(max_length=300)] = ""
    begun_from: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        description="The version that your text was made from; 0 where there was none. If another "
        "is in force by now, nothing is published."
    )


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


def _guideline(version: GuidelineVersion) -> GuidelineOut:
    return GuidelineOut(
        id=version.pk,
        kind=version.kind,
        version=version.version,
        text=version.full_text,
        note=version.note,
        published_at=version.published_at,
    )
