"""A run's log holds what an engineer can act on, and no library's private matters."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from training.pipeline.config import Job, RewardConfig
from training.pipeline.quiet import is_worth_saying

NEW_HEAD = """LlamaForSequenceClassification LOAD REPORT from: /models/tiny
Key          | Status  |
-------------+---------+-
score.weight | MISSING |

Notes:
- MISSING: those params were newly initialized."""


def test_the_log_of_a_healthy_run_is_free_of_library_talk(
    make_job: Callable[..., Job], tmp_path: Path
) -> None:
    # A reward model says most: it loads what sft loads, and a head that nobody has trained.
    job = make_job(tmp_path, RewardConfig(batch_size=4, epochs=0.2), "preferences")
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job.to_dict()))
    child = subprocess.run(
        [sys.executable, "-m", "training.pipeline", str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert child.returncode == 0, child.stderr
    for talk in ("Warning", "warnings.warn", "LOAD REPORT", "%|"):
        assert talk not in child.stderr, child.stderr


def said(text: str) -> bool:
    record = logging.LogRecord("transformers", logging.WARNING, "", 0, text, (), None)
    return is_worth_saying(record)


def test_weights_that_are_missing_without_reason_are_reported() -> None:
    assert not said(NEW_HEAD)
    assert said(NEW_HEAD.replace("score.weight | MISSING", "score.weight | MISMATCH"))
    assert said(NEW_HEAD.replace("score.weight | MISSING |", "layers.0.weight | MISSING |"))
    assert said(NEW_HEAD + "\nlayers.1.weight | UNEXPECTED |")
    assert said("The attention mask is not set.")
