"""Celery entry points. A message carries an id and is only a hint: delivered twice it does no
harm, and lost it is sent again."""

from __future__ import annotations

import logging
import signal
import time
from functools import partial
from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import InterfaceError, OperationalError

from annotations import hints
from annotations.services import conversations
from training import (
    artifacts,
    fetches,
    lifecycle,
    outcomes,
    pushes,
    raised_flags,
    removal,
    replies,
    store,
    supervisor,
    tracing,
    tries,
    webhooks,
)
from training.models import Run, Stage
from training.pipeline.errors import PipelineError
from training.recording import Recorder
from training.selectors import board_upkeep

logger = logging.getLogger(__name__)

UNLIMITED_S = 10 * 365 * 24 * 3600
"""Without a number of its own a task gets the limits of the settings; 0 and None mean those."""
DAY_S = 24 * 3600
"""A service that never falls idle is renewed after so long."""
REPLY_HINT_EVERY_S = 1.0
"""The service that a hint starts finds the turns that came after it by itself."""
WEBHOOK_HINT_EVERY_S = 1.0

# The worker's main process hears of a shutdown, the pool process with the child does not.
worker_shutting_down.connect(supervisor.announce_shutdown)


@worker_ready.connect
def _announce_soft_shutdown(**_signal: Any) -> None:
    """Announce a shutdown by SIGQUIT, too: Celery waits out its soft timeout before it says so."""
    supervisor.announce_on_signal(signal.SIGQUIT)
    supervisor.announce_on_signal(signal.SIGTERM)


@shared_task(
    name="training.execute_run",
    acks_late=False,
    ignore_result=True,
    time_limit=UNLIMITED_S,
    soft_time_limit=UNLIMITED_S,
)
def execute_run(run_id: int, **_later: Any) -> None:
    """Carry out the run that is first in line. Delivering the same message twice is harmless.

    The message names a run that waits; another may have a higher priority by now.
    Celery's time limits are out of reach: they would kill this process and leave the run behind.
    An attempt has a wall clock of its own, RUN_LIMIT_HOURS.
    """
    if supervisor.is_shutting_down():
        return
    first = lifecycle.first_in_line(run_id)
    if first is None:
        return
    attempt = lifecycle.claim(first)
    if attempt is None:
        return
    with tracing.belonging_to(run_id=first, attempt=attempt):
        _carry_out(first, attempt)
    send_hints()


def _carry_out(run_id: int, attempt: int) -> None:
    """Carry out a claimed attempt, and write down how it ended."""
    run = Run.objects.select_related("project", "parent", "snapshot", "reward_checkpoint").get(
        id=run_id
    )
    try:
        outcome = _run_child(run, attempt)
        if outcome is not None:
            outcomes.record(run, attempt, outcome)
    except (OperationalError, InterfaceError):
        raise  # nothing can be written now; the reaper takes the run back
    except Exception as error:
        outcomes.fail_on(error, run, attempt)


@shared_task(
    name="training.dispatch_queued_runs", ignore_result=True, time_limit=60, soft_time_limit=50
)
def dispatch_queued_runs(**_later: Any) -> None:
    """Send hints again for runs that are still queued. Runs every 10 seconds."""
    send_hints(lifecycle.due_for_hint())


@shared_task(name="training.find_lost_runs", ignore_result=True, time_limit=60, soft_time_limit=50)
def find_lost_runs(**_later: Any) -> None:
    """Take back runs whose worker went silent, and files that a crash left. Every 15 seconds."""
    lifecycle.reap()
    removal.sweep()


@shared_task(
    name="training.answer_turns",
    acks_late=False,
    ignore_result=True,
    time_limit=DAY_S + 60,
    soft_time_limit=DAY_S,
)
def answer_turns(**_later: Any) -> None:
    """Answer turns of conversations until none came for a while.

    On a device that is served already this ends at once, so a second message is harmless.
    """
    if not supervisor.is_shutting_down():
        replies.serve()


