"""Copy a checkpoint or a snapshot to a place elsewhere: an fsspec URL, or a Hugging Face hub.

The copy is whole or absent. On a disk it is written aside and renamed; on an object store, which
renames nothing, manifest.json comes last, without which the rest is no checkpoint; on a hub it is
one commit. Every file's hash is taken from what lies there afterwards. No torch, no Django.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from training.pipeline.errors import PipelineError, RunStopped

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

logger = logging.getLogger(__name__)

CHUNK = 4 * 2**20
MANIFEST = "manifest.json"
HUB = "hf://"


@dataclass(frozen=True)
class Piece:
    """One file that is copied."""

    name: str
    path: Path
    sha256: str
    size: int


@dataclass
class Progress:
    """How far a copy is. Another thread reads it, and may stop it."""

    total: int
    """Bytes; each is written and read once."""
    done: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def count(self, size: int) -> None:
        """Note what is done. Raise RunStopped where nobody wants it any more."""
        self.done += size
        self.check()

    def check(self) -> None:
        if self.stop.is_set():
            raise RunStopped


@dataclass(frozen=True)
class Hub:
    """Where a hub is and who asks it."""

    token: str
    endpoint: str | None = None


def pieces_of(folder: Path, hashes: Mapping[str, str]) -> list[Piece]:
    """Return the files of a folder, manifest.json last. Raise PipelineError for one that changed.

    `hashes` are what the files were when they were made; what it does not name is hashed now.
    """
    found = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        sha256 = _sha256_of(path)
        if sha256 != hashes.get(path.name, sha256):
            raise PipelineError(
                f"{path} is not what it was when it was made: its hash is another. Restore it from "
                "a backup; nothing was copied."
            )
        found.append(Piece(path.name, path, sha256, path.stat().st_size))
    if missing := sorted(set(hashes) - {piece.name for piece in found}):
        raise PipelineError(
            f"{folder} has no {', '.join(missing)}. Restore it from a backup; nothing was copied."
        )
    return sorted(found, key=lambda piece: piece.name == MANIFEST)


def push_to_url(pieces: list[Piece], url: str, progress: Progress) -> dict[str, Any]:
    """Copy files to a folder that is not there yet. Return where they lie."""
    with _in_words(url):
        fs, folder = _file_system(url)
        if _holds(fs, folder, pieces):
            return {"address": url}  # a second delivery, or somebody pushed it before
        if fs.exists(folder) and fs.ls(folder, detail=False):
            raise PipelineError(
                f"There is something else at {url} already. Choose a folder that is not there yet."
            )
        renames = _renames(fs)
        aside = f"{folder}.part" if renames else folder
        try:
            _copy(fs, aside, pieces, progress)
            if renames:
                _rename(fs, aside, folder)
        except BaseException:
            _remove(fs, aside, pieces)
            raise
    return {"address": url}


def push_to_hub(
    pieces: list[Piece], repo: str, kind: str, hub: Hub, message: str, progress: Progress
) -> dict[str, Any]:
    """Commit files to a repository of a hub, which is made private where it is not there yet.

    `kind` is model or dataset. Return the commit and where it is.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, constants

    # Everything else in this installation stays offline; this is asked for by a person.
    constants.HF_HUB_OFFLINE = False
    with _in_words(f"{HUB}{repo}"):
        api = HfApi(endpoint=hub.endpoint, token=hub.token, library_name="labelstudio-llm")
        api.create_repo(repo, repo_type=kind, private=True, exist_ok=True)
        progress.check()
        operations = [CommitOperationAdd(piece.name, str(piece.path)) for piece in pieces]
        commit = api.create_commit(repo, operations, repo_type=kind, commit_message=message)
        progress.done += sum(piece.size for piece in pieces)
        names = [piece.name for piece in pieces]
        there = api.get_paths_info(repo, names, repo_type=kind, revision=commit.oid)
        lying = {one.path: one for one in there}
        wrong = [piece.name for piece in pieces if not _is_same(piece, lying.get(piece.name))]
        if wrong:
            raise PipelineError(
                f"{', '.join(wrong)} lies at {repo} with another hash than here. Revert commit "
                f"{commit.oid} there, and push again."
            )
        progress.done = progress.total
    return {"address": commit.commit_url, "commit": commit.oid}


def _is_same(piece: Piece, there: Any) -> bool:
    """Return whether a hub says that it holds this file: by SHA-256, or by git's hash."""
    if there is None or there.size != piece.size:
        return False
    if there.lfs is not None:
        return bool(there.lfs.sha256 == piece.sha256)
    content = piece.path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return bool(there.blob_id == blob.hexdigest())


def _file_system(url: str) -> tuple[AbstractFileSystem, str]:
    import fsspec

    try:
        fs, folder = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise PipelineError(f"Nothing here can write to {url}: {error}.") from None
    except ValueError as error:
        raise PipelineError(f"{url} is no address that can be written to: {error}.") from None
    return fs, str(folder).rstrip("/")


def _renames(fs: AbstractFileSystem) -> bool:
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(fs, LocalFileSystem)


def _rename(fs: AbstractFileSystem, aside: str, folder: str) -> None:
    try:
        Path(aside).rename(folder)
    except OSError as error:
        raise PipelineError(
            f"{folder} appeared there meanwhile ({error.strerror}). Choose another folder."
        ) from None


def _copy(fs: AbstractFileSystem, folder: str, pieces: Iterable[Piece], progress: Progress) -> None:
    fs.makedirs(folder, exist_ok=True)
    for piece in pieces:
        target = f"{folder}/{piece.name}"
        with piece.path.open("rb") as source, fs.open(target, "wb") as file:
            for chunk in _chunks(source):
                file.write(chunk)
                progress.count(len(chunk))
        if _hash_there(fs, target, progress) != piece.sha256:
            raise PipelineError(
                f"{piece.name} did not arrive as it is here: its hash is another. Nothing was "
                "kept there; look at that disk or network, then push again."
            )


def _hash_there(fs: AbstractFileSystem, target: str, progress: Progress) -> str:
    digest = hashlib.sha256()
    with fs.open(target, "rb") as file:
        for chunk in _chunks(file):
            digest.update(chunk)
            progress.count(len(chunk))
    return digest.hexdigest()


def _holds(fs: AbstractFileSystem, folder: str, pieces: Iterable[Piece]) -> bool:
    """Return whether the same files lie there, whole."""
    quiet = Progress(0)
    try:
        return all(_hash_there(fs, f"{folder}/{one.name}", quiet) == one.sha256 for one in pieces)
    except FileNotFoundError:
        return False


def _remove(fs: AbstractFileSystem, folder: str, pieces: Iterable[Piece]) -> None:
    """Remove what was written, as well as can be: without its manifest it is no checkpoint."""
    try:
        for piece in pieces:
            target = str(PurePosixPath(folder) / piece.name)
            if fs.exists(target):
                fs.rm_file(target)
        if fs.exists(folder) and not fs.ls(folder, detail=False):
            fs.rmdir(folder)
    except Exception:  # the place may be gone; what went wrong first is what is told
        logger.exception("What was written to %s could not be removed.", folder)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _in_words(where: str) -> Iterator[None]:
    """Tell what a library says about a place as a sentence."""
    try:
        yield
    except (PipelineError, RunStopped):
        raise
    except Exception as error:  # each file system and the hub have their own
        said = " ".join(str(error).split())[:500]
        raise PipelineError(
            f"{where} could not be written to: {said or type(error).__name__}. Look at the "
            "address and at what this machine may do there, then push again."
        ) from error
