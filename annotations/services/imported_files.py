"""A file that is brought to be imported: kept, looked at, shown to people, removed."""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path, PurePath

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from annotations.algorithms.text import letter_of
from annotations.importers import (
    FORMATS,
    TARGETS,
    AnySaid,
    Chosen,
    LineError,
    Ordered,
    Rated,
    Reading,
    Record,
    Sample,
    UnreadableFile,
    Written,
    guess,
    look_at,
    read_records,
)
from annotations.models import Comparison, Import, Project, User
from annotations.services.rules import ServiceError
from annotations.signals import file_kept, file_removed, file_wanted

PREVIEWED = 200
MAX_NAME_CHARS = 200
MAX_IMPORT_BYTES = 2 * 1024**3
MAX_COLUMNS = 60
HALF_BROUGHT_FOR = timedelta(days=1)
"""After so long nobody is still bringing a file."""
INCOMING = "incoming-"
MODE = 0o644
"""Of a file that arrived: a worker may be another user than the web process."""
DID_NOT_ARRIVE = (
    "This file has not arrived in full. If nobody is sending it any more, upload it again."
)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_ROOM = (
    "There is no room for this file: the disk of the server is full. Nothing of it was kept. Tell "
    "whoever runs the server, and bring it again."
)
CANT_BE_READ = (ServiceError, UnreadableFile, FileNotFoundError)
"""What reading a file raises, with a sentence for people or an obvious one."""

State = Import.State


def folder_of(brought: Import) -> Path:
    """Return where an import's file lies. A name never becomes a path, an id does."""
    return _imports_folder(brought) / str(brought.pk)


def _imports_folder(brought: Import) -> Path:
    return Path(settings.ARTIFACTS_ROOT) / "projects" / str(brought.project_id) / "imports"


def file_of(brought: Import) -> Path:
    """Return the file, or the folder of a data set."""
    return folder_of(brought) / "file"


def file_here(brought: Import, beat: Callable[[], object] = lambda: None) -> Path:
    """Return the file, brought to this machine; `beat` is called while that lasts."""
    file_wanted.send(sender=Import, folder=folder_of(brought), beat=beat)
    return file_of(brought)


def bring_file(project: Project, name: str, chunks: Iterable[bytes], user: User) -> Import:
    """Keep a file and look at it. Nothing is imported until somebody says so."""

    def keep(path: Path) -> tuple[int, str]:
        with path.open("wb") as file:
            return _digested(chunks, file.write)

    with _kept_aside(project, name, keep, user) as place:
        return place()


def bring_arrived(project: Project, name: str, path: Path, user: User) -> Import:
    """Keep a file that has arrived on this machine, and look at it. It is moved from its place."""
    with arrived_file_kept_aside(project, name, path, _hash_of(path), user) as place:
        return place()


@contextmanager
def arrived_file_kept_aside(
    project: Project, name: str, path: Path, sha256: str, user: User
) -> Iterator[Callable[[], Import]]:
    """Keep a file that has arrived aside and look at it; yield what brings it.

    What is not brought is gone after. Other machines may need the file, which takes its time: no
    transaction is to be open meanwhile.
    """

    def keep(aside: Path) -> tuple[int, str]:
        size = path.stat().st_size
        path.chmod(MODE)
        shutil.move(path, aside)  # renamed, where both lie on one disk
        return size, sha256

    with _kept_aside(project, name, keep, user) as place:
        yield place


def bring_folder(project: Project, folder: Path, user: User) -> Import:
    """Keep a copy of a data set that lies on this machine, and look at it."""

    def keep(path: Path) -> tuple[int, str]:
        shutil.copytree(folder, path)
        arrows = sorted(path.rglob("*.arrow"))
        return sum(arrow.stat().st_size for arrow in arrows), "".join(map(_hash_of, arrows))

    with _kept_aside(project, folder.name, keep, user) as place:
        return place()


@contextmanager
def _kept_aside(
    project: Project, name: str, keep: Callable[[Path], tuple[int, str]], user: User
) -> Iterator[Callable[[], Import]]:
    """Keep a file where it can stay and look at it; yield what shows it to people.

    Its number names the folder, so its row is there before: as that of a file that did not arrive.
    """
    remove_left_over()
    brought = Import(project=project, name=_name(name), created_by=user)
    aside = _imports_folder(brought) / f"{INCOMING}{uuid.uuid4().hex}"
    aside.mkdir(parents=True)
    is_shown = False

    def show() -> Import:
        nonlocal is_shown
        arrived = Import.objects.filter(id=brought.pk, problem=DID_NOT_ARRIVE)
        arrived.update(state=State.SHOWN, problem="")
        is_shown = True
        brought.refresh_from_db()
        return brought

    try:
        try:
            brought.size, sha256 = keep(aside / "file")
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise ServiceError(NO_ROOM) from None
        brought.sha256 = hashlib.sha256(sha256.encode()).hexdigest()
        if not brought.size:
            raise ServiceError("This file is empty. Choose one with at least one row.")
        _look(brought, aside / "file")
        brought.state, brought.problem = State.FAILED, DID_NOT_ARRIVE
        brought.save()
        # The number is new: what lies there is of one that was taken back.
        shutil.rmtree(folder_of(brought), ignore_errors=True)
        aside.rename(folder_of(brought))
        file_kept.send(sender=Import, folder=folder_of(brought))
        yield show
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if brought.pk is not None and not is_shown:
            remove_file(brought)
            brought.delete()


