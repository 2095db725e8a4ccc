"""A trained SFT adapter and reward model on the tiny base, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.pipeline import samples, train
from training.pipeline.config import AnyConfig, RewardConfig, SFTConfig
from training.pipeline.jobs import Job
from training.tests.pipeline.rows import (
    demonstration_rows,
    judged_rows,
    preference_rows,
    prompt_rows,
    write_rows,
)
from training.tests.tiny import build_tiny_model, make_brief

RunStage = Callable[..., tuple[str, dict[str, Any], list[dict[str, Any]]]]


def run_job(
    job: Job, should_stop: Callable[[list[dict[str, Any]]], bool] = lambda events: False
) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
    """Return the output folder, the results and the events of a job."""
    events: list[dict[str, Any]] = []
    outcome = train(job, report=events.append, should_stop=lambda: should_stop(events))
    return str(outcome.output), outcome.results, events


def steps_shown(events: list[dict[str, Any]]) -> list[str]:
    """Return the steps between the first and the last that samples were shown of in the end."""
    samples = [e["samples"] for e in events if e["event"] == "samples"][-1]
    return [at["step"] for at in samples[0]["steps"]]


@pytest.fixture(autouse=True)
def short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show less of what the tiny model says: it never ends a text, and says it in most tests."""
    monkeypatch.setattr(samples, "MAX_NEW_TOKENS", 6)


@pytest.fixture(scope="session")
def rows_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    write_rows(folder / "demonstrations.jsonl", demonstration_rows())
    write_rows(folder / "preferences.jsonl", preference_rows())
    write_rows(folder / "judgements.jsonl", judged_rows())
    write_rows(folder / "prompts.jsonl", prompt_rows())
    return folder


@pytest.fixture(scope="session")
def make_job(tiny_model: Path, rows_folder: Path) -> Callable[..., Job]:
    """Return a function that makes a job with a work folder below `folder`."""

    def make(folder: Path, config: AnyConfig, rows: str, **changes: Any) -> Job:
        return Job(
            config=config,
            base_path=str(tiny_model),
            work_dir=str(folder / "work"),
            output_dir=str(folder / "out"),
            data_path=str(rows_folder / f"{rows}.jsonl"),
            **changes,
        )

    return make


@pytest.fixture(scope="session")
def sft_adapter(make_job: Callable[..., Job], tmp_path_factory: pytest.TempPathFactory) -> str:
    config = SFTConfig(batch_size=4, epochs=1, learning_rate=1e-3)
    return run_job(make_job(tmp_path_factory.mktemp("sft"), config, "demonstrations"))[0]


@pytest.fixture(scope="session")
def reward_adapter(make_job: Callable[..., Job], tmp_path_factory: pytest.TempPathFactory) -> str:
    config = RewardConfig(batch_size=4, epochs=2, learning_rate=3e-3)
    return run_job(make_job(tmp_path_factory.mktemp("reward"), config, "preferences"))[0]


@pytest.fixture(scope="session")
def brief_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny base whose completions end after some six tokens."""
    folder = build_tiny_model(tmp_path_factory.mktemp("brief") / "model")
    return make_brief(folder, share=0.15)
