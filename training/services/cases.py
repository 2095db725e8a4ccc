"""Cases of guidelines that nobody has asked the newest reward model about."""

from __future__ import annotations

import logging

from annotations import exports
from training.models import Checkpoint, Run, Stage
from training.services.refusals import ServiceError
from training.services.runs import start_replay

logger = logging.getLogger(__name__)


def score_cases(project_id: int) -> None:
    """Let the newest reward model score the cases in force: those that are new, or it is.

    Once: what it could not score, since a case is too long, say, it cannot the next time either.
    """
    models = Checkpoint.objects.filter(project=project_id, kind=Checkpoint.Kind.REWARD)
    model = models.select_related("project").first()
    if model is None:
        return
    project = model.project
    asked = _asked_about(model)
    cases = [case for case in exports.cases_in_force(project) if case["digest"] not in asked]
    if not cases:
        return
    try:
        start_replay(project, cases, model, started_by=project.created_by)
    except ServiceError as error:  # the page has a button for it
        logger.info("The cases of %s are not scored: %s", project, error)


def _asked_about(model: Checkpoint) -> set[str]:
    runs = Run.objects.filter(stage=Stage.REPLAY, reward_checkpoint=model)
    requests = runs.values_list("request", flat=True)
    return {case["digest"] for request in requests for case in request["cases"]}
