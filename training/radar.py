"""A radar's looks become comparisons for people, and what people say becomes an order to stop."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.db import transaction

from annotations import services as annotation_services
from training import artifacts, lifecycle, selectors
from training.models import RadarLook, Run
from training.pipeline.radar import Answered, LookTaken, StopOrder, order_stop

logger = logging.getLogger(__name__)

PRIORITY = 1
"""Before the work that waits already: an answer is worth most while the run goes on."""


def record_look(run_id: int, attempt: int, look: LookTaken) -> bool:
    """Ask people about a look, once. Return False if the attempt was superseded.

    A run that makes a checkpoint again asks nobody again.
    """
    with transaction.atomic():
        if not lifecycle.heartbeat(run_id, attempt):
            return False
        run = Run.objects.select_related("project", "parent").get(id=run_id)
        if "rebuilds" in run.request:
            return True
        batch = f"radar-{run.pk}-{look.number}"
        answers = [(row, _certain(row)) for row in look.answers]
        _, is_new = RadarLook.objects.get_or_create(
            run=run,
            number=look.number,
            defaults={
                "distance": look.distance,
                "kl": look.kl,
                "step": look.step,
                "batch": batch,
                "answers": [
                    {
                        "prompt_id": row.prompt_id,
                        "policy_score": row.policy_score,
                        "start_score": row.start_score,
                        "certain": certain,
                    }
                    for row, certain in answers
                ],
            },
        )
        if is_new:
            _ask(run, look, batch, [row for row, certain in answers if certain is None])
    return True


def tell_child(run_id: int) -> None:
    """Lay an order to stop beside the run's resume points if reward and people have parted."""
    run = Run.objects.select_related("project").get(id=run_id)
    is_told = run.config.get("radar_stop") and "rebuilds" not in run.request
    found = selectors.radar_of(run) if is_told else None
    if found is None or found.parting is None:
        return
    since = found.parting.since
    number = None if since is None else found.points[since].look.number
    try:
        order_stop(artifacts.work_folder(run), StopOrder(found.why, number))
    except OSError:  # the run goes on; the next look at the votes tries again
        logger.exception("Run %s could not be told that people part from its reward.", run_id)


def _ask(run: Run, look: LookTaken, batch: str, rows: list[Answered]) -> None:
    """Make a comparison of each prompt's two answers, as of an evaluation: nothing learns from it.

    A policy on its way is no checkpoint; its answer names none.
    """
    try:
        annotation_services.add_completions(
            run.project,
            [answer for row in rows for answer in _sides(run, look, row)],
            kind="comparison",
            purpose="evaluation",
            batch=batch,
            overlap=run.config.get("radar_votes", 1),
            priority=PRIORITY,
        )
    except annotation_services.ServiceError:  # a run does not end because nobody can be asked
        logger.exception("Nobody could be asked about %s at %s nats.", run, look.distance)


def _sides(run: Run, look: LookTaken, row: Answered) -> Iterator[annotation_services.Answer]:
    on_its_way = {"run": run.pk, "step": look.step, "kl": look.kl}
    yield annotation_services.Answer(
        row.prompt_id,
        lifecycle.clean(row.policy),
        source_name=f"run {run.pk}, step {look.step}",
        sampling={**look.policy_sampling, **on_its_way},
    )
    yield annotation_services.Answer(
        row.prompt_id,
        lifecycle.clean(row.start),
        checkpoint_id=run.parent_id,
        source_name=run.parent.name,
        sampling=look.start_sampling,
    )


def _certain(row: Answered) -> float | None:
    """Return how the policy scores where nobody has to judge, None where somebody has to.

    Two equal texts are a tie; an empty answer loses against one that says something.
    """
    policy, start = row.policy.strip(), row.start.strip()
    if policy == start:
        return 0.5
    if policy and start:
        return None
    return 1.0 if policy else 0.0
