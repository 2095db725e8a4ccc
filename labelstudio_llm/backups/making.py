"""Make a backup while people work: one state of the database, and every file that it names."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection
from django.utils import timezone

from labelstudio_llm.backups import tables
from labelstudio_llm.backups.archive import CHUNK, Archive, BackupError, Entry
from labelstudio_llm.version import VERSION
from training import artifacts, store
from training.models import Checkpoint, DatasetSnapshot
from training.pipeline.checkpoints import MANIFEST

logger = logging.getLogger(__name__)

ROWS = "rows.jsonl"
"""What a snapshot consists of."""
TRIES = 5
"""How often a folder is read that somebody sends again meanwhile: a run does so every 15 s."""
SCRATCH = (".tmp", ".deleted")
"""Parts of the names of what is half written or half removed."""


@dataclass(frozen=True)
class Made:
    """What a backup holds, in numbers."""

    rows: int
    files: int
    bytes: int
    sha256: str
    damaged: tuple[str, ...]
    """Folders that were not whole here either."""


def back_up(url: str) -> Made:
    """Write everything to a place where nothing lies yet.

    The database is read in one state, then the files: what a row names lay there before it. A
    checkpoint that is deleted in between can't be copied any more, so its row must not be kept.
    """
    if not tables.is_up_to_date():
        raise BackupError("The database is older than this version. Run `manage.py migrate` first.")
    archive = Archive(url)
    archive.expect_nothing()
    _expect_outside_store(archive)
    archive.open_to_nobody_else()
    with tables.one_state():
        written = {tables.name_of(table): _write(archive, table) for table in tables.tables()}
        named = _named_folders()
        bases = _bases()
    files, damaged = _copy_store(archive)
    outside = {
        str(folder): dict(_copy(archive, folder, f"bases/{number}"))
        for number, folder in enumerate(bases)
    }
    damaged |= _damaged(archive, named, files)
    sha256 = archive.write_manifest(
        {
            "version": VERSION,
            "made_at": timezone.now().isoformat(),
            "database": connection.vendor,
            "schema": tables.schema(),
            "tables": written,
            "artifacts": files,
            "bases": outside,
            "damaged": sorted(damaged),
        }
    )
    everything = [*files.values(), *(entry for base in outside.values() for entry in base.values())]
    return Made(
        rows=sum(table["rows"] for table in written.values()),
        files=len(everything),
        bytes=sum(entry["bytes"] for entry in everything)
        + sum(table["file"]["bytes"] for table in written.values()),
        sha256=sha256,
        damaged=tuple(sorted(damaged)),
    )


def _expect_outside_store(archive: Archive) -> None:
    """Raise BackupError where the backup would be a part of what it copies."""
    if "file" in archive.files.protocol and Path(archive.root).is_relative_to(artifacts.root()):
        raise BackupError(f"{archive.url} lies in the artifact store. Choose a place outside it.")


def _write(archive: Archive, table: tables.Table) -> dict[str, Any]:
    digest = tables.Digest()

    def lines() -> Iterator[bytes]:
        for row in tables.rows_of(table):
            digest.add(row)
            yield tables.to_line(row)

    entry = archive.write(f"database/{tables.name_of(table)}.jsonl", lines())
    return {**digest.to_dict(), "file": entry}


def _named_folders() -> dict[str, tuple[type[Any], int]]:
    """Return the folders below the store that rows name, each with its row."""
    made = Checkpoint.objects.exclude(kind__in=[Checkpoint.Kind.BASE, Checkpoint.Kind.EXTERNAL])
    found: dict[str, tuple[type[Any], int]] = {
        path: (Checkpoint, number) for number, path in made.values_list("id", "path")
    }
    for snapshot in DatasetSnapshot.objects.only("id", "project_id"):
        path = artifacts.snapshot_folder(snapshot).relative_to(artifacts.root()).as_posix()
        found[path] = (DatasetSnapshot, snapshot.pk)
    return found


def _bases() -> list[Path]:
    """Return the folders of base models that lie outside the store."""
    paths = Checkpoint.objects.filter(kind=Checkpoint.Kind.BASE).values_list("path", flat=True)
    folders = {Path(path) for path in paths}
    return sorted(one for one in folders if not one.is_relative_to(artifacts.root()))


def _copy_store(archive: Archive) -> tuple[dict[str, Entry], set[str]]:
    """Copy the artifacts; return the files, and the folders that are not what they should be.

    They are copied from where the machines share them, not as far as this one has them.
    """
    if not store.is_remote():
        return dict(_copy(archive, artifacts.root(), "artifacts")), set()
    files: dict[str, Entry] = {}
    damaged = set()
    try:
        for folder in store.folders():
            copied, is_whole = _copy_shared(archive, folder)
            files |= copied
            if not is_whole:
                damaged.add(folder)
    except store.StoreError as error:
        raise BackupError(str(error)) from error
    return files, damaged


def _copy_shared(archive: Archive, folder: str) -> tuple[dict[str, Entry], bool]:
    """Copy a folder as it is at one moment; say whether all that its index names was there.

    It may be sent again, or deleted, while it is read: then it is read again.
    """
    for _ in range(TRIES):
        named = store.files_of(folder)
        copied: dict[str, Entry] = {}
        for name, kept in named.items():
            path = f"{folder}/{name}"
            with suppress(FileNotFoundError):
                entry = archive.write(f"artifacts/{path}", store.read(folder, kept))
                if entry["sha256"] == kept.sha256:
                    copied[path] = entry
        if len(copied) == len(named) or store.files_of(folder) == named:
            return copied, len(copied) == len(named)
    raise BackupError(
        f"{folder} in the artifact store was replaced {TRIES} times while it was read. Make the "
        "backup again, in another place."
    )


def _copy(archive: Archive, folder: Path, to: str) -> Iterator[tuple[str, Entry]]:
    """Copy the files below a folder; yield the name of each with its bytes and hash."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(mark in part for part in name.split("/") for mark in SCRATCH):
            continue
        try:
            if path.is_file() and not path.is_symlink():
                yield name, archive.write(f"{to}/{name}", _chunks_of(path))
        except FileNotFoundError:  # of a run that goes on, or deleted: what matters is looked at
            logger.info("%s went away meanwhile.", path)


def _chunks_of(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _damaged(
    archive: Archive, named: dict[str, tuple[type[Any], int]], files: dict[str, Entry]
) -> set[str]:
    """Return the folders of rows that are not whole in the backup, nor were they here.

    Raise BackupError where one was deleted while the backup was made.
    """
    broken = set()
    for folder, (model, number) in named.items():
        rows = f"{folder}/{ROWS}"
        if rows in files if model is DatasetSnapshot else _is_whole(archive, folder, files):
            continue
        if not model._default_manager.filter(pk=number).exists():
            raise BackupError(
                f"{folder} was deleted while the backup was made, so this one is of no use. "
                "Make it again, in another place."
            )
        broken.add(folder)
    return broken


def _is_whole(archive: Archive, folder: str, files: dict[str, Entry]) -> bool:
    """Return whether what was copied of a folder is what its manifest names."""
    path = f"{folder}/{MANIFEST}"
    if path not in files:
        return False
    try:
        hashes = json.loads(b"".join(archive.read(f"artifacts/{path}", files[path])))["files"]
    except (ValueError, KeyError):
        return False
    return all(
        files.get(f"{folder}/{name}", {}).get("sha256") == sha256 for name, sha256 in hashes.items()
    )
