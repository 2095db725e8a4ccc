"""What cannot work is refused with a sentence, before anything is loaded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from training.pipeline.config import CONFIGS, PPOConfig, parse_config
from training.pipeline.errors import PipelineError
from training.pipeline.evaluate import accuracy_with_interval
from training.pipeline.jobs import Job


@pytest.mark.parametrize("stage", CONFIGS)
def test_it_takes_every_stages_own_defaults_back_from_json(stage: str) -> None:
    config = CONFIGS[stage]()
    again = parse_config(stage, json.loads(json.dumps(config.to_dict())))
    assert again == config


@pytest.mark.parametrize(
    ("stage", "values", "words"),
    [
        ("sft", {"learning_rate": 1e9}, "learning_rate is 1e[+]09; choose a value from"),
        ("sft", {"learning_rate": float("nan")}, "learning_rate must be a number"),
        ("sft", {"learning_rate": "fast"}, "learning_rate must be a number"),
        ("reward", {"batch_size": 0}, "batch_size is 0"),
        ("sample", {"batch_size": 10**400}, "batch_size has 401 digits; choose a value from 1"),
        ("ppo", {"batch_size": 10, "minibatch_size": 4}, "not a multiple"),
        ("sft", {"batch_size": 2.5}, "batch_size must be a whole number, not 2.5"),
        ("sft", {"packing": "false"}, "packing must be true or false, not 'false'"),
        ("ppo", {"sped": 1}, "Unknown setting sped"),
        ("dance", {}, "Unknown stage"),
    ],
)
def test_it_refuses_what_cannot_work(stage: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(PipelineError, match=words):
        parse_config(stage, values)


def test_it_hands_a_job_over_as_json() -> None:
    job = Job(config=PPOConfig(steps=3), base_path="b", work_dir="w", output_dir="o")
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job


def test_it_widens_the_interval_when_pairs_share_their_prompt() -> None:
    right = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0] * 20
    apart = accuracy_with_interval(right, list(range(120)))
    together = accuracy_with_interval(right, [i // 3 for i in range(120)])
    assert apart[0] == together[0] == 0.5
    assert together[2] - together[1] > 1.5 * (apart[2] - apart[1])
