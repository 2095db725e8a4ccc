"""A checkpoint is whole or absent, and nothing unsafe is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.pipeline import checkpoints
from training.pipeline.errors import PipelineError


def write_two_files(folder: Path) -> None:
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")


def test_it_publishes_a_folder_that_verifies(tmp_path: Path) -> None:
    target = checkpoints.publish(tmp_path / "out", write_two_files, {"step": 3})
    assert checkpoints.is_whole(target)
    assert checkpoints.read_manifest(target)["step"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_it_leaves_nothing_behind_when_writing_fails(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write_two_files(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        checkpoints.publish(tmp_path / "out", fail, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "manifest"])
def test_it_sees_any_damage(tmp_path: Path, damage: str) -> None:
    target = checkpoints.publish(tmp_path / "out", write_two_files, {})
    victim = target / "b.txt"
    if damage == "flip":
        victim.write_text("c")
    elif damage == "truncate":
        victim.write_text("")
    elif damage == "remove":
        victim.unlink()
    else:
        (target / checkpoints.MANIFEST).write_text("{")
    assert not checkpoints.is_whole(target)


def test_it_picks_the_newest_whole_resume_point(tmp_path: Path) -> None:
    for step in (2, 9, 10):
        checkpoints.publish(tmp_path / f"resume-{step}", write_two_files, {"step": step})
    (tmp_path / "resume-10" / "a.txt").unlink()
    newest = checkpoints.newest_whole(tmp_path, "resume-*")
    assert newest is not None
    assert newest.name == "resume-9"


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda f: (f / "pytorch_model.bin").write_bytes(b"x"), "Pickled weights"),
        (lambda f: (f / "config.json").unlink(), "config.json"),
        (lambda f: [p.unlink() for p in f.glob("*.safetensors")], "safetensors"),
        (
            lambda f: (f / "config.json").write_text(
                json.dumps({"auto_map": {"AutoModel": "x.X"}})
            ),
            "code of its own",
        ),
    ],
)
def test_it_refuses_a_base_that_is_not_safe_or_not_there(
    tiny_model: Path, tmp_path: Path, break_it: object, words: str
) -> None:
    copy = tmp_path / "base"
    copy.mkdir()
    for path in tiny_model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    checkpoints.check_model_folder(copy)
    break_it(copy)  # type: ignore[operator]  # a lambda of the table above
    with pytest.raises(PipelineError, match=words):
        checkpoints.check_model_folder(copy)


def test_it_names_a_missing_base(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="There is no folder"):
        checkpoints.check_model_folder(tmp_path / "nowhere")


def test_it_refuses_an_adapter_that_is_pickled(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(b"PEFT would load this")
    checkpoints.seal(tmp_path, {})
    with pytest.raises(PipelineError, match="safetensors"):
        checkpoints.check_adapter(str(tmp_path))
