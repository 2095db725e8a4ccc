"""What the radar of a run sees: at set distances, once, without a trace in what is learned."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from training.pipeline import train
from training.pipeline.config import PPOConfig
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.jobs import Job
from training.pipeline.radar import LookTaken, StopOrder, order_stop
from training.tests.pipeline.conftest import run_job
from training.tests.pipeline.rows import base_row, write_rows

MakeJob = Callable[..., Job]
PLAIN = PPOConfig(
    steps=5, batch_size=8, minibatch_size=8, max_new_tokens=6, learning_rate=1e-2, kl_coef=0.0,
    max_kl=1e6, max_length_ratio=1e6, checkpoint_every=2,
)  # fmt: skip


@dataclass(frozen=True)
class Plain:
    """What a run without a radar comes to, and two distances that it reaches on its way."""

    output: str
    results: dict[str, Any]
    near: float
    far: float

    @property
    def watched(self) -> PPOConfig:
        distances = f"{self.near!r} {self.far!r} 100000"
        return dataclasses.replace(PLAIN, radar_kl=distances, radar_prompts=4)


@pytest.fixture(scope="module")
def plain(
    make_job: MakeJob, reward_adapter: str, tmp_path_factory: pytest.TempPathFactory
) -> Plain:
    folder = tmp_path_factory.mktemp("plain")
    output, results, events = run_job(
        make_job(folder, PLAIN, "prompts", reward_path=reward_adapter)
    )
    kls = [e["values"]["objective/kl"] for e in events if e["event"] == "metrics"]
    near = next(kl for kl in kls if kl > 1e-3)
    far = max(kls[:-1])
    assert far > near
    return Plain(output, results, near, far)


def looks(events: list[dict[str, Any]]) -> list[LookTaken]:
    return [LookTaken.from_dict(event["look"]) for event in events if event["event"] == "radar"]


def weights(output: str) -> dict[str, torch.Tensor]:
    return load_file(Path(output) / "adapter_model.safetensors")


def assert_equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_it_looks_once_at_each_distance_and_learns_what_it_would_have_learned(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path, plain: Plain
) -> None:
    job = make_job(tmp_path / "whole", plain.watched, "prompts", reward_path=reward_adapter)
    output, results, events = run_job(job)
    assert_equal(weights(output), weights(plain.output))
    assert results == plain.results
    found = looks(events)
    kls = {e["step"]: e["values"]["objective/kl"] for e in events if e["event"] == "metrics"}
    assert [look.number for look in found] == [0, 1]  # the third is never reached
    for look in found:
        first = min(step for step, kl in kls.items() if kl >= look.distance)
        assert (look.step, look.kl) == (first - 1, kls[first])
        assert len(look.answers) == 4
        assert {row.prompt_id for row in look.answers} <= set(range(30, 35))  # held out
    first, second = found
    assert [row.prompt_id for row in first.answers] == [row.prompt_id for row in second.answers]
    assert [row.start for row in first.answers] != [row.start for row in second.answers]

    # Stopped after the first look and gone on with: told again, taken once, the same weights.
    halves = make_job(tmp_path / "halves", plain.watched, "prompts", reward_path=reward_adapter)
    earlier: list[dict[str, Any]] = []
    with pytest.raises(RunStopped):
        train(halves, report=earlier.append, should_stop=lambda: bool(looks(earlier)))
    taken = sorted(Path(halves.work_dir).glob("radar/look-*/manifest.json"))
    times = [path.stat().st_mtime_ns for path in taken]
    shutil.rmtree(next(Path(halves.work_dir).glob("resume-*")))  # killed before it was saved
    resumed, _, events = run_job(halves)
    assert_equal(weights(resumed), weights(output))
    assert looks(events) == found
    assert [path.stat().st_mtime_ns for path in taken] == times


def test_it_ends_when_people_part_and_publishes_what_they_like_best(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path, plain: Plain
) -> None:
    config = dataclasses.replace(plain.watched, radar_stop=True)
    job = make_job(tmp_path, config, "prompts", reward_path=reward_adapter)
    events: list[dict[str, Any]] = []

    def report(event: dict[str, Any]) -> None:
        events.append(event)
        if len(looks(events)) == 2:  # what people said of the second
            order_stop(Path(job.work_dir), StopOrder("people no longer follow the reward.", 0))

    outcome = train(job, report=report, should_stop=lambda: False)
    steps = max(e["step"] for e in events if e["event"] == "progress")
    first, second = looks(events)
    assert steps == second.step + 1 < config.steps
    assert outcome.results["published_step"] == first.step
    assert f"stopped itself at step {steps} of 5: people no" in outcome.results["stopped_early"]
    kept = load_file(Path(job.work_dir) / "radar" / "look-0" / "policy.safetensors")
    published = weights(str(outcome.output))
    assert_equal(published, {n: kept[n.replace(".weight", ".policy.weight")] for n in published})

    # Killed before it published, the next attempt finds the order and learns nothing more.
    again = dataclasses.replace(job, output_dir=str(tmp_path / "again"))
    _, results, events = run_job(again)
    assert results["published_step"] == first.step
    assert not [event for event in events if event["event"] == "metrics"]

    # Where people like nothing better than the start, there is nothing to publish.
    (Path(job.work_dir) / "radar" / "stop.json").unlink()
    order_stop(Path(job.work_dir), StopOrder("people no longer follow the reward.", None))
    with pytest.raises(PipelineError, match=r"no longer follow the reward\. There is no policy"):
        run_job(dataclasses.replace(job, output_dir=str(tmp_path / "third")))


def test_it_needs_held_out_prompts_to_ask_about(
    make_job: MakeJob, reward_adapter: str, tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [base_row(number) for number in range(30)])
    config = dataclasses.replace(PLAIN, radar_kl="1")
    job = make_job(tmp_path, config, "prompts", reward_path=reward_adapter)
    with pytest.raises(PipelineError, match=r"this snapshot has none.*leave radar_kl empty"):
        run_job(dataclasses.replace(job, data_path=rows))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"radar_kl": "1 two"}, "write distances in nats"),
        ({"radar_kl": "nan"}, "each larger than the one before"),
        ({"radar_kl": "2 1"}, "each larger than the one before"),
        ({"radar_kl": "0 1"}, "above 0"),
        ({"radar_kl": " ".join(map(str, range(1, 10)))}, "up to 8 distances"),
        ({"radar_kl": "1 30"}, "stops itself above max_kl 20"),
        ({"radar_stop": True}, "set distances in radar_kl"),
        ({"radar_kl": "1", "radar_prompts": 0}, "radar_prompts is 0"),
        ({"radar_kl": 3}, "write distances in nats"),
    ],
)
def test_it_refuses_distances_that_cannot_work(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PipelineError, match=words):
        PPOConfig(**changes)


def test_distances_are_read_from_words() -> None:
    assert PPOConfig(radar_kl=" 1  2.5 8 ").radar_distances == (1.0, 2.5, 8.0)
    assert PPOConfig().radar_distances == ()
