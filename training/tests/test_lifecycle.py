"""A run is claimed once, fenced by its attempt, and ends in one terminal state."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from annotations.models import Project
from training import lifecycle
from training.models import Metric, Run
from training.tests.factories import make_run

State = Run.State


def state_of(run: Run) -> str:
    run.refresh_from_db()
    return run.state


def claimed(project: Project, **changes: Any) -> tuple[Run, int]:
    run = make_run(project, **changes)
    attempt = lifecycle.claim(run.pk)
    assert attempt is not None
    return run, attempt


def age(run: Run, seconds: float, *, heartbeat: bool = True) -> None:
    """Make the run's last sign of life this old, by the database's clock."""
    then = Now() - timedelta(seconds=seconds)
    beat = then if heartbeat else None
    Run.objects.filter(id=run.pk).update(started_at=then, heartbeat_at=beat)


def test_it_claims_a_run_once(project: Project) -> None:
    run = make_run(project)
    assert lifecycle.claim(run.pk) == 1
    assert lifecycle.claim(run.pk) is None
    assert state_of(run) == State.RUNNING


def test_it_claims_no_run_that_does_not_exist(project: Project) -> None:
    assert lifecycle.claim(10**9) is None


@pytest.mark.django_db(transaction=True)
def test_it_lets_one_of_many_claimers_win(project: Project) -> None:
    run = make_run(project)
    won: list[int | None] = []
    barrier = threading.Barrier(6)

    def race() -> None:
        barrier.wait()
        won.append(lifecycle.claim(run.pk))
        connection.close()

    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won, key=str) == [1, None, None, None, None, None]


@pytest.mark.django_db(transaction=True)
def test_it_runs_one_training_run_at_a_time_on_a_device(project: Project) -> None:
    runs = [make_run(project) for _ in range(6)]
    barrier = threading.Barrier(6)
    won: list[int] = []

    def race(run_id: int) -> None:
        barrier.wait()
        if lifecycle.claim(run_id):
            won.append(run_id)
        connection.close()

    threads = [threading.Thread(target=race, args=[run.pk]) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert Run.objects.filter(state=State.QUEUED, attempt=0).count() == 5


def test_a_higher_priority_goes_first_then_who_came_first(project: Project) -> None:
    runs = [make_run(project, priority=priority) for priority in (0, -1, 1, 0)]
    sampling = make_run(project, "sample", priority=1)
    order = [run.pk for run in lifecycle.in_line("training")]
    assert order == [runs[2].pk, runs[0].pk, runs[3].pk, runs[1].pk]
    assert lifecycle.first_in_line(runs[1].pk) == runs[2].pk
    assert lifecycle.first_in_line(sampling.pk) == sampling.pk
    hinted = [run_id for run_id, queue in lifecycle.due_for_hint() if queue == "training"]
    assert hinted == order


def test_a_hint_for_a_run_that_has_been_claimed_is_for_no_other(project: Project) -> None:
    run, _ = claimed(project)
    make_run(project)
    assert lifecycle.first_in_line(run.pk) is None


def test_only_what_waits_has_a_place_in_line(project: Project) -> None:
    run = make_run(project)
    assert lifecycle.set_priority(run.pk, 1)
    assert lifecycle.claim(run.pk) == 1
    assert not lifecycle.set_priority(run.pk, 0)


def test_it_samples_while_another_run_trains(project: Project) -> None:
    claimed(project)
    assert lifecycle.claim(make_run(project, "sample").pk) == 1


def test_it_trains_on_two_devices_at_once(project: Project) -> None:
    first, second = make_run(project), make_run(project)
    assert lifecycle.claim(first.pk, device="a/training") == 1
    assert lifecycle.claim(second.pk, device="b/training") == 1


def test_the_database_itself_refuses_a_second_running_run(project: Project) -> None:
    run, _ = claimed(project)
    run.refresh_from_db()
    other = make_run(project)
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.filter(id=other.pk).update(state=State.RUNNING, device=run.device)


def test_a_free_device_takes_the_next_run(project: Project) -> None:
    run, attempt = claimed(project)
    other = make_run(project)
    assert lifecycle.claim(other.pk) is None
    lifecycle.fail(run.pk, attempt, "It broke.")
    assert lifecycle.claim(other.pk) == 1


WRITES: dict[str, Callable[[int, int], bool]] = {
    "heartbeat": lambda run, attempt: lifecycle.heartbeat(run, attempt, phase="late"),
    "progress": lambda run, attempt: lifecycle.record_progress(run, attempt, 9, 10),
    "metrics": lambda run, attempt: lifecycle.record_metrics(run, attempt, [(1, "loss", 1.0)]),
    "forget": lambda run, attempt: lifecycle.forget_metrics_from(run, attempt, 0),
    "fail": lambda run, attempt: lifecycle.fail(run, attempt, "late"),
    "cancelled": lifecycle.cancelled,
    "requeue": lifecycle.requeue,
    "lost": lambda run, attempt: lifecycle.lost(run, attempt, why="late"),
    "succeed": lambda run, attempt: lifecycle.succeed(
        run, attempt, results={}, publish=lambda: pytest.fail("published")
    ),
}


def contents(run: Run) -> tuple[Any, ...]:
    metrics = Metric.objects.filter(run=run).order_by("id").values_list("step", "name", "value")
    return Run.objects.filter(id=run.pk).values().get(), list(metrics)


@pytest.mark.parametrize("name", WRITES)
def test_a_superseded_attempt_writes_nothing(project: Project, name: str) -> None:
    run, old = claimed(project)
    lifecycle.record_metrics(run.pk, old, [(1, "loss", 2.0)])
    lifecycle.requeue(run.pk, old)
    lifecycle.claim(run.pk)
    before = contents(run)
    assert WRITES[name](run.pk, old) is False
    assert contents(run) == before
    assert lifecycle.stop_reason(run.pk, old) == "superseded"


@pytest.mark.parametrize("name", [*WRITES, "cancel", "reap", "claim"])
@pytest.mark.parametrize("end", ["succeed", "fail", "cancelled"])
def test_a_terminal_row_never_changes(project: Project, name: str, end: str) -> None:
    run, attempt = claimed(project)
    ends: dict[str, Callable[[], bool]] = {
        "succeed": lambda: lifecycle.succeed(run.pk, attempt, results={}, publish=dict),
        "fail": lambda: lifecycle.fail(run.pk, attempt, "It broke."),
        "cancelled": lambda: lifecycle.cancelled(run.pk, attempt),
    }
    assert ends[end]()
    age(run, 10**6)
    before = contents(run)
    others: dict[str, Callable[[], Any]] = {
        "cancel": lambda: lifecycle.cancel(run.pk),
        "reap": lifecycle.reap,
        "claim": lambda: lifecycle.claim(run.pk),
    }
    others.get(name, lambda: WRITES[name](run.pk, attempt))()
    assert contents(run) == before


@pytest.mark.parametrize("heartbeat", [True, False])
def test_it_takes_back_a_run_that_went_silent(project: Project, heartbeat: bool) -> None:
    run, _ = claimed(project)
    age(run, 91, heartbeat=heartbeat)
    assert lifecycle.reap() == [run.pk]
    assert state_of(run) == State.QUEUED
    assert lifecycle.claim(run.pk) == 2


@pytest.mark.parametrize("heartbeat", [True, False])
def test_it_leaves_a_run_alone_that_gave_a_sign_of_life(project: Project, heartbeat: bool) -> None:
    run, _ = claimed(project)
    age(run, 85, heartbeat=heartbeat)
    assert lifecycle.reap() == []
    assert state_of(run) == State.RUNNING


def test_a_late_heartbeat_counts_although_the_start_is_long_ago(project: Project) -> None:
    run, attempt = claimed(project)
    age(run, 10**5)
    lifecycle.heartbeat(run.pk, attempt)
    assert lifecycle.reap() == []


@pytest.mark.parametrize("heartbeat", [True, False])
def test_a_clock_that_is_set_back_keeps_no_lost_run_alive(
    project: Project, heartbeat: bool
) -> None:
    run, attempt = claimed(project)
    age(run, -7200, heartbeat=heartbeat)
    assert lifecycle.reap() == []
    assert Run.objects.filter(id=run.pk, heartbeat_at__lte=Now()).exists()
    assert lifecycle.heartbeat(run.pk, attempt), "it is not taken from a worker that lives"


def test_it_fails_a_run_whose_worker_was_lost_three_times(project: Project) -> None:
    run = make_run(project)
    for _ in range(3):
        assert lifecycle.claim(run.pk)
        age(run, 100)
        lifecycle.reap()
    assert state_of(run) == State.FAILED
    assert "lost" in run.error
    assert "3 times" in run.error
    assert run.ended_at is not None


def test_stops_that_were_planned_do_not_count_as_losses(project: Project) -> None:
    run = make_run(project)
    for _ in range(4):
        attempt = lifecycle.claim(run.pk)
        assert attempt
        assert lifecycle.requeue(run.pk, attempt)
    assert lifecycle.claim(run.pk) == 5
    assert lifecycle.lost(run.pk, 5, why="It was killed. It happened")
    assert state_of(run) == State.QUEUED
    assert (run.attempt, run.times_lost) == (5, 1)


def test_stops_between_losses_do_not_hide_them(project: Project) -> None:
    run = make_run(project)
    for _ in range(3):
        for give_back in (lifecycle.requeue, partial(lifecycle.lost, why="It was killed")):
            attempt = lifecycle.claim(run.pk)
            assert attempt
            assert give_back(run.pk, attempt)
    assert state_of(run) == State.FAILED
    assert run.error == "It was killed 3 times."


def test_it_cancels_instead_of_taking_back_what_was_to_be_cancelled(project: Project) -> None:
    run, _ = claimed(project)
    lifecycle.cancel(run.pk)
    age(run, 100)
    lifecycle.reap()
    assert state_of(run) == State.CANCELLED


def test_it_cancels_a_queued_run_at_once(project: Project) -> None:
    run = make_run(project)
    lifecycle.cancel(run.pk)
    assert state_of(run) == State.CANCELLED
    assert lifecycle.claim(run.pk) is None


def test_it_flags_a_running_run_to_be_cancelled(project: Project) -> None:
    run, attempt = claimed(project)
    assert lifecycle.stop_reason(run.pk, attempt) is None
    lifecycle.cancel(run.pk)
    assert lifecycle.stop_reason(run.pk, attempt) == "cancel"
    assert lifecycle.requeue(run.pk, attempt)
    assert state_of(run) == State.CANCELLED


def test_what_succeeds_while_it_is_cancelled_has_succeeded(project: Project) -> None:
    run, attempt = claimed(project)
    lifecycle.cancel(run.pk)
    assert lifecycle.succeed(run.pk, attempt, results={}, publish=dict)
    assert lifecycle.cancelled(run.pk, attempt) is False
    assert state_of(run) == State.SUCCEEDED


@pytest.mark.django_db(transaction=True)
def test_of_success_and_cancellation_at_once_one_wins(project: Project) -> None:
    for _ in range(10):
        run, attempt = claimed(project)
        lifecycle.cancel(run.pk)
        barrier, won = threading.Barrier(2), set[str]()

        def race(state: str, end: Callable[[], Any], barrier=barrier, won=won) -> None:
            barrier.wait()
            if end():
                won.add(state)
            connection.close()

        succeed = partial(lifecycle.succeed, run.pk, attempt, results={}, publish=dict)
        ends = {
            State.SUCCEEDED: succeed,
            State.CANCELLED: partial(lifecycle.cancelled, run.pk, attempt),
        }
        threads = [threading.Thread(target=race, args=one) for one in ends.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == {state_of(run)}


def test_it_publishes_in_the_transaction_in_which_the_run_succeeds(project: Project) -> None:
    run, attempt = claimed(project)

    def publish() -> dict[str, Any]:
        make_run(project, "sample")
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        lifecycle.succeed(run.pk, attempt, results={}, publish=publish)
    assert state_of(run) == State.RUNNING
    assert Run.objects.count() == 1


def test_it_leaves_out_values_that_are_not_finite(project: Project) -> None:
    run, attempt = claimed(project)
    points = [(1, "loss", math.nan), (1, "kl", math.inf), (1, "lr", 0.5), (1, "x" * 99, 1.0)]
    assert lifecycle.record_metrics(run.pk, attempt, points)
    assert set(run.metrics.values_list("name", "value")) == {("lr", 0.5), ("x" * 64, 1.0)}


def test_a_second_attempt_replaces_what_the_first_measured(project: Project) -> None:
    run, attempt = claimed(project)
    points = [(step, "loss", 1.0) for step in range(1, 6)]
    lifecycle.record_metrics(run.pk, attempt, points)
    lifecycle.record_metrics(run.pk, attempt, points)
    lifecycle.forget_metrics_from(run.pk, attempt, 4)
    lifecycle.record_metrics(run.pk, attempt, [(3, "loss", 2.0)])
    found = run.metrics.order_by("step").values_list("step", "value")
    assert list(found) == [(1, 1.0), (2, 1.0), (3, 2.0)]


def test_it_keeps_the_step_within_the_total(project: Project) -> None:
    run, attempt = claimed(project)
    assert lifecycle.record_progress(run.pk, attempt, 12, 10)
    run.refresh_from_db()
    assert (run.step, run.total_steps, run.first_step) == (10, 10, 10)


def test_it_saves_texts_that_a_database_refuses(project: Project) -> None:
    run, attempt = claimed(project)
    nested = [{"prompt": "a\0b", "after": "\ud800", "n": math.nan}]
    assert lifecycle.heartbeat(run.pk, attempt, log_tail="a\0b\ud800", samples=nested)
    run.refresh_from_db()
    assert run.log_tail == "ab?"
    assert run.samples == [{"prompt": "ab", "after": "?", "n": None}]


def test_it_fails_with_words_even_if_the_child_had_none(project: Project) -> None:
    run, attempt = claimed(project)
    assert lifecycle.fail(run.pk, attempt, "  ")
    assert state_of(run) == State.FAILED
    assert run.error


def test_it_sends_a_hint_again_that_may_be_lost(project: Project) -> None:
    run = make_run(project)
    assert lifecycle.due_for_hint() == [(run.pk, "training")]
    lifecycle.hinted(run.pk)
    assert lifecycle.due_for_hint() == []
    for seconds in (30, -7200):  # long ago, and before the clock was set back
        Run.objects.update(hinted_at=Now() - timedelta(seconds=seconds))
        assert lifecycle.due_for_hint() == [(run.pk, "training")]


def test_it_hints_nothing_that_is_not_queued(project: Project) -> None:
    claimed(project)
    assert lifecycle.due_for_hint(at_once=True) == []


def test_it_sends_samples_to_their_own_queue(project: Project) -> None:
    run = make_run(project, "sample")
    assert lifecycle.due_for_hint() == [(run.pk, "sampling")]


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_events_ends_in_one_terminal_state(project: Project, seed: int) -> None:
    """Terminal states are final and attempts only rise, whatever happens in which order."""
    random_ = random.Random(seed)
    run = make_run(project)
    attempts = [0]
    ended: tuple[Any, ...] | None = None
    for _ in range(60):
        match random_.choice(["claim", "write", "write", "write", "cancel", "reap"]):
            case "claim":
                attempt = lifecycle.claim(run.pk)
                if attempt is not None:
                    assert attempt == attempts[-1] + 1
                    attempts.append(attempt)
            case "write":
                name = random_.choice([*WRITES][:-1])
                WRITES[name](run.pk, random_.choice(attempts))
            case "cancel" if random_.random() < 0.2:
                lifecycle.cancel(run.pk)
            case "reap" if random_.random() < 0.5:
                Run.objects.filter(id=run.pk, state=State.RUNNING).update(
                    heartbeat_at=Now() - timedelta(hours=1)
                )
                lifecycle.reap()
        if ended is not None:
            assert contents(run) == ended
        elif state_of(run) in Run.TERMINAL:
            ended = contents(run)
