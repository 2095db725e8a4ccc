"""Which guidelines are in force, and what they were before."""

from __future__ import annotations

from django.db.models import Count, Exists, OuterRef, QuerySet

from annotations import markdown
from annotations.algorithms.text import unix_newlines
from annotations.models import (
    Assignment,
    GuidelineAcknowledgement,
    GuidelineVersion,
    Project,
    User,
)


def guideline_in_force(project: Project, kind: str) -> GuidelineVersion | None:
    """Return the highest published version of the guidelines for a kind of work."""
    published = project.guideline_versions.filter(kind=kind, published_at__isnull=False)
    return published.order_by("-version").first()


def guideline_draft(project: Project, kind: str) -> GuidelineVersion | None:
    """Return the one unpublished draft of the guidelines for a kind of work."""
    return project.guideline_versions.filter(kind=kind, published_at__isnull=True).first()


def guideline_preview(text: str) -> str:
    """Return the HTML that labellers would see; raise TextError for what could not be kept."""
    return markdown.render(unix_newlines(text))


def guideline_history(project: Project, kind: str) -> QuerySet[GuidelineVersion]:
    """Return the published versions, newest first, each with its author and its annotations."""
    return (
        project.guideline_versions.filter(kind=kind, published_at__isnull=False)
        .select_related("created_by")
        .annotate(annotation_count=Count("annotations"))
        .order_by("-version")
    )


def known_guideline(user: User, version: GuidelineVersion) -> GuidelineVersion | None:
    """Return the version that a person works by if `version` came after it; None if not.

    Known is what they have submitted work under or acknowledged. Whoever meets a kind of work for
    the first time knows no version of it, and none is news to them.
    """
    worked = Assignment.objects.filter(
        annotator=user, guideline_version=OuterRef("pk"), state=Assignment.State.SUBMITTED
    )
    acknowledged = GuidelineAcknowledgement.objects.filter(
        user=user, guideline_version=OuterRef("pk")
    )
    published = GuidelineVersion.objects.filter(
        Exists(acknowledged) | Exists(worked),
        project_id=version.project_id,
        kind=version.kind,
        version__lte=version.version,
        published_at__isnull=False,
    )
    newest = published.order_by("-version").first()
    return None if newest == version else newest
