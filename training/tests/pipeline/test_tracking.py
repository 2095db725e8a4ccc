"""Metrics as event files that TensorBoard reads, and to the tracker that somebody named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from training.pipeline import tracking, train
from training.pipeline.config import SFTConfig, parse_config
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.pipeline.tensorboard import FOLDER, EventFile, crc32c, read_scalars
from training.tests.pipeline.conftest import run_job

RECORDED = bytes.fromhex(
    "1800000000000000a37f4b2209000000402049da411a0d627261696e2e4576656e743a32c426e9b726000000"
    "00000000734fe30009000040402049da4110ac022a180a0b0a046c6f737315000020400a090a026b6c150000"
    "80bfa997eeec"
)
"""A version and two scalars at step 300, as tensorboard 2.21 itself writes them."""


def test_it_reads_what_tensorboard_writes(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(RECORDED)
    assert list(read_scalars(path)) == [(300, "loss", 2.5), (300, "kl", -1.0)]


def test_it_writes_the_bytes_that_tensorboard_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([1764000000.0, 1764000001.0])
    monkeypatch.setattr("training.pipeline.tensorboard.time.time", lambda: next(clock))
    file = EventFile(tmp_path)
    file.add(300, {"loss": 2.5, "kl": -1.0})
    assert file.path.read_bytes() == RECORDED


def test_it_writes_what_it_reads(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.add(1, {"loss": 2.5, "rewards/é": -1.0})
    file.add(300, {"loss": 0.5})
    assert list(read_scalars(file.path)) == [
        (1, "loss", 2.5),
        (1, "rewards/é", -1.0),
        (300, "loss", 0.5),
    ]


def test_a_torn_file_gives_what_came_before(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.add(1, {"loss": 2.5})
    file.add(2, {"loss": 2.0})
    file.path.write_bytes(file.path.read_bytes()[:-3])
    assert list(read_scalars(file.path)) == [(1, "loss", 2.5)]


@pytest.mark.parametrize(
    ("data", "crc"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_its_checksum_is_that_of_rfc_3720(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc


def test_a_run_leaves_its_curves(make_job: Callable[..., Job], tmp_path: Path) -> None:
    config = SFTConfig(batch_size=8, epochs=0.5)
    _, _, events = run_job(make_job(tmp_path, config, "demonstrations"))
    (file,) = (tmp_path / "work" / FOLDER).iterdir()
    said = {
        (e["step"], name): value
        for e in events
        if e["event"] == "metrics"
        for name, value in e["values"].items()
    }
    written = {(step, name): value for step, name, value in read_scalars(file)}
    assert written.keys() == said.keys()
    assert written == pytest.approx(said)


def test_it_names_what_is_not_installed(make_job: Callable[..., Job], tmp_path: Path) -> None:
    job = make_job(tmp_path, SFTConfig(track_with="wandb"), "demonstrations")
    if tracking.importlib.util.find_spec("wandb"):
        pytest.skip("wandb is installed here.")
    with pytest.raises(PipelineError, match="pip install wandb"):
        run_job(job)


def test_it_knows_the_trackers_by_their_names() -> None:
    with pytest.raises(PipelineError, match="choose wandb, mlflow, trackio"):
        parse_config("sft", {"track_with": "paper"})


TRACKIO = """
lines = []
class Run:
    def log(self, values, step): lines.append((step, values))
    def finish(self): lines.append("finished")
def init(**values):
    lines.append(values)
    return Run()
"""


@pytest.fixture
def write_trackio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], object]]:
    """Return what writes a stand-in for trackio, which nothing here depends on."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield (tmp_path / "trackio.py").write_text
    sys.modules.pop("trackio", None)  # else other libraries would take it for the real one


def test_it_sends_the_metrics_to_the_named_tracker(
    make_job: Callable[..., Job], tmp_path: Path, write_trackio: Callable[[str], object]
) -> None:
    write_trackio(TRACKIO)
    job = make_job(tmp_path, SFTConfig(track_with="trackio"), "demonstrations")
    events: list[dict[str, Any]] = []
    with tracking.tracked(job, events.append) as report:
        report({"event": "phase", "phase": "training"})
        report({"event": "metrics", "step": 1, "values": {"loss": 2.0}})
    lines = sys.modules["trackio"].lines
    assert lines[0]["config"]["track_with"] == "trackio"
    assert lines[1:] == [(1, {"loss": 2.0}), "finished"]
    assert [event["event"] for event in events] == ["phase", "metrics"]


def test_a_tracker_that_does_not_open_is_told_before_anything_is_loaded(
    make_job: Callable[..., Job], tmp_path: Path, write_trackio: Callable[[str], object]
) -> None:
    write_trackio(TRACKIO.replace("lines.append(values)", "raise RuntimeError('no key')"))
    job = make_job(tmp_path, SFTConfig(track_with="trackio"), "demonstrations")
    events: list[dict[str, Any]] = []
    with pytest.raises(PipelineError, match=r"not be opened: no key\. Sign") as refusal:
        train(job, report=events.append, should_stop=lambda: False)
    assert refusal.value.change == {"track_with": ""}
    assert not events


def test_a_tracker_that_does_not_close_does_not_lose_what_was_learned(
    make_job: Callable[..., Job],
    tmp_path: Path,
    write_trackio: Callable[[str], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_trackio(TRACKIO.replace('lines.append("finished")', "raise OSError('offline')"))
    job = make_job(tmp_path, SFTConfig(track_with="trackio"), "demonstrations")
    with tracking.tracked(job, lambda event: None) as report:
        report({"event": "metrics", "step": 1, "values": {"loss": 2.0}})
    assert caplog.text.count("offline") == 1


def test_a_tracker_that_breaks_does_not_break_the_run(
    make_job: Callable[..., Job],
    tmp_path: Path,
    write_trackio: Callable[[str], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_trackio(TRACKIO.replace("lines.append((step, values))", "raise OSError('offline')"))
    job = make_job(tmp_path, SFTConfig(track_with="trackio"), "demonstrations")
    events: list[dict[str, Any]] = []
    with tracking.tracked(job, events.append) as report:
        report({"event": "metrics", "step": 1, "values": {"loss": 2.0}})
        report({"event": "metrics", "step": 2, "values": {"loss": 1.0}})
    assert len(events) == 2
    assert caplog.text.count("offline") == 1