@shared_task(
    name="training.dispatch_waiting_turns", ignore_result=True, time_limit=60, soft_time_limit=50
)
def dispatch_waiting_turns(**_later: Any) -> None:
    """Send a hint again where turns of conversations wait. Runs every 10 seconds."""
    if conversations.has_waiting_turns():
        hint_replies()


@shared_task(
    name="training.keep_up_boards", ignore_result=True, time_limit=300, soft_time_limit=290
)
def keep_up_boards(**_later: Any) -> None:
    """Reckon the leaderboards that new votes have changed. Runs every 30 seconds."""
    board_upkeep.keep_up_boards()


def hint_boards() -> bool:
    """Ask a worker to reckon boards now. Return False, quickly, where that can't be sent."""
    try:
        hints.send(keep_up_boards, (), "default")
    except Exception as error:  # kombu lets errors of every transport through
        logger.warning("No hint could be sent; boards wait for the clock (%s).", error)
        return False
    return True


@shared_task(name="training.try_endpoint", ignore_result=True, time_limit=60, soft_time_limit=50)
def try_endpoint(endpoint_id: int, **_later: Any) -> None:
    """Send one short message to a server elsewhere. Delivering the message twice is harmless."""
    tries.try_out(endpoint_id)


def send_try(endpoint_id: int) -> None:
    """Ask a worker to try a server. Where that can't be sent the page says so after a while."""
    try:
        hints.send(try_endpoint, (endpoint_id,), "default")
    except Exception as error:  # kombu lets errors of every transport through
        logger.warning("Endpoint %s can't be tried: no broker (%s).", endpoint_id, error)


@shared_task(
    name="training.deliver_webhooks", ignore_result=True, time_limit=60, soft_time_limit=50
)
def deliver_webhooks(**_later: Any) -> None:
    """Send messages to webhooks that are due. Runs every 5 seconds; twice is harmless."""
    webhooks.deliver()


@shared_task(
    name="training.push",
    acks_late=False,
    ignore_result=True,
    time_limit=DAY_S + 60,
    soft_time_limit=DAY_S,
)
def push(push_id: int, **_later: Any) -> None:
    """Copy a checkpoint or a snapshot elsewhere. Delivering the message twice is harmless."""
    if not supervisor.is_shutting_down():
        pushes.carry_out(push_id)


@shared_task(name="training.dispatch_pushes", ignore_result=True, time_limit=60, soft_time_limit=50)
def dispatch_pushes(**_later: Any) -> None:
    """Take back pushes whose worker was lost; send hints again. Runs every 15 seconds."""
    pushes.reap()
    for push_id in pushes.due_for_hint():
        hint_push(push_id)


def hint_push(push_id: int) -> None:
    """Tell the workers that a push waits. Where that fails the dispatcher does it again."""
    try:
        hints.send(push, (push_id,), lifecycle.QUEUES[Stage.SAMPLE])
    except Exception as error:  # kombu lets errors of every transport through
        logger.warning("No hint could be sent for push %s; it stays queued (%s).", push_id, error)
    else:
        pushes.hinted(push_id)


@shared_task(
    name="training.fetch_bases",
    acks_late=False,
    ignore_result=True,
    time_limit=DAY_S + 60,
    soft_time_limit=DAY_S,
)
def fetch_bases(**_later: Any) -> None:
    """Bring base models from a hub. Delivering the message twice is harmless."""
    if not supervisor.is_shutting_down():
        fetches.carry_out()


@shared_task(
    name="training.dispatch_fetches", ignore_result=True, time_limit=60, soft_time_limit=50
)
def dispatch_fetches(**_later: Any) -> None:
    """Send a hint again where base models wait for a worker. Runs every 15 seconds."""
    if fetches.is_anything_waiting():
        hint_fetches()


def hint_fetches() -> None:
    """Tell the workers that a base model is wanted. Where that fails the dispatcher does."""
    try:
        hints.send(fetch_bases, (), lifecycle.QUEUES[Stage.SAMPLE])
    except Exception as error:  # kombu lets errors of every transport through
        logger.warning("No hint could be sent; base models wait for the clock (%s).", error)


