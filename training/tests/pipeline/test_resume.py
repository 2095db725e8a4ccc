"""A run that was stopped or killed ends as one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import load_file

from training.pipeline import train
from training.pipeline.config import (
    AnyConfig,
    DPOConfig,
    GRPOConfig,
    KTOConfig,
    PPOConfig,
    RejectionConfig,
    RewardConfig,
    RLOOConfig,
    SFTConfig,
)
from training.pipeline.errors import RunStopped
from training.pipeline.jobs import Job
from training.tests.forked import ForkedChild
from training.tests.pipeline.conftest import run_job

MakeJob = Callable[..., Job]
GROUPS: dict[str, Any] = {
    "steps": 5,
    "batch_size": 8,
    "minibatch_size": 4,
    "group_size": 4,
    "max_new_tokens": 6,
    "checkpoint_every": 2,
}
STAGES: dict[str, tuple[AnyConfig, str]] = {
    "sft": (SFTConfig(batch_size=5, epochs=1, checkpoint_every=2, looks=1), "demonstrations"),
    "reward": (RewardConfig(batch_size=5, epochs=1, checkpoint_every=2), "preferences"),
    "dpo": (DPOConfig(batch_size=10, epochs=1, checkpoint_every=2), "preferences"),
    "kto": (KTOConfig(batch_size=15, epochs=1, checkpoint_every=2), "judgements"),
    "grpo": (GRPOConfig(**GROUPS), "prompts"),
    "rloo": (RLOOConfig(**GROUPS), "prompts"),
    "rejection": (
        RejectionConfig(
            best_of=4, max_new_tokens=24, batch_size=1, epochs=3, min_rows=1, checkpoint_every=4
        ),
        "prompts",
    ),
    "ppo": (
        PPOConfig(steps=6, batch_size=8, minibatch_size=4, max_new_tokens=6, checkpoint_every=2),
        "prompts",
    ),
}


EVALUATED = ("sft", "reward", "dpo", "kto")
"""Stages that measure themselves after the last step."""
ALIKE = ("dpo", "kto", "rloo", "rejection")
"""Stages that resume by the code of *reward*, *grpo* and *sft*: left to `make test`."""
MOMENTS = 40
"""Steps and opened files behind the first resume point among which one is drawn to be killed at:
some two steps, and most of them while the next resume point is written."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Reckon in one thread: a fork has no others, and sums depend on how many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def weights(output: str) -> dict[str, torch.Tensor]:
    return load_file(Path(output) / "adapter_model.safetensors")


def has_resume_point(job: Job) -> bool:
    work = Path(job.work_dir)
    patterns = ("resume-*/manifest.json", "trainer/checkpoint-*/manifest.json")
    return any(True for pattern in patterns for _ in work.glob(pattern))


