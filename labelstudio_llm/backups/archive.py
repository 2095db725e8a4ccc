"""A place for a backup: a folder, or whatever else fsspec reaches, with the hash of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

CHUNK = 2**20
MANIFEST = "manifest.json"
FORMAT = 1

Entry = dict[str, Any]
"""Bytes and SHA-256 of a file."""


class BackupError(Exception):
    """The backup or the restoring could not be done; the message says what to do."""


class Archive:
    """The files of one backup. The manifest comes last: without it there is no backup."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.files, root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise BackupError(
                f"{url} can't be reached ({error}). Name a folder, or an address for whose kind "
                "of store a package of fsspec is installed."
            ) from error
        self.root = root.rstrip("/")

    def expect_nothing(self) -> None:
        """Raise BackupError where something lies already: no backup is written over another."""
        with self._in_words("can't be reached"):
            found = self.files.ls(self.root) if self.files.exists(self.root) else []
        if found:
            raise BackupError(f"{self.url} is not empty. Choose a place where nothing lies yet.")

    def open_to_nobody_else(self) -> None:
        """Make the folder, if it is one of this machine, for its user alone: all is in it."""
        if "file" in self.files.protocol:
            with self._in_words(NOT_WRITTEN):
                Path(self.root).mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, name: str, chunks: Iterable[bytes]) -> Entry:
        """Write a file; return its bytes and hash."""
        path = f"{self.root}/{name}"
        sha256, size = hashlib.sha256(), 0
        with self._in_words(NOT_WRITTEN):
            self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
            file = self.files.open(path, "wb")
        try:
            for chunk in chunks:
                with self._in_words(NOT_WRITTEN):
                    file.write(chunk)
                sha256.update(chunk)
                size += len(chunk)
        finally:
            with self._in_words(NOT_WRITTEN):
                file.close()
        return {"bytes": size, "sha256": sha256.hexdigest()}

    def read(self, name: str, entry: Entry) -> Iterator[bytes]:
        """Yield a file's content. Raise BackupError if it is not what was written."""
        sha256 = hashlib.sha256()
        try:
            with self.files.open(f"{self.root}/{name}", "rb") as file:
                while chunk := file.read(CHUNK):
                    sha256.update(chunk)
                    yield chunk
        except Exception as error:  # each kind of store has its own
            raise BackupError(f"{name} can't be read ({error}). {ANOTHER}") from error
        if sha256.hexdigest() != entry["sha256"]:
            raise BackupError(f"{name} is not what was written: its hash is another. {ANOTHER}")

    def read_lines(self, name: str, entry: Entry) -> Iterator[bytes]:
        """Yield a file's lines. Raise BackupError, at the end, if it is not what was written."""
        rest = b""
        for chunk in self.read(name, entry):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines

    def write_manifest(self, manifest: dict[str, Any]) -> str:
        """Make a backup of what was written; return the manifest's hash, which stands for all."""
        text = json.dumps({"format": FORMAT, **manifest}, indent=1, ensure_ascii=False)
        return str(self.write(MANIFEST, [text.encode()])["sha256"])

    def manifest(self) -> dict[str, Any]:
        """Return what the backup holds."""
        with self._in_words("can't be reached"):
            try:
                with self.files.open(f"{self.root}/{MANIFEST}", "rb") as file:
                    manifest: dict[str, Any] = json.loads(file.read())
            except (OSError, ValueError) as error:
                raise BackupError(
                    f"{self.url} holds no whole backup: {MANIFEST} can't be read ({error}). It is "
                    "written last, so one that was cut off has none. Choose another backup."
                ) from error
        if manifest.get("format") != FORMAT:
            raise BackupError(
                f"{self.url} was written by another version in a format that this one does not "
                f"know ({manifest.get('format')}). Restore it with that version."
            )
        return manifest

    @contextmanager
    def _in_words(self, what: str) -> Iterator[None]:
        """Tell what a kind of store says of this place as a sentence."""
        try:
            yield
        except BackupError:
            raise
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise BackupError(
                f"{self.url} {what} ({said}). Look at the address, at the room there and at what "
                "this machine may do."
            ) from error


NOT_WRITTEN = "can't be written to, and what lies there by now is no backup"
ANOTHER = "Nothing was changed here. Choose another backup."
