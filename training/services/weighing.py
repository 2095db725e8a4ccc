"""What to ask next: when open items are weighed again, and by whom."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from annotations import services as annotation_services
from training import selectors, weighing
from training.models import Checkpoint, Run, Stage
from training.services.refusals import ServiceError
from training.services.runs import start_weighing

if TYPE_CHECKING:
    from annotations.models import Project

logger = logging.getLogger(__name__)


def weigh_questions(project_id: int) -> list[str]:
    """Weigh the items of a project again where that is due; return the kinds it is due for.

    Where there are items that a reward model would learn from, a run of it scores them, and the
    queue learns of it when that ends.
    """
    some = Checkpoint.objects.filter(project=project_id).select_related("project").first()
    if some is None:
        return []
    project = some.project
    model = selectors.newest_reward_model(project)
    if model is None and not _has_two_that_answer(project):
        return []
    due = annotation_services.due_for_weighing(project, model.pk if model else None)
    to_read = [one.kind for one in due if one.learns and model is not None]
    for one in due:
        if one.kind not in to_read:
            weighing.record(project, one.kind, (), model)
    if model is not None and to_read and not _is_seen_to(model):
        try:
            start_weighing(project, to_read, model, started_by=project.created_by)
        except ServiceError as error:  # the queue keeps the order that it has
            logger.info("The items of %s are not weighed: %s", project, error)
    return [one.kind for one in due]


def _has_two_that_answer(project: Project) -> bool:
    return project.checkpoints.exclude(kind=Checkpoint.Kind.REWARD)[1:2].exists()


def _is_seen_to(model: Checkpoint) -> bool:
    """Return whether a run of that model is under way, or its last one failed: it would again."""
    last = Run.objects.filter(stage=Stage.WEIGH, reward_checkpoint=model).order_by("-id").first()
    return last is not None and last.state != Run.State.SUCCEEDED