def carry_out_until_killed(job: Job, moment: int) -> NoReturn:
    """Carry a job out in this process, which is killed at a moment behind its first resume point.

    A moment is a step that ends, or a file of the work folder that is opened: resume points have
    many, so that one may be left half written.
    """
    left = moment

    def one_more() -> None:
        nonlocal left
        if left < moment or has_resume_point(job):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def at_file(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(job.work_dir):
            one_more()

    def at_step(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            one_more()

    try:
        sys.addaudithook(at_file)
        train(job, report=at_step, should_stop=lambda: False)
    finally:  # it ended before the moment came; nothing of the parent's is to be tidied up here
        os._exit(1)


def kill_9(job: Job, moment: int) -> None:
    """Carry a job out in a fork of this process, which has all libraries, until it is killed."""
    child = os.fork() or carry_out_until_killed(job, moment)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it ended before it was killed"
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert not Path(job.output_dir).exists()


def one_step_on(events: list[dict[str, Any]]) -> bool:
    return len(steps(events)) > 1


def at_step_3(events: list[dict[str, Any]]) -> bool:
    return any(e["event"] == "progress" and e["step"] >= 3 for e in events)


def evaluating(events: list[dict[str, Any]]) -> bool:
    return {"event": "phase", "phase": "evaluating"} in events


def stopped(job: Job, when: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """Carry a job out until `when` says so of its events; return them."""
    events: list[dict[str, Any]] = []
    with pytest.raises(RunStopped):
        train(job, report=events.append, should_stop=lambda: when(events))
    return events


def steps(events: list[dict[str, Any]]) -> list[int]:
    return [event["step"] for event in events if event["event"] == "progress"]


@pytest.mark.parametrize(
    "stage",
    [pytest.param(s, marks=pytest.mark.long if s in ALIKE else ()) for s in STAGES],
)
def test_it_resumes_to_the_weights_of_an_uninterrupted_run(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path, stage: str
) -> None:
    """Killed with kill -9 at a random moment, and asked to stop after that."""
    config, rows = STAGES[stage]
    more = {"reward_path": reward_adapter} if rows == "prompts" else {}
    expected = weights(run_job(make_job(tmp_path / "whole", config, rows, **more))[0])

    job = make_job(tmp_path / "parts", config, rows, **more)
    kill_9(job, random.Random(stage).randint(1, MOMENTS))
    if stage in EVALUATED:  # stopped again while it evaluates, it has nothing left to train
        assert min(steps(stopped(job, evaluating))) > 0
        output, _, events = run_job(job)
        assert not [e for e in events if e["event"] == "metrics" and "loss" in e["values"]]
    else:
        assert min(steps(stopped(job, one_step_on))) > 0
        output, _, events = run_job(job)
    resumed = weights(output)
    assert expected.keys() == resumed.keys()
    for name, value in expected.items():
        assert torch.equal(value, resumed[name]), name


def test_it_ignores_a_torn_resume_point(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path
) -> None:
    config, rows = STAGES["ppo"]
    job = make_job(tmp_path, config, rows, reward_path=reward_adapter)
    stopped(job, at_step_3)
    (point,) = Path(job.work_dir).glob("resume-*")
    with (point / "trained.safetensors").open("r+b") as file:
        file.truncate(100)
    _, _, events = run_job(job)
    assert min(steps(events)) == 0


def start_child(
    job: Job, folder: Path, popen: type[subprocess.Popen[str]] = ForkedChild
) -> subprocess.Popen[str]:
    path = folder / "job.json"
    path.write_text(json.dumps(job.to_dict()))
    with (folder / "log.txt").open("w") as log:
        return popen(
            [sys.executable, "-m", "training.pipeline", str(path)],
            stdout=subprocess.PIPE, stderr=log, text=True, cwd=Path(__file__).parents[3],
        )  # fmt: skip


def wait_for_step(child: subprocess.Popen[str], step: int) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["step"] >= step:
            return
    raise AssertionError("the child ended early")


@pytest.mark.long
def test_it_stops_within_seconds_of_a_request_and_its_log_is_free_of_library_talk(
    make_job: MakeJob, tmp_path: Path
) -> None:
    # A reward model says most: it loads what sft loads, and a head that nobody has trained.
    job = make_job(tmp_path, RewardConfig(batch_size=4, epochs=100), "preferences")
    child = start_child(job, tmp_path, subprocess.Popen)
    wait_for_step(child, 2)
    child.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    rest, _ = child.communicate(timeout=20)
    assert time.monotonic() - asked < 10
    assert child.returncode == 75
    assert json.loads(rest.splitlines()[-1]) == {"event": "stopped"}
    assert not Path(job.output_dir).exists()
    log = (tmp_path / "log.txt").read_text()
    for talk in ("Warning", "warnings.warn", "LOAD REPORT", "%|"):
        assert talk not in log, log


def test_it_tells_an_expected_error_from_an_unexpected_one(
    make_job: MakeJob, tmp_path: Path
) -> None:
    job = make_job(tmp_path, SFTConfig(), "demonstrations")
    broken = Job(**{**vars(job), "base_path": str(tmp_path / "nowhere")})
    child = start_child(broken, tmp_path)
    out, _ = child.communicate(timeout=60)
    event = json.loads(out.splitlines()[-1])
    assert child.returncode == 1
    assert event["event"] == "error"
    assert event["expected"] is True
    assert "nowhere" in event["message"]
