"""Make an installation what it was when a backup was made, or leave it as it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from labelstudio_llm.backups import tables
from labelstudio_llm.backups.archive import Archive, BackupError, Entry
from training import artifacts, store


@dataclass
class Restored:
    """What was restored, in numbers, and what is left to do by hand."""

    rows: int
    files: int
    version: str
    made_at: str
    notes: list[str] = field(default_factory=list)


def restore(url: str, *, replace: bool = False) -> Restored:
    """Verify a backup as a whole, then put its files and its rows in place.

    Nothing else may run meanwhile. What is already here is refused, unless it is to be replaced:
    then its rows go, and its files are moved aside.
    """
    archive = Archive(url)
    manifest = archive.manifest()
    call_command("migrate", verbosity=0)
    _expect_place(manifest, replace)
    verify(archive, manifest)
    root = artifacts.root()
    aside = root.with_name(f"{root.name}.restoring")
    shutil.rmtree(aside, ignore_errors=True)
    _unpack(archive, manifest["artifacts"], "artifacts", aside)
    notes = _put_bases(archive, manifest["bases"])
    _load(archive, manifest["tables"])
    notes += _put_store(aside, root)
    _share(manifest["artifacts"], root)
    notes += [f"{folder} was damaged when the backup was made." for folder in manifest["damaged"]]
    return Restored(
        rows=sum(table["rows"] for table in manifest["tables"].values()),
        files=len(manifest["artifacts"]) + sum(map(len, manifest["bases"].values())),
        version=manifest["version"],
        made_at=manifest["made_at"],
        notes=notes,
    )


def verify(archive: Archive, manifest: dict[str, Any]) -> None:
    """Read every file of a backup. Raise BackupError if one is not what was written."""
    entries = [(f"database/{name}.jsonl", of["file"]) for name, of in manifest["tables"].items()]
    entries += [(f"artifacts/{name}", entry) for name, entry in manifest["artifacts"].items()]
    for number, files in enumerate(manifest["bases"].values()):
        entries += [(f"bases/{number}/{name}", entry) for name, entry in files.items()]
    for name, entry in entries:
        for _ in archive.read(name, entry):
            pass


def _expect_place(manifest: dict[str, Any], replace: bool) -> None:
    """Raise BackupError where the backup does not fit, or something would be lost."""
    known = {tables.name_of(table) for table in tables.tables()}
    if manifest["schema"] != tables.schema() or set(manifest["tables"]) != known:
        raise BackupError(
            f"The backup is of version {manifest['version']}, whose tables are others than this "
            "version's. Restore it with that version, then upgrade: `manage.py migrate`."
        )
    root = artifacts.root()
    has_files = root.is_dir() and any(root.iterdir())
    if _is_shared():
        raise BackupError(
            f"{store.described()} has artifacts already, which other installations may use: they "
            "are neither replaced nor mixed with others. Name an empty place in ARTIFACTS_URL."
        )
    if not replace and (has_files or not tables.is_empty()):
        raise BackupError(
            "There is something here already. Restore into a new database and an empty folder of "
            "artifacts, or say --replace: the rows that are here go, and the files are moved aside."
        )


def _load(archive: Archive, written: dict[str, Any]) -> None:
    """Put the rows of a backup in the place of those that are here, all of them or none."""
    try:
        with transaction.atomic():
            tables.without_limits()
            with tables.rows_as_given():
                tables.remove_all_rows()
                for table in tables.tables():
                    of = written[tables.name_of(table)]
                    path = f"database/{tables.name_of(table)}.jsonl"
                    tables.load(table, archive.read_lines(path, of["file"]))
                tables.count_on()
            for table in tables.tables():
                of, is_there = written[tables.name_of(table)], tables.digest_of(table)
                if is_there != {"rows": of["rows"], "sha256": of["sha256"]}:
                    raise BackupError(
                        f"{tables.name_of(table)} came out other than it was written, so nothing "
                        "was changed. This is a fault of the platform: please report it."
                    )
    except IntegrityError as error:
        raise BackupError(
            f"The rows of the backup do not fit together ({error}). Nothing was changed in the "
            "database. Choose another backup."
        ) from error


def _unpack(archive: Archive, files: dict[str, Entry], below: str, folder: Path) -> None:
    """Write files of a backup below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, entry in files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BackupError(f"{name} leads out of its folder. Somebody has changed this backup.")
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, archive.read(f"{below}/{name}", entry))


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)


def _put_bases(archive: Archive, bases: dict[str, dict[str, Entry]]) -> list[str]:
    """Put base models where their rows say, if nothing lies there."""
    notes = []
    for number, (path, files) in enumerate(bases.items()):
        folder = Path(path)
        if folder.exists() or not files:
            continue
        try:
            _unpack(archive, files, f"bases/{number}", folder)
        except OSError as error:
            notes.append(
                f"The base model {folder} could not be put there ({error.strerror}). Put it there "
                f"by hand: its files lie in {archive.url}/bases/{number}."
            )
    return notes


def _put_store(aside: Path, root: Path) -> list[str]:
    notes = []
    if root.is_dir() and any(root.iterdir()):
        before = root.with_name(f"{root.name}.before-{timezone.now():%Y%m%d-%H%M%S}")
        root.rename(before)
        notes.append(f"The files that were here lie in {before}. Remove them when all is well.")
    elif root.is_dir():
        root.rmdir()
    aside.rename(root)
    return notes


def _is_shared() -> bool:
    """Return whether machines share a store on which something lies."""
    try:
        return store.is_remote() and bool(store.folders())
    except store.StoreError as error:
        raise BackupError(str(error)) from error


def _share(files: Iterable[str], root: Path) -> None:
    """Send what was restored here to the store that other machines bring it from."""
    if not store.is_remote():
        return
    # projects/ID/KIND/ID is what is sent and brought as one.
    parts = (name.split("/") for name in files)
    folders = {"/".join(part[:4]) for part in parts if len(part) > 4}
    try:
        for folder in sorted(folders):
            store.keep(root / folder)
    except store.StoreError as error:
        raise BackupError(
            "The rows are restored; their files are here, but not where machines share them. "
            f"{error} Name another empty place in ARTIFACTS_URL for that, and add --replace."
        ) from error
