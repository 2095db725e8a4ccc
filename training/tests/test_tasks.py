"""Tasks carry out runs with real children; delivered twice they change nothing more."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from annotations.models import Item, Project
from annotations.tests.factories import make_prompt
from training import artifacts, lifecycle, outcomes, services, supervisor, tasks
from training.models import Checkpoint, Run
from training.tests import scripted
from training.tests.factories import make_checkpoint, make_run

State = Run.State


@pytest.fixture
def behave(settings: Any) -> Callable[[str], None]:
    """Return what chooses the child that runs get."""

    def choose(behaviour: str) -> None:
        settings.TRAINING_COMMAND = scripted.command(behaviour)

    return choose


def carried_out(run: Run) -> Run:
    tasks.execute_run(run.pk)
    run.refresh_from_db()
    return run


def sample_run(project: Project, **request: Any) -> Run:
    prompts = [make_prompt(project, text=f"prompt {n}") for n in range(3)]
    run = make_run(
        project,
        "sample",
        parent=make_checkpoint(project),
        request={
            "prompt_ids": [prompt.pk for prompt in prompts],
            "kind": "comparison",
            "purpose": "training",
            **request,
        },
    )
    run.request["batch"] = f"run-{run.pk}"
    run.save(update_fields=["request"])
    return run


def test_it_exports_a_policy_and_makes_no_checkpoint_of_it(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("works")
    run = make_run(project, "export", parent=make_checkpoint(project))
    before = Checkpoint.objects.count()
    run = carried_out(run)
    assert run.state == State.SUCCEEDED
    assert run.results["folder"] == str(artifacts.output_folder(run))
    assert run.results["bytes"] > 0
    assert Checkpoint.objects.count() == before


def test_it_carries_out_a_run(project: Project, behave: Callable[[str], None]) -> None:
    behave("works")
    told_of = ["checkpoint.created"]
    webhook, _ = services.add_webhook(
        project, "https://ci.example", told_of, created_by=project.created_by
    )
    run = carried_out(make_run(project))
    assert (run.state, run.step, run.total_steps) == (State.SUCCEEDED, 6, 6)
    assert run.results == {"rows": 3}
    assert run.metrics.count() == 6
    assert run.samples == [{"prompt": "p", "before": "b", "after": "a ?"}]
    assert "a line for the log" in run.log_tail
    checkpoint = Checkpoint.objects.get(run=run)
    assert (checkpoint.kind, checkpoint.parent) == (Checkpoint.Kind.POLICY, run.parent)
    assert checkpoint.manifest["provenance"]["run"] == run.pk
    assert checkpoint.manifest["provenance"]["code_version"]
    assert artifacts.checkpoint_folder(checkpoint) == artifacts.output_folder(run)
    told = json.loads(webhook.messages.get().body)["data"]
    assert (told["checkpoint_id"], told["run_id"]) == (checkpoint.pk, run.pk)


def test_it_carries_out_the_first_in_line_whichever_was_hinted_at(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("works")
    early, urgent = make_run(project), make_run(project, priority=1)
    tasks.execute_run(early.pk)
    urgent.refresh_from_db()
    assert (carried_out(urgent).state, early.state) == (State.SUCCEEDED, State.QUEUED)
    assert carried_out(early).state == State.SUCCEEDED


def test_a_failed_run_keeps_the_settings_that_would_mend_it(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("expected")
    assert carried_out(make_run(project)).remedy == {"learning_rate": 1e-5}


def test_a_run_that_was_killed_again_and_again_asks_for_less_memory(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("killed")
    run = make_run(project)
    for _ in range(3):
        carried_out(run)
    assert run.state == State.FAILED
    assert run.remedy == {"micro_batch_size": 4, "gradient_checkpointing": True}
    assert "Start again with micro_batch_size 4" in run.error


def test_it_makes_a_reward_model_of_a_reward_run(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("works")
    run = carried_out(make_run(project, "reward"))
    assert run.checkpoint.kind == Checkpoint.Kind.REWARD


def test_it_turns_completions_into_items(project: Project, behave: Callable[[str], None]) -> None:
    behave("works")
    run = carried_out(sample_run(project))
    assert run.state == State.SUCCEEDED, run.error
    items = Item.objects.filter(batch=f"run-{run.pk}")
    assert items.count() == run.results["items"] == 3
    assert {c.checkpoint for i in items for c in i.completions.all()} == {run.parent}


def test_an_evaluation_pairs_the_answers_of_two_checkpoints(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("works")
    rival = make_checkpoint(project)
    run = sample_run(project, purpose="evaluation", rival_checkpoint_id=rival.pk)
    run.config["completions_per_prompt"] = 1
    run.save()
    carried_out(run)
    assert run.state == State.SUCCEEDED, run.error
    for item in Item.objects.filter(batch=f"run-{run.pk}", purpose="evaluation"):
        assert {c.checkpoint for c in item.completions.all()} == {run.parent, rival}
    assert run.results["items"] == 3


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("expected", "The loss is NaN. Lower it."),
        ("unexpected", "KeyError"),
        ("vanishes", "exit status 3"),
        ("torn", "not whole"),
    ],
)
def test_it_fails_at_once_in_words(
    project: Project, behave: Callable[[str], None], behaviour: str, words: str
) -> None:
    behave(behaviour)
    run = carried_out(make_run(project))
    assert run.state == State.FAILED
    assert words in run.error
    assert run.attempt == 1
    assert not Checkpoint.objects.filter(run=run).exists()


def test_an_unexpected_error_shows_the_runs_id_and_the_log(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("vanishes")
    run = carried_out(make_run(project))
    assert f"Run {run.pk} " in run.error
    assert "a line for the log" in run.error_detail


def test_it_resumes_a_run_whose_child_was_killed(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("fails once")
    run = carried_out(make_run(project))
    assert (run.state, run.attempt) == (State.QUEUED, 1)
    carried_out(run)
    assert (run.state, run.attempt) == (State.SUCCEEDED, 2)
    steps = artifacts.work_folder(run).joinpath("steps.txt").read_text().split()
    assert steps == ["1", "2", "3", "4", "5", "6"]
    assert list(run.metrics.order_by("step").values_list("step", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert run.first_step == 3


def test_it_fails_a_run_whose_child_was_killed_three_times(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("killed")
    run = make_run(project)
    assert [carried_out(run).state for _ in range(4)] == [
        State.QUEUED,
        State.QUEUED,
        State.FAILED,
        State.FAILED,
    ]
    assert run.attempt == 3
    assert "SIGKILL" in run.error
    assert "memory" in run.error


def test_numbers_that_are_not_finite_do_no_harm(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("nan")
    run = carried_out(make_run(project))
    assert run.state == State.SUCCEEDED
    assert run.results == {"kl": None, "rows": 3}
    assert list(run.metrics.values_list("name", flat=True)) == ["lr"]


def test_it_survives_a_child_that_talks_nonsense(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("no words")
    assert carried_out(make_run(project)).state == State.SUCCEEDED


def test_a_base_model_that_is_gone_fails_the_run_in_words(project: Project) -> None:
    run = make_run(project)
    Path(run.parent.path, "model.safetensors").unlink()
    assert carried_out(run).state == State.FAILED
    assert "safetensors" in run.error


def test_whatever_goes_wrong_before_the_child_fails_the_run(
    project: Project, settings: Any
) -> None:
    settings.TRAINING_COMMAND = ["/no/such/program"]
    run = carried_out(make_run(project))
    assert run.state == State.FAILED
    assert "/no/such/program" in run.error


def test_a_disk_that_is_full_before_the_child_starts_is_told_in_words(
    project: Project, behave: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    behave("works")
    started: list[int] = []

    def refuse(_folder: Path, pid: int) -> None:
        started.append(pid)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(supervisor, "_remember", refuse)
    run = carried_out(make_run(project))
    assert run.state == State.FAILED
    assert run.error.startswith("The disk is full.")
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)


def later(act: Callable[[], Any], seconds: float = 0.7) -> threading.Timer:
    def and_close() -> None:
        act()
        connection.close()

    timer = threading.Timer(seconds, and_close)
    timer.start()
    return timer


@pytest.mark.django_db(transaction=True)
def test_it_cancels_a_running_run_within_seconds(
    project: Project, behave: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    behave("works")
    monkeypatch.setenv("SCRIPTED_STEP_S", "0.4")
    monkeypatch.setenv("SCRIPTED_STEPS", "100")
    run = make_run(project)
    later(lambda: lifecycle.cancel(run.pk))
    started = time.monotonic()
    carried_out(run)
    assert run.state == State.CANCELLED
    assert time.monotonic() - started < 6
    assert not Checkpoint.objects.filter(run=run).exists()


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_done_before_it_stops_has_succeeded(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("finishes when stopped")
    run = make_run(project)

    def cancel_while_it_saves() -> None:
        for _ in range(100):
            if Run.objects.filter(id=run.pk, phase="saving").exists():
                break
            time.sleep(0.1)
        lifecycle.cancel(run.pk)

    later(cancel_while_it_saves, 0)
    assert carried_out(run).state == State.SUCCEEDED
    assert Checkpoint.objects.filter(run=run).exists()


@pytest.mark.django_db(transaction=True)
def test_a_run_taken_over_by_another_worker_ends_its_child(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("stubborn")
    run = make_run(project)
    later(lambda: Run.objects.filter(id=run.pk).update(attempt=2, phase="with another worker"))
    started = time.monotonic()
    carried_out(run)
    assert (run.state, run.attempt, run.phase) == (State.RUNNING, 2, "with another worker")
    assert time.monotonic() - started < 6


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_shuts_down_gives_the_run_back(
    project: Project, behave: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    behave("works")
    monkeypatch.setenv("SCRIPTED_STEP_S", "0.3")
    run = make_run(project)
    later(lambda: os.kill(os.getpid(), signal.SIGTERM), 1.0)
    carried_out(run)
    assert (run.state, run.attempt) == (State.QUEUED, 1)
    monkeypatch.setenv("SCRIPTED_STEP_S", "0.01")
    carried_out(run)
    assert (run.state, run.attempt) == (State.SUCCEEDED, 2)
    steps = artifacts.work_folder(run).joinpath("steps.txt").read_text().split()
    assert steps == ["1", "2", "3", "4", "5", "6"]


def test_a_worker_that_shuts_down_takes_no_new_run(project: Project) -> None:
    run = make_run(project)
    supervisor.announce_shutdown()
    try:
        assert carried_out(run).state == State.QUEUED
    finally:
        supervisor.forget_shutdown()


def test_a_run_that_takes_too_long_fails_in_words(
    project: Project, behave: Callable[[str], None], settings: Any
) -> None:
    behave("stubborn")
    settings.RUN_LIMIT_HOURS = 0.0001
    monkey = pytest.MonkeyPatch()
    monkey.setitem(supervisor.GRACE_S, "limit", 0.3)
    run = carried_out(make_run(project))
    monkey.undo()
    assert run.state == State.FAILED
    assert "RUN_LIMIT_HOURS" in run.error


def test_a_hint_that_cannot_be_sent_loses_nothing_and_takes_no_time(project: Project) -> None:
    run = make_run(project)
    started = time.monotonic()
    assert tasks.send_hint(run.pk, "training") is False
    assert time.monotonic() - started < 3
    assert lifecycle.due_for_hint() == [(run.pk, "training")]


def test_it_publishes_once_even_if_the_row_was_lost_after_the_files_were_there(
    project: Project, behave: Callable[[str], None]
) -> None:
    behave("works")
    run = carried_out(sample_run(project))
    before = Item.objects.count()
    outcomes._completions_of(run)()
    assert Item.objects.count() == before
