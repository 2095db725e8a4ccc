"""What is kept ready for pages of large projects, where nobody should wait for it."""

from __future__ import annotations

from annotations.exports.prompts import keep_annotators
from annotations.exports.recalls import keep_recallable
from annotations.models import Project
from annotations.selectors.adjudication import keep_worthiest
from annotations.selectors.agreement import keep_agreement
from annotations.selectors.flags import keep_flags
from annotations.selectors.people import keep_habits
from annotations.selectors.sizes import is_small
from annotations.selectors.standing import keep_standing


def keep_up_counts() -> None:
    """Count how far each large project is, and what else its pages have no time to look for."""
    for project in Project.objects.order_by("id"):
        if is_small(project):
            continue
        keep_standing(project)
        keep_worthiest(project)
        keep_flags(project)
        keep_recallable(project)
        keep_annotators(project)
        keep_habits(project)


def keep_up_agreement() -> None:
    """Reckon how far people agree in each large project."""
    for project in Project.objects.order_by("id"):
        keep_agreement(project)
