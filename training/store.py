"""The artifact store that the machines of an installation share: a folder, or any fsspec URL.

With a folder (the default) nothing here does anything: every path is the artifact itself. With a
URL (`s3://bucket/prefix`) each machine has a copy below VAR_DIR, and this is what passes between:
what a machine made is *kept* (sent), what it needs is *brought*.

A folder is whole or absent there, too. Its files go up first, under names of their own; then its
index, which names them with their hashes, in one write; then the files of the index before go.
What is brought is written aside, held against the hashes, and renamed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from django.conf import settings
from django.db import Error as DatabaseError

from training.pipeline.checkpoints import MANIFEST
from training.pipeline.errors import PipelineError

INDEX = "index.json"
MARK = ".stored.json"
"""The index of a copy here: it is whole, and what the store has."""
CHUNK = 8 * 2**20
SIGN_OF_LIFE_S = 5.0
KEEP_EVERY_S = 15.0
"""How often what a run saved goes to the store while it runs."""
OF_ONE_MACHINE = ("output", "child.json")
"""In a run's folder: of no use to another machine."""
UNSEALED = ("checkpoint-*", "resume-*")
"""Folders that count once their manifest is there."""

logger = logging.getLogger(__name__)


class StoreError(PipelineError):
    """The store can't be read or written; the message says why."""


@dataclass(frozen=True)
class Kept:
    """A file as the store has it."""

    key: str
    sha256: str
    size: int
    changed: int
    """When it was changed last where it was made, in nanoseconds."""


Files = dict[str, Kept]

_beat: ContextVar[Callable[[], object] | None] = ContextVar("beat", default=None)


@contextmanager
def beating(beat: Callable[[], object]) -> Iterator[None]:
    """Let transfers inside call `beat` every few seconds: they may take longer than a lease.

    Where it says False nothing is sent: what was superseded must not replace what came after it.
    """
    token = _beat.set(beat)
    try:
        yield
    finally:
        _beat.reset(token)


def is_remote() -> bool:
    """Return whether the store lies elsewhere, and what lies here are copies."""
    return bool(settings.ARTIFACTS_REMOTE)


def described() -> str:
    """Return where the artifacts lie, in words and without a secret."""
    if is_remote():
        scheme, _, rest = settings.ARTIFACTS_REMOTE.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"
    return f"The folder {settings.ARTIFACTS_ROOT}"


def check_writable() -> None:
    """Raise StoreError unless a file can be written to the store and removed again."""
    name = f"tmp-{uuid.uuid4().hex}"
    if is_remote():
        with _in_words("written to"):
            _filesystem().pipe_file(_place(name), b"Whether this can be written.")
            _filesystem().rm_file(_place(name))
        return
    probe = Path(settings.ARTIFACTS_ROOT) / name
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text("Whether this can be written.", encoding="ascii")
        probe.unlink()
    except OSError as error:
        with suppress(OSError):
            probe.unlink()
        raise StoreError(f"{probe.parent}: {error.strerror or error}") from error


def keep(folder: Path) -> None:
    """Send a whole folder to the store; when this returns, every machine can bring it."""
    if is_remote():
        _send(folder, _files_in(folder))


def bring(folder: Path) -> Path:
    """Return a folder of the store, brought here unless its copy is here already.

    Where the store has no such folder there is none here afterwards either, unless this machine
    has just made it.
    """
    if not is_remote() or (folder / MARK).is_file():
        return folder
    for _ in range(2):  # it may be replaced while it is read
        index = _index(folder)
        if index is None:
            return folder
        with suppress(FileNotFoundError):
            _fetch_whole(folder, index)
            return folder
    raise StoreError(
        f"The artifact store lacks files of {_relative(folder)} that its index names. Restore them "
        "from the backup, or make it again."
    )


