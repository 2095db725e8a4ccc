"""What the page of a rebuilt checkpoint rests on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.pipeline.checkpoints import read_manifest
from training.pipeline.config import SFTConfig
from training.pipeline.jobs import Job
from training.tests.pipeline.conftest import run_job


def test_a_run_that_is_repeated_leaves_the_same_files(
    make_job: Callable[..., Job], sft_adapter: str, tmp_path: Path
) -> None:
    config = SFTConfig(batch_size=4, epochs=1, learning_rate=1e-3)
    again, _, _ = run_job(make_job(tmp_path, config, "demonstrations"))
    files = read_manifest(Path(again))["files"]
    assert "adapter_model.safetensors" in files
    assert files == read_manifest(Path(sft_adapter))["files"]
