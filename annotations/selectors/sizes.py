"""Which projects are so small that everything can be counted while somebody waits."""

from __future__ import annotations

from annotations.models import Project

SMALL = 2000
"""Items."""


def is_small(project: Project) -> bool:
    return project.items.values("id")[: SMALL + 1].count() <= SMALL