def remove(path: str) -> None:
    """Remove a folder from the store, named below its root: the index first, then its files."""
    if not is_remote():
        return
    with _in_words("written to"), suppress(FileNotFoundError):
        _filesystem().rm_file(_place(path, INDEX))
        _filesystem().rm(_place(path), recursive=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder from the store, named by where its copy lies here."""
    if is_remote():
        remove(_relative(folder))


def folders() -> list[str]:
    """Return every folder that the store elsewhere has, named below its root."""
    root = f"{_place()}/"
    with _in_words("read"), suppress(FileNotFoundError):  # nothing was ever sent there
        paths = _filesystem().find(_place(), refresh=True)
        return [
            path.removeprefix(root).removesuffix(f"/{INDEX}")
            for path in paths
            if path.startswith(root) and path.endswith(f"/{INDEX}")
        ]
    return []


def files_of(folder: str) -> Files:
    """Return what a folder of the store has at this moment; nothing where it is gone."""
    index = _index(Path(settings.ARTIFACTS_ROOT) / folder)
    return {} if index is None else _kept(index)


def read(folder: str, kept: Kept) -> Iterator[bytes]:
    """Yield what a file in the store holds. FileNotFoundError: it was replaced or removed."""
    if kept.size:  # some stores refuse to read nothing
        with (
            _in_words("read"),
            _filesystem().open(_place(folder, kept.key), "rb", block_size=CHUNK) as source,
        ):
            yield from _chunks(source)


class WorkFolder:
    """A run's folder of resume points and logs: another machine may go on with it.

    What is sent while the run goes on is a copy of one moment, so a run that changes machines
    resumes from what was saved up to KEEP_EVERY_S before.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept_at = time.monotonic()
        self._thread: threading.Thread | None = None

    def bring(self) -> None:
        """Make the folder what the machine that had it last left; its own it keeps as it is."""
        index = _index(self.folder) if is_remote() else None
        if index is None or index["by"] == _this_machine():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        _fetch_whole(self.folder, index)
        (self.folder / MARK).unlink()

    def keep_now_and_then(self) -> None:
        """Send what has changed if it is time, beside whatever else goes on."""
        busy = self._thread is not None and self._thread.is_alive()
        if not is_remote() or busy or time.monotonic() - self._kept_at < KEEP_EVERY_S:
            return
        self._thread = threading.Thread(target=self._keep_or_say, daemon=True)
        self._thread.start()

    def keep(self) -> None:
        """Send what has changed; where that fails the next machine resumes from further back."""
        if self._thread is not None:
            self._thread.join()
        if is_remote():
            self._keep_or_say()

    def _keep_or_say(self) -> None:
        try:
            _send(self.folder, _files_in(self.folder, is_work=True))
        except (StoreError, OSError, DatabaseError) as error:  # a file may go while it is read
            logger.warning("%s could not be sent to the artifact store: %s", self.folder, error)
        self._kept_at = time.monotonic()


def refresh(folder: Path, pattern: str) -> None:
    """Bring those files of a run's folder whose names match, as its machine sent them last."""
    index = _index(folder) if is_remote() else None
    if index is None or index["by"] == _this_machine():
        return
    for name, kept in _kept(index).items():
        if Path(name).match(pattern) and not _is_there(folder / name, kept):
            with suppress(FileNotFoundError):  # replaced just now; the next look finds the new one
                _fetch(folder, kept, folder / name)


def _is_there(path: Path, kept: Kept) -> bool:
    with suppress(FileNotFoundError):
        status = path.stat()
        return (status.st_size, status.st_mtime_ns) == (kept.size, kept.changed)
    return False


# What it is made of -------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _open(url: str, _process: int) -> tuple[Any, str]:
    """Return the file system of a URL and the place in it; each process has connections of its
    own, which do not survive a fork."""
    filesystem, place = fsspec.core.url_to_fs(url, skip_instance_cache=True)
    return filesystem, place.rstrip("/")


def _filesystem() -> Any:
    return _open(settings.ARTIFACTS_REMOTE, os.getpid())[0]


def _place(*names: str) -> str:
    return "/".join((_open(settings.ARTIFACTS_REMOTE, os.getpid())[1], *names))


def _relative(folder: Path) -> str:
    return folder.relative_to(settings.ARTIFACTS_ROOT).as_posix()


def _this_machine() -> str:
    return f"{socket.gethostname()}:{settings.VAR_DIR}"


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Turn whatever a file system raises into a sentence; a missing file stays what it is.

    So does a database that was away at a sign of life: that is no fault of the store.
    """
    try:
        yield
    except (FileNotFoundError, StoreError, DatabaseError):
        raise
    except Exception as error:  # each file system has errors of its own
        raise StoreError(
            f"The artifact store {described()} can't be {what}: {error}. Check that it answers, "
            "ARTIFACTS_URL and its keys; then try again."
        ) from error


def _index(folder: Path) -> dict[str, Any] | None:
    """Return the index of a folder; None where the store does not have it."""
    with _in_words("read"):
        try:
            text = _filesystem().cat_file(_place(_relative(folder), INDEX))
        except FileNotFoundError:
            return None
        index: dict[str, Any] = json.loads(text)
        return index


def _kept(index: Mapping[str, Any]) -> Files:
    """Return the files of an index. One that names a file elsewhere has been tampered with."""
    files = {name: Kept(**values) for name, values in index["files"].items()}
    for name in {*files, *(kept.key for kept in files.values())}:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise StoreError(
                f"An index in the artifact store names {name}, which leads out of its folder. "
                "Somebody has changed it: find out who can write there, and restore the backup."
            )
    return files


def _files_in(folder: Path, *, is_work: bool = False) -> list[Path]:
    """Return the files that another machine needs."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARK)
    if not is_work:
        return list(files)
    return [path for path in files if _is_worth_keeping(path.relative_to(folder), folder)]


def _is_worth_keeping(name: Path, folder: Path) -> bool:
    if name.parts[0] in OF_ONE_MACHINE or any(".tmp" in part for part in name.parts):
        return False
    half = (parent for parent in name.parents if any(map(parent.match, UNSEALED)))
    return all((folder / parent / MANIFEST).is_file() for parent in half)


def _send(folder: Path, files: list[Path]) -> None:
    """Send files that the store does not have, then the index of all of them."""
    before = _kept(_index(folder) or {"files": {}})
    now: Files = {}
    with _in_words("written to"):
        for path in files:
            name = path.relative_to(folder).as_posix()
            known, status = before.get(name), path.stat()
            unchanged = known and (known.size, known.changed) == (
                status.st_size,
                status.st_mtime_ns,
            )
            now[name] = known if known and unchanged else _send_file(folder, path)
        beat = _beat.get()
        if beat is not None and beat() is False:
            raise StoreError(
                f"{_relative(folder)} was taken over by another machine while this one sent it. "
                "What is there is the other's."
            )
        index = {"by": _this_machine(), "files": {name: asdict(one) for name, one in now.items()}}
        text = json.dumps(index, indent=1, sort_keys=True)
        _filesystem().pipe_file(_place(_relative(folder), INDEX), text.encode())
        for left in {one.key for one in before.values()} - {one.key for one in now.values()}:
            with suppress(FileNotFoundError):
                _filesystem().rm_file(_place(_relative(folder), left))
    (folder / MARK).write_text(text, encoding="utf-8")


def _send_file(folder: Path, path: Path) -> Kept:
    """Send one file under a new name: whoever reads the old one goes on reading that."""
    key = f"{path.relative_to(folder).as_posix()}.{uuid.uuid4().hex[:12]}"
    changed = path.stat().st_mtime_ns
    digest, size = hashlib.sha256(), 0
    place = _place(_relative(folder), key)
    with path.open("rb") as source, _filesystem().open(place, "wb", block_size=CHUNK) as target:
        for chunk in _chunks(source):
            target.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return Kept(key, digest.hexdigest(), size, changed)


def _fetch_whole(folder: Path, index: Mapping[str, Any]) -> None:
    """Write a folder aside, hold it against its hashes, and rename it into its place."""
    aside = folder.with_name(f"{folder.name}.tmp-{uuid.uuid4().hex[:12]}")
    try:
        for name, kept in _kept(index).items():
            _fetch(folder, kept, aside / name)
        aside.mkdir(parents=True, exist_ok=True)
        (aside / MARK).write_text(json.dumps(index), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(FileExistsError):  # another process has just brought it
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fetch(folder: Path, kept: Kept, target: Path) -> None:
    """Write one file of the store here, if it is what its index says."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.tmp-{uuid.uuid4().hex[:12]}")
    digest = hashlib.sha256()
    try:
        with _in_words("read"), aside.open("wb") as file:
            for chunk in read(_relative(folder), kept):
                file.write(chunk)
                digest.update(chunk)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != kept.sha256:
            raise StoreError(
                f"{_relative(folder)}/{kept.key} in the artifact store is damaged: its hash is not "
                "what its index says. Restore it from the backup, or make it again."
            )
        os.utime(aside, ns=(kept.changed, kept.changed))
        aside.rename(target)
    finally:
        aside.unlink(missing_ok=True)


def _chunks(source: Any) -> Iterator[bytes]:
    """Yield the bytes of a file, with a sign of life every few seconds."""
    told_at = time.monotonic()
    while chunk := source.read(CHUNK):
        yield chunk
        beat = _beat.get()
        if beat is not None and time.monotonic() - told_at >= SIGN_OF_LIFE_S:
            told_at = time.monotonic()
            beat()