@shared_task(name="training.tell_of_flags", ignore_result=True, time_limit=120, soft_time_limit=110)
def tell_of_flags(**_later: Any) -> None:
    """Tell the webhooks that want to hear of them which flags were raised. Every 10 minutes."""
    raised_flags.tell()


@shared_task(
    name="training.forget_webhook_messages", ignore_result=True, time_limit=60, soft_time_limit=50
)
def forget_webhook_messages(**_later: Any) -> None:
    """Remove messages that were delivered or given up a month ago. Runs every 10 minutes."""
    webhooks.forget_old()


_webhook_hint_sent_at = float("-inf")


def hint_webhooks(**_signal: Any) -> None:
    """Tell a worker that a message to a webhook waits, once a second at most."""
    global _webhook_hint_sent_at
    if time.monotonic() - _webhook_hint_sent_at < WEBHOOK_HINT_EVERY_S:
        return
    _webhook_hint_sent_at = time.monotonic()
    try:
        hints.send(deliver_webhooks, (), "default")
    except Exception as error:  # kombu lets errors of every transport through
        logger.warning("No hint could be sent; messages wait for the clock (%s).", error)


_reply_hint_sent_at = float("-inf")


def hint_replies(**_signal: Any) -> None:
    """Tell the sampling workers that a turn waits, once a second at most."""
    global _reply_hint_sent_at
    if time.monotonic() - _reply_hint_sent_at < REPLY_HINT_EVERY_S:
        return
    _reply_hint_sent_at = time.monotonic()
    try:
        hints.send(answer_turns, (), lifecycle.QUEUES[Stage.SAMPLE])
    except Exception as error:  # kombu lets errors of every transport through
        logger.warning("No hint could be sent; turns wait for the dispatcher (%s).", error)


def send_hints(runs: list[tuple[int, str]] | None = None) -> None:
    """Send a hint for each (run id, queue), by default for all queued runs; stop at an error."""
    for run_id, queue in lifecycle.due_for_hint(at_once=True) if runs is None else runs:
        if not send_hint(run_id, queue):
            return


def send_hint(run_id: int, queue: str) -> bool:
    """Tell the workers of a queue that a run waits. Return False, quickly, where that fails.

    Nothing is lost then: the row is the queue, and the dispatcher sends the hint again.
    """
    try:
        hints.send(execute_run, (run_id,), queue)
    except Exception as error:  # kombu lets errors of every transport through
        logger.warning("No hint could be sent for run %s; it stays queued (%s).", run_id, error)
        return False
    lifecycle.hinted(run_id)
    return True


def _run_child(run: Run, attempt: int) -> supervisor.Outcome | None:
    """Run the child of one attempt to its end. Return None if it could not even start."""
    recorder = Recorder(run.pk, attempt, artifacts.work_folder(run) / supervisor.LOG)
    work = store.WorkFolder(artifacts.work_folder(run))
    try:
        with store.beating(partial(lifecycle.heartbeat, run.pk, attempt)):
            work.bring()
            job, secrets = artifacts.job_for(run), artifacts.secrets_for(run)
    except PipelineError as error:
        lifecycle.fail(run.pk, attempt, str(error))
        return None

    def should_stop() -> supervisor.StopReason | None:
        reason = recorder.should_stop()
        if reason != "superseded":  # then another machine sends its own
            work.keep_now_and_then()
        return reason

    outcome = supervisor.run_child(
        job.to_dict(),
        on_event=recorder,
        should_stop=should_stop,
        command=getattr(settings, "TRAINING_COMMAND", supervisor.COMMAND),
        name=f"job-{attempt}",
        limit_s=outcomes.wall_clock_limit_s(),
        shutdown_s=settings.RUN_SHUTDOWN_SECONDS,
        secrets=secrets,
    )
    recorder.close()
    if outcome.stop != "superseded":
        with store.beating(partial(lifecycle.heartbeat, run.pk, attempt)):
            work.keep()
    return outcome
