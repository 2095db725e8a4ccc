"""The names by which annotations go elsewhere, so that they are known when they come back."""

from __future__ import annotations

import hashlib

from annotations.models import Project


def origin_prefix(project: Project) -> str:
    """Return what the name of every annotation of a project begins with; its id follows.

    The time of its beginning tells it from a project that has its number in another database.
    """
    told = f"{project.pk}:{project.created_at.timestamp()}"
    return f"lsl-{hashlib.sha256(told.encode()).hexdigest()[:12]}-"