def _digested(chunks: Iterable[bytes], use: Callable[[bytes], object]) -> tuple[int, str]:
    """Let each chunk be used. Return how many bytes they were, and their hash."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        use(chunk)
    return size, digest.hexdigest()


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name(name: str) -> str:
    """Return the last part of a file's name, without what can't be printed or kept."""
    return "".join(filter(str.isprintable, PurePath(name).name))[:MAX_NAME_CHARS] or "file"


def _look(brought: Import, path: Path) -> None:
    try:
        sample = look_at(path)
    except UnreadableFile as error:
        raise ServiceError(str(error)) from None
    brought.container, brought.format = sample.container, sample.reading.format
    brought.columns, brought.annotator = dict(sample.reading.columns), sample.reading.annotator


def reading_of(brought: Import) -> Reading:
    """Return how an import's file is to be read."""
    return Reading(brought.format, brought.columns, brought.annotator)


def sample_of(brought: Import) -> Sample:
    """Return the first rows of an import's file, and its columns."""
    return look_at(file_here(brought), reading_of(brought))


def columns_of(brought: Import) -> Mapping[str, str]:
    """Return the columns of an import's file with a value of each; none if it can't be read."""
    try:
        columns = sample_of(brought).columns
    except CANT_BE_READ:
        return {}
    return dict(islice(columns.items(), MAX_COLUMNS))


def preview_of(brought: Import, *, most: int) -> tuple[list[Record], list[LineError]]:
    """Return the first records of a file as they would be imported, and what is wrong first."""
    records: list[Record] = []
    errors: list[LineError] = []
    reading = reading_of(brought)
    try:
        file = file_here(brought)
        for read in islice(read_records(file, brought.container, reading), PREVIEWED):
            records += read.records
            if read.error is not None:
                errors.append(read.error)
            if len(records) >= most:
                break
    except CANT_BE_READ as error:
        errors.append(LineError(1, in_words(error)))
    return records[:most], errors


def said_in_words(said: AnySaid) -> str:
    """Return what a record of a file says, by the letters of its completions."""
    match said:
        case Chosen():
            outcome = Comparison.Outcome(said.outcome).label
            return f"{outcome} ({said.strength})" if said.strength else outcome
        case Ordered():
            tiers = (" = ".join(letter_of(place + 1) for place in tier) for tier in said.tiers)
            return " > ".join(tiers)
        case Rated():
            points = (
                f"{name} {point}" for one in said.scales.values() for name, point in one.items()
            )
            flags = (
                name if raised else f"not {name}"
                for one in said.flags.values()
                for name, raised in one.items()
            )
            return ", ".join([*points, *flags])
        case Written():
            return f"{'rewrote A' if said.of is not None else 'wrote'}: {said.text}"


@transaction.atomic
def change_reading(
    brought: Import, *, format: str, columns: dict[str, str], annotator: str, asks: bool
) -> Import:
    """Correct what a file was taken for. Another format brings its own columns."""
    brought = locked(brought)
    if brought.state not in (State.SHOWN, State.REFUSED, State.FAILED):
        raise ServiceError("This file is being imported already. Stop it first, or wait.")
    if format not in FORMATS:
        raise ServiceError("Choose one of the formats.")
    if format != brought.format:
        try:
            sample = look_at(file_here(brought), Reading(format))
        except CANT_BE_READ as error:
            raise ServiceError(in_words(error)) from None
        reading = guess(sample.rows, format)
        columns, annotator = dict(reading.columns), reading.annotator
    if unknown := set(columns) - set(TARGETS):
        raise ServiceError(f"Nothing is called {sorted(unknown)[0]}. Choose from the list.")
    for name, times in Counter(columns.values()).most_common(1):
        if times > 1:
            raise ServiceError(f"{name} is named twice. A column is one thing.")
    brought.format, brought.columns = format, columns
    brought.annotator = annotator.strip()[:MAX_NAME_CHARS] or Reading("table").annotator
    brought.asks, brought.state = asks, State.SHOWN
    brought.bad, brought.bad_count, brought.problem = [], 0, ""
    # Somebody goes on with it: from now on it is left alone again.
    brought.attempt, brought.ended_at = brought.attempt + 1, timezone.now()
    brought.save()
    return brought


def remove_file(brought: Import) -> None:
    """Remove the file of an import that is over."""
    _remove(folder_of(brought))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    file_removed.send(sender=Import, folder=folder)


def remove_left_over() -> None:
    """Go by what lies on the disk: hardly anything, whatever the number of imports."""
    long_ago = time.time() - HALF_BROUGHT_FOR.total_seconds()
    for file in Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir():
        with suppress(FileNotFoundError):  # it has just arrived
            if file.stat().st_mtime < long_ago:
                file.unlink()
    lying = {}
    for folder in Path(settings.ARTIFACTS_ROOT).glob("projects/*/imports/*"):
        with suppress(FileNotFoundError):  # it has just been placed or removed
            is_old = folder.stat().st_mtime < long_ago
            if folder.name.isdecimal():
                lying[int(folder.name)] = (folder, is_old)
            elif is_old:  # half of a file, on its way here from people or from the store
                shutil.rmtree(folder, ignore_errors=True)
    states = dict(Import.objects.filter(id__in=lying).values_list("id", "state"))
    for number, (folder, is_old) in lying.items():
        # Without a row: taken back as it was placed, unless that is still going on.
        if states.get(number) in Import.OVER or (number not in states and is_old):
            _remove(folder)


def in_words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "The file is not there any more. Upload it again."
    return str(error)


def locked(brought: Import) -> Import:
    return Import.objects.select_for_update().get(id=brought.pk)
