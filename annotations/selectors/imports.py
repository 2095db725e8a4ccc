"""Files that were brought into a project."""

from __future__ import annotations

from django.db.models import QuerySet

from annotations.models import Import, Project


def imports_of(project: Project) -> QuerySet[Import]:
    """Return the imports of a project, the newest first."""
    return project.imports.select_related("created_by").order_by("-id")
