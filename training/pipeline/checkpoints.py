"""Where a checkpoint lies and how it gets there: written aside, hashed, renamed. No torch here.

A folder with a manifest that verifies is whole; anything else does not count as a checkpoint.
The same holds for the resume points of a run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.pipeline.errors import PipelineError
from training.pipeline.shapes import read_tensors

MANIFEST = "manifest.json"
UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack")


def publish(target: Path, write: Callable[[Path], None], manifest: dict[str, Any]) -> Path:
    """Write a folder aside with `write`, add its manifest, and rename it to `target`.

    After a crash at any point `target` is either whole or absent. An older folder of that name
    is replaced. Return `target`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        write(aside)
        seal(aside, manifest)
        if target.exists():
            shutil.rmtree(target)
        aside.rename(target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return target


def seal(folder: Path, manifest: dict[str, Any]) -> None:
    """Write manifest.json with the SHA-256 of every file in `folder`, everything synced to disk."""
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST):
        _sync(path)
        files[path.relative_to(folder).as_posix()] = file_sha256(path)
    text = json.dumps({**manifest, "files": files}, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    _sync(folder / MANIFEST)
    _sync(folder)


def is_whole(folder: Path) -> bool:
    """Return whether every file that the folder's manifest names is there, unchanged."""
    return not damage_of(folder)


def damage_of(folder: Path, *, unread: bool = False) -> str:
    """Return the first file of a folder that is not what its manifest says; "" where all are.

    `unread` asks no more than whether they are there.
    """
    try:
        files = read_manifest(folder)["files"]
    except (OSError, ValueError, KeyError):
        return f"{MANIFEST} is missing or can't be read"
    for name, sha256 in files.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if not unread and file_sha256(folder / name) != sha256:
            return f"{name} is not what its manifest says"
    return ""


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return manifest.json of `folder`. Raise OSError or ValueError where there is none."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def newest_whole(folder: Path, pattern: str) -> Path | None:
    """Return the folder with the highest number behind its last dash that is whole, if any."""
    numbered = sorted(
        (int(path.name.rpartition("-")[2]), path)
        for path in folder.glob(pattern)
        if path.name.rpartition("-")[2].isdigit()
    )
    return next((path for _, path in reversed(numbered) if is_whole(path)), None)


def remove_all_but(keep: Path, pattern: str) -> None:
    """Remove the folders beside `keep` that match `pattern`, aside-written leftovers included."""
    for path in keep.parent.glob(pattern):
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)


def check_model_folder(path: Path) -> None:
    """Raise PipelineError unless `path` holds a causal LM in safetensors, with its tokenizer.

    Pickled weights and custom code are refused: both can run anything on this machine.
    """
    if not path.is_dir():
        raise PipelineError(f"There is no folder {path}. Check the base model's path.")
    names = sorted(p.name for p in path.iterdir())
    unsafe = [name for name in names if name.endswith(UNSAFE_SUFFIXES)]
    if unsafe:
        raise PipelineError(
            f"{path} holds {', '.join(unsafe)}. Pickled weights can run code when they are loaded: "
            "convert the model to safetensors and remove them."
        )
    check_model_settings(path)
    if not any(name.endswith(".safetensors") for name in names):
        raise PipelineError(f"{path} has no *.safetensors. Save the model with safetensors.")
    read_tensors(path)  # a file that is cut off is told now, not after minutes of loading


def check_model_settings(path: Path) -> None:
    """Raise PipelineError where a model's settings are not there, or ask for code of its own."""
    for name in ("config.json", "tokenizer_config.json"):
        if not (path / name).is_file():
            raise PipelineError(f"{path} has no {name}. Save model and tokenizer there.")
        if "auto_map" in json.loads((path / name).read_text(encoding="utf-8")):
            raise PipelineError(
                f"{path / name} asks for code of its own (auto_map), which is never run here. "
                "Choose a model of an architecture that transformers knows."
            )


def check_adapter(path: str) -> None:
    """Raise PipelineError unless a whole checkpoint in safetensors lies at `path`.

    Without that file PEFT would look for a pickled one.
    """
    if not (Path(path) / "adapter_model.safetensors").is_file():
        raise PipelineError(
            f"The checkpoint at {path} has no adapter_model.safetensors. "
            "Choose another checkpoint or run its training again."
        )
    if damage := damage_of(Path(path)):
        raise PipelineError(
            f"The checkpoint at {path} is damaged: {damage}. Restore the file from a backup, "
            "choose another checkpoint, or run its training again."
        )


def check_base(path: str) -> None:
    """Raise PipelineError unless a causal LM in safetensors lies at `path`, unchanged.

    What a run made has a manifest to hold it against; a base from elsewhere has none.
    """
    check_model_folder(Path(path))
    if (Path(path) / MANIFEST).exists() and (damage := damage_of(Path(path))):
        raise PipelineError(
            f"The model at {path} is damaged: {damage}. Restore the file from a backup, choose "
            "another model, or run its training again."
        )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
