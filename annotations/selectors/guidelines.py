"""Which guidelines are in force, and what they were before."""

from __future__ import annotations

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery

from annotations import markdown
from annotations.algorithms.text import unix_newlines
from annotations.models import (
    EVALUATION,
    Assignment,
    GuidelineAcknowledgement,
    GuidelineDraft,
    GuidelineVersion,
    Item,
    Kind,
    Project,
    User,
)
from annotations.prepared import Prepared, Slot

MOST_NOTES = 10
"""What somebody who was away for so many versions is told of each."""

BESIDE = {EVALUATION: str(Kind.COMPARISON), str(Kind.COMPARISON): EVALUATION}
"""Where the same work has two parts: what somebody knows who does not know the other one yet."""


def guideline_in_force(project: Project, kind: str) -> GuidelineVersion | None:
    """Return the highest version of the guidelines for a kind of work."""
    return _IN_FORCE.first(project=project.pk, kind=str(kind))


def guideline_for(project: Project, item: Item) -> GuidelineVersion | None:
    """Return the guidelines by which an item is judged now.

    Those for evaluations where it belongs to one and they are in use, else those of its kind.
    """
    if item.is_for_evaluation:
        own = guideline_in_force(project, EVALUATION)
        if own is not None and not own.is_taken_back:
            return own
    return guideline_in_force(project, item.kind)


def _in_force(*, project: Slot, kind: Slot) -> QuerySet[GuidelineVersion]:
    versions = GuidelineVersion.objects.filter(project=project, kind=kind)
    return versions.order_by("-version")[:1]


_IN_FORCE = Prepared(_in_force, "project", "kind")


def guidelines_in_force(project: Project) -> dict[str, GuidelineVersion]:
    """Return the versions in force, by the kind of work."""
    return {version.kind: version for version in _ALL_IN_FORCE(project=project.pk)}


def _all_in_force(*, project: Slot) -> QuerySet[GuidelineVersion]:
    newest = (
        GuidelineVersion.objects.filter(project=OuterRef("project"), kind=OuterRef("kind"))
        .order_by("-version")
        .values("version")[:1]
    )
    return GuidelineVersion.objects.filter(project=project, version=Subquery(newest))


_ALL_IN_FORCE = Prepared(_all_in_force, "project")


def guideline_version(project: Project, kind: str, number: int) -> GuidelineVersion | None:
    """Return a version by its number."""
    versions = project.guideline_versions.select_related("created_by", "general")
    return versions.filter(kind=kind, version=number).first()


def guideline_draft(project: Project, kind: str, user: User) -> GuidelineDraft | None:
    """Return a person's own draft of the guidelines for a kind of work."""
    return project.guideline_drafts.filter(kind=kind, author=user).first()


def guideline_drafts_of_others(project: Project, kind: str, user: User) -> list[GuidelineDraft]:
    """Return what others write at the moment, the newest first."""
    drafts = project.guideline_drafts.filter(kind=kind).exclude(author=user)
    return list(drafts.select_related("author").order_by("-saved_at"))


def guideline_preview(text: str) -> str:
    """Return the HTML that labellers would see; raise TextError for what could not be kept."""
    return markdown.render(unix_newlines(text))


def guideline_history(project: Project, kind: str) -> QuerySet[GuidelineVersion]:
    """Return the published versions, newest first, each with its author and its annotations."""
    return (
        project.guideline_versions.filter(kind=kind)
        .select_related("created_by", "general")
        .annotate(annotation_count=Count("annotations"))
        .order_by("-version")
    )


def known_guideline(user: User, version: GuidelineVersion) -> GuidelineVersion | None:
    """Return the version that a person works by if `version` came after it; None if not.

    Known is what they have submitted work under or acknowledged. Whoever meets a kind of work for
    the first time knows no version of it, and none is news to them. Whoever meets the guidelines
    for evaluations first knows those for the same work otherwise, and the other way round.
    """
    newest = _newest_known(user, version, version.kind, version__lte=version.version)
    if newest == version:
        return None
    beside = BESIDE.get(version.kind)
    return newest or (_newest_known(user, version, beside) if beside else None)


def _newest_known(
    user: User, version: GuidelineVersion, kind: str, **among: int
) -> GuidelineVersion | None:
    worked = Assignment.objects.filter(
        annotator=user, guideline_version=OuterRef("pk"), state=Assignment.State.SUBMITTED
    )
    acknowledged = GuidelineAcknowledgement.objects.filter(
        user=user, guideline_version=OuterRef("pk")
    )
    published = GuidelineVersion.objects.filter(
        Exists(acknowledged) | Exists(worked),
        project_id=version.project_id,
        kind=kind,
        **among,
    )
    return published.select_related("general").order_by("-version").first()


def notes_since(known: GuidelineVersion | None, version: GuidelineVersion) -> list[str]:
    """Return what publishers said is new in the versions after the one known, the newest first.

    Where that is of another part, what was said of `version` alone.
    """
    if known is not None and known.kind != version.kind:
        return [version.note] if version.note else []
    versions = GuidelineVersion.objects.filter(
        project_id=version.project_id,
        kind=version.kind,
        version__gt=known.version if known else version.version,
        version__lte=version.version,
    )
    notes = versions.exclude(note="").order_by("-version").values_list("note", flat=True)
    return list(notes[:MOST_NOTES])


def guideline_drafts_by(project: Project, user: User) -> dict[str, GuidelineDraft]:
    """Return a person's own drafts, by the kind of work."""
    return {draft.kind: draft for draft in project.guideline_drafts.filter(author=user)}
