"""`manage.py train`: the checks of the form, the run's progress, an exit status by its end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from annotations.models import Project
from training import lifecycle, tasks
from training.models import Run
from training.tests import scripted
from training.tests.factories import make_base, make_checkpoint, make_snapshot, of_known_size

Train = Callable[..., str]


@pytest.fixture
def ready(project: Project) -> Project:
    """Return a project with a base model and a snapshot."""
    make_base(project)
    make_snapshot(project)
    return project


@pytest.fixture
def train(ready: Project, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Return what calls the command; a worker carries the run out while the command waits."""

    def call(*words: str, child: str = "works", stage: str = "sft", user: str = "eve") -> str:
        settings.TRAINING_COMMAND = scripted.command(child)
        out = StringIO()

        def work(_seconds: float) -> None:
            for run in Run.objects.filter(state=Run.State.QUEUED):
                tasks.execute_run(run.pk)

        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", lambda s: work(s) if s == 1.0 else None)
            call_command("train", stage, "--project", "Haiku", "--as", user, *words, stdout=out)
        return out.getvalue()

    return call


def refusal(train: Train, *words: str, **options: Any) -> CommandError:
    with pytest.raises(CommandError) as caught:
        train(*words, **options)
    return caught.value


def test_it_starts_a_run_and_tells_its_steps_and_its_end(train: Train) -> None:
    told = train("--preset", "quick", "--set", "learning_rate=1e-4")
    run = Run.objects.get()
    assert (run.config["epochs"], run.config["learning_rate"]) == (1.0, 1e-4)
    assert run.started_by.username == "eve"
    assert "waits for a free training worker" in told
    assert "step 6: loss 0.167" in told
    assert f"checkpoint sft-{run.pk}" in told


def test_it_tells_what_the_run_needs(train: Train, ready: Project) -> None:
    of_known_size(ready)
    told = train("--parent", "sized", "--detach")
    assert "At its peak it needs about 0.6 GB" in told


def test_overrides_beat_the_preset(train: Train) -> None:
    train("--preset", "quick", "--set", "epochs=5", "gradient_checkpointing=true", "--detach")
    run = Run.objects.get()
    assert (run.config["epochs"], run.config["gradient_checkpointing"]) == (5.0, True)


def test_it_does_not_wait_where_nobody_watches(train: Train) -> None:
    train("--detach")
    assert Run.objects.get().state == Run.State.QUEUED


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "epochs=0"], "epochs: epochs is 0; choose a value"),
        (["--set", "epoch=2"], "with a name of learning_rate, batch_size"),
        (["--preset", "huge"], "sft has no preset huge; it has quick, haiku, 7b"),
        (["--parent", "nobody"], "There is no checkpoint nobody in Haiku; there are base."),
        (["--snapshot", "999"], "which 999 is not; there are"),
        (["--config", "/nowhere.json"], "can't be read"),
    ],
)
def test_it_refuses_what_the_form_refuses(train: Train, words: list[str], said: str) -> None:
    error = refusal(train, *words)
    assert said in str(error)
    assert error.returncode == 2
    assert not Run.objects.exists()


@pytest.mark.parametrize("user", ["bob", "charlie", "nobody"])
def test_it_refuses_who_does_not_train_in_the_project(train: Train, user: str) -> None:
    assert refusal(train, user=user).returncode == 2
    assert not Run.objects.exists()


def test_a_failed_run_is_told_with_its_cure(train: Train) -> None:
    error = refusal(train, child="expected")
    assert "The loss is NaN. Lower it." in str(error)
    assert error.returncode == 1


def test_a_cancelled_run_has_an_exit_status_of_its_own(
    ready: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: lifecycle.cancel(Run.objects.get().pk))
    with pytest.raises(CommandError) as caught:
        call_command("train", "sft", "--project", str(ready.pk), "--as", "eve", stdout=StringIO())
    assert caught.value.returncode == 3


def test_it_leaves_the_run_alone_when_the_watching_ends(
    ready: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(CommandError, match="goes on") as caught:
        call_command("train", "sft", "--project", str(ready.pk), "--as", "eve", stdout=StringIO())
    assert caught.value.returncode == 130
    assert Run.objects.get().state == Run.State.QUEUED


def test_it_takes_the_settings_of_an_exported_job(train: Train, tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"config": {"stage": "sft", "epochs": 7.0}, "base_path": "/x"}))
    train("--config", str(job), "--detach")
    assert Run.objects.get().config["epochs"] == 7.0
    job.write_text(json.dumps({"config": {"stage": "ppo"}}))
    assert "settings of ppo, not of sft" in str(refusal(train, "--config", str(job)))


def test_it_starts_ppo_with_the_newest_reward_model(train: Train, ready: Project) -> None:
    make_snapshot(ready, "prompts")
    assert "PPO needs a reward model" in str(refusal(train, stage="ppo"))
    reward = make_checkpoint(ready, kind="reward")
    train("--preset", "quick", "--detach", stage="ppo")
    assert Run.objects.get().reward_checkpoint == reward
