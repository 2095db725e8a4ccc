"""What is kept ready for pages of large projects, where nobody should wait for it."""

from __future__ import annotations

from annotations.models import Project
from annotations.selectors.adjudication import keep_worthiest
from annotations.selectors.agreement import keep_agreement
from annotations.selectors.standing import keep_standing


def keep_up_counts() -> None:
    """Count how far the work of each large project is, and look for what is to be decided."""
    for project in Project.objects.order_by("id"):
        keep_standing(project)
        keep_worthiest(project)


def keep_up_agreement() -> None:
    """Reckon how far people agree in each large project."""
    for project in Project.objects.order_by("id"):
        keep_agreement(project)
