"""Bringing a file in: kept, looked at, checked as a whole, written batch by batch."""

from __future__ import annotations

import hashlib
import logging
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
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from annotations.algorithms.text import letter_of
from annotations.importers import (
    FORMATS,
    TARGETS,
    AnySaid,
    Chosen,
    LineError,
    Ordered,
    Place,
    Rated,
    Read,
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
from annotations.services.rating_schemes import flag, publish_scheme, scale
from annotations.services.records import add_records, fitting_scheme
from annotations.services.rules import ServiceError, lock
from annotations.signals import import_waits

logger = logging.getLogger(__name__)

COPY_BYTES = 1024 * 1024
PREVIEWED = 200
BATCH_ROWS = 500
BATCH_BYTES = 8 * 1024 * 1024
CHECKED_AT_ONCE = 5000
"""Rows between two looks at whether somebody stopped it."""
MOST_BAD_KEPT = 200
HELD_FOR = timedelta(seconds=90)
MAX_NAME_CHARS = 200
MAX_IMPORT_BYTES = 2 * 1024**3
MAX_COLUMNS = 60
LEFT_ALONE_FOR = timedelta(days=14)
"""After so long nobody goes on with a file that was brought."""
HALF_BROUGHT_FOR = timedelta(days=1)
"""After so long nobody is still bringing a file."""
HELD_BY_OTHERS_S = 0.2
"""Between two looks at whether another one still goes on with an import."""
INCOMING = "incoming-"
POINTS = (5, 7, 10)
"""How many points a scale of a file is taken to have: the fewest that hold its highest."""

State = Import.State


class Superseded(Exception):
    """Somebody else goes on with this import, or it was stopped; nothing was written."""


def folder_of(brought: Import) -> Path:
    """Return where an import's file lies. A name never becomes a path, an id does."""
    return _imports_folder(brought) / str(brought.pk)


def _imports_folder(brought: Import) -> Path:
    return Path(settings.ARTIFACTS_ROOT) / "projects" / str(brought.project_id) / "imports"


def file_of(brought: Import) -> Path:
    """Return the file, or the folder of a data set."""
    return folder_of(brought) / "file"


def bring_file(project: Project, name: str, chunks: Iterable[bytes], user: User) -> Import:
    """Keep a file and look at it. Nothing is imported until somebody says so."""
    with file_kept_aside(project, name, chunks, user) as place:
        return place()


@contextmanager
def file_kept_aside(
    project: Project, name: str, chunks: Iterable[bytes], user: User
) -> Iterator[Callable[[], Import]]:
    """Keep a file aside and look at it; yield what brings it. What is not brought is gone after.

    A copy may take long: no transaction is to be open meanwhile.
    """
    brought = Import(project=project, name=_name(name), created_by=user)

    def keep(path: Path) -> None:
        with path.open("wb") as file:
            for chunk in _digested(brought, chunks):
                file.write(chunk)
        if not brought.size:
            raise ServiceError("This file is empty. Choose one with at least one row.")

    with _kept_aside(brought, keep) as place:
        yield place


def bring_folder(project: Project, folder: Path, user: User) -> Import:
    """Keep a copy of a data set that lies on this machine, and look at it."""
    brought = Import(project=project, name=_name(folder.name), created_by=user)

    def keep(path: Path) -> None:
        shutil.copytree(folder, path)
        for arrow in sorted(path.rglob("*.arrow")):
            with arrow.open("rb") as file:
                for _ in _digested(brought, iter(lambda: file.read(COPY_BYTES), b"")):
                    pass

    with _kept_aside(brought, keep) as place:
        return place()


@contextmanager
def _kept_aside(brought: Import, keep: Callable[[Path], None]) -> Iterator[Callable[[], Import]]:
    """Keep a file aside and look at it; yield what gives it its place: others write meanwhile."""
    aside = _imports_folder(brought) / f"{INCOMING}{uuid.uuid4().hex}"
    aside.mkdir(parents=True)
    try:
        brought.sha256 = ""
        keep(aside / "file")
        _look(brought, aside / "file")
        yield lambda: _placed(brought, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@transaction.atomic
def _placed(brought: Import, aside: Path) -> Import:
    brought.save()
    # The number is new: what lies there is of one that was taken back.
    shutil.rmtree(folder_of(brought), ignore_errors=True)
    aside.rename(folder_of(brought))
    return brought


def _digested(brought: Import, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass chunks on; how many bytes they were, and their hash, are the import's then."""
    digest = hashlib.sha256()
    brought.size = brought.size or 0
    for chunk in chunks:
        digest.update(chunk)
        brought.size += len(chunk)
        yield chunk
    together = brought.sha256 + digest.hexdigest()
    brought.sha256 = hashlib.sha256(together.encode()).hexdigest()


def _name(name: str) -> str:
    return PurePath(name).name[:MAX_NAME_CHARS] or "file"


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
    return look_at(file_of(brought), reading_of(brought))


def columns_of(brought: Import) -> Mapping[str, str]:
    """Return the columns of an import's file with a value of each; none if it can't be read."""
    try:
        columns = sample_of(brought).columns
    except (UnreadableFile, FileNotFoundError):
        return {}
    return dict(islice(columns.items(), MAX_COLUMNS))


def preview_of(brought: Import, *, most: int) -> tuple[list[Record], list[LineError]]:
    """Return the first records of a file as they would be imported, and what is wrong first."""
    records: list[Record] = []
    errors: list[LineError] = []
    reading = reading_of(brought)
    try:
        for read in islice(read_records(file_of(brought), brought.container, reading), PREVIEWED):
            records += read.records
            if read.error is not None:
                errors.append(read.error)
            if len(records) >= most:
                break
    except (UnreadableFile, FileNotFoundError) as error:
        errors.append(LineError(1, _in_words(error)))
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
    brought = _locked(brought)
    if brought.state not in (State.SHOWN, State.REFUSED, State.FAILED):
        raise ServiceError("This file is being imported already. Stop it first, or wait.")
    if format not in FORMATS:
        raise ServiceError("Choose one of the formats.")
    if format != brought.format:
        try:
            sample = look_at(file_of(brought), Reading(format))
        except (UnreadableFile, FileNotFoundError) as error:
            raise ServiceError(_in_words(error)) from None
        reading = guess(sample.rows, format)
        columns, annotator = dict(reading.columns), reading.annotator
    if unknown := set(columns) - set(TARGETS):
        raise ServiceError(f"Nothing is called {sorted(unknown)[0]}. Choose from the list.")
    brought.format, brought.columns = format, columns
    brought.annotator = annotator.strip()[:MAX_NAME_CHARS] or Reading("table").annotator
    brought.asks, brought.state = asks, State.SHOWN
    brought.bad, brought.bad_count, brought.problem = [], 0, ""
    # Somebody goes on with it: from now on it is left alone again.
    brought.attempt, brought.ended_at = brought.attempt + 1, timezone.now()
    brought.save()
    return brought


@transaction.atomic
def start_import(brought: Import, *, leave_out_bad: bool = False) -> None:
    """Let a file be checked and then imported; without its bad lines, if somebody says so."""
    brought = _locked(brought)
    if brought.is_active or brought.state in Import.OVER:
        return
    brought.state, brought.leaves_out_bad = State.CHECKING, leave_out_bad
    _begin(brought)
    brought.found, brought.written, brought.questions = {}, {}, {}
    brought.bad, brought.bad_count, brought.problem, brought.ended_at = [], 0, "", None
    brought.save()
    hint(brought)


@transaction.atomic
def cancel_import(brought: Import) -> None:
    """Stop an import. What was written stays; its file goes."""
    brought = _locked(brought)
    if brought.state in Import.OVER:
        return
    brought.state, brought.attempt = State.CANCELLED, brought.attempt + 1
    brought.held_until, brought.ended_at = None, timezone.now()
    brought.save()
    transaction.on_commit(lambda: remove_file(brought))


def forget_imports() -> None:
    """Stop the imports that nobody went on with, and remove their files: they may be large.

    What was left by those who were killed while they brought a file or ended an import goes, too.
    """
    _remove_left_over()
    alone = timezone.now() - LEFT_ALONE_FOR
    old = Import.objects.filter(created_at__lt=alone)
    for brought in old.exclude(state__in=(*Import.ACTIVE, *Import.OVER)):
        if max(brought.created_at, brought.ended_at or brought.created_at) < alone:
            _forget(brought)


def _remove_left_over() -> None:
    """Go by what lies on the disk: hardly anything, whatever the number of imports."""
    long_ago = time.time() - HALF_BROUGHT_FOR.total_seconds()
    lying = {}
    for folder in Path(settings.ARTIFACTS_ROOT).glob("projects/*/imports/*"):
        with suppress(FileNotFoundError):  # it has just been placed or removed
            if folder.name.startswith(INCOMING):
                if folder.stat().st_mtime < long_ago:
                    shutil.rmtree(folder, ignore_errors=True)
            elif folder.name.isdecimal():
                lying[int(folder.name)] = (folder, folder.stat().st_mtime < long_ago)
    states = dict(Import.objects.filter(id__in=lying).values_list("id", "state"))
    for number, (folder, is_old) in lying.items():
        # Without a row: taken back as it was placed, unless that is still going on.
        if states.get(number) in Import.OVER or (number not in states and is_old):
            shutil.rmtree(folder, ignore_errors=True)


@transaction.atomic
def _forget(brought: Import) -> None:
    same = Import.objects.filter(id=brought.pk, state=brought.state, attempt=brought.attempt)
    words = f"Nobody went on with it for {LEFT_ALONE_FOR.days} days: its file is gone."
    stopped = same.update(
        state=State.CANCELLED,
        attempt=F("attempt") + 1,
        problem=f"{brought.problem} {words} Upload it again.".strip(),
        ended_at=timezone.now(),
    )
    if stopped:
        transaction.on_commit(lambda: remove_file(brought))


def remove_file(brought: Import) -> None:
    """Remove the file of an import that is over."""
    shutil.rmtree(folder_of(brought), ignore_errors=True)


def hint(brought: Import) -> None:
    """Tell a worker, on commit, that an import waits. Lost hints are sent again by the beat."""
    number = brought.pk
    transaction.on_commit(lambda: import_waits.send(sender=Import, import_id=number))


def waiting_imports() -> list[int]:
    """Return the imports that go on and that nobody holds."""
    free = Q(held_until__isnull=True) | Q(held_until__lt=Now())
    return list(Import.objects.filter(free, state__in=Import.ACTIVE).values_list("id", flat=True))


def continue_import(import_id: int, *, seconds: float) -> bool:
    """Go on with an import for some seconds. Return whether there is more to do.

    Called twice at once, the second finds it held and does nothing.
    """
    free = Q(held_until__isnull=True) | Q(held_until__lt=Now())
    active = Import.objects.filter(free, id=import_id, state__in=Import.ACTIVE)
    if not active.update(attempt=F("attempt") + 1, held_until=Now() + HELD_FOR):
        return False
    brought = Import.objects.select_related("project", "created_by").get(id=import_id)
    until = time.monotonic() + seconds
    try:
        while brought.is_active and time.monotonic() < until:
            if brought.state == State.CHECKING:
                _check(brought, until)
            else:
                _write(brought, until)
        _mine(brought).update(held_until=None)
    except Superseded:
        return False
    except (OperationalError, InterfaceError):
        raise  # nothing can be written now; it is taken up again when it is held no longer
    except (ServiceError, UnreadableFile, FileNotFoundError) as error:
        _end(brought, State.FAILED, _in_words(error))
    except Exception as error:
        logger.exception("Import %s failed.", import_id)
        _end(
            brought,
            State.FAILED,
            f"Something went wrong that should not have: {type(error).__name__}. What was imported "
            "before stays. Try again; if it fails again, show this and the log to whoever runs "
            "the server.",
        )
    return brought.is_active


def run_import(brought: Import) -> Import:
    """Carry an import through to its end; where a worker has taken it up, wait for that one."""
    while True:
        continue_import(brought.pk, seconds=60)
        brought.refresh_from_db()
        if not brought.is_active:
            return brought
        time.sleep(HELD_BY_OTHERS_S)


def _in_words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "The file is not there any more. Upload it again."
    return str(error)


def _reads(brought: Import) -> Iterator[Read]:
    start = Place(brought.rows, brought.line, brought.offset)
    return read_records(file_of(brought), brought.container, reading_of(brought), start)


def _check(brought: Import, until: float) -> None:
    """Read on to the end without writing, or until the time is over."""
    reads = _reads(brought)
    while time.monotonic() < until:
        found, before = Counter(brought.found), brought.rows
        for read in islice(reads, CHECKED_AT_ONCE):
            if read.error is not None:
                _note(brought, read.error)
            _count(found, brought.questions, read)
            _go_to(brought, read.after)
        brought.found = dict(found)
        if brought.rows - before < CHECKED_AT_ONCE:
            _checked(brought)
            return
        _save(brought)


def _note(brought: Import, error: LineError) -> None:
    brought.bad_count += 1
    if len(brought.bad) < MOST_BAD_KEPT:
        brought.bad.append({"line": error.line, "message": error.message})


def _count(found: Counter[str], questions: dict[str, int], read: Read) -> None:
    for record in read.records:
        found["prompts"] += 1
        found["completions"] += len(record.candidates)
        if not record.said:
            found["unjudged"] += 1
        for said in record.said:
            found["predictions"] += said.by_model
            match said:
                case Chosen():
                    found["comparisons"] += 1
                case Ordered():
                    found["rankings"] += 1
                case Written(of=None):
                    found["demonstrations"] += 1
                case Written():
                    found["rewrites"] += 1
                case Rated():
                    found["ratings"] += 1
                    for of_one in said.scales.values():
                        for name, point in of_one.items():
                            questions[name] = max(questions.get(name, 0), point)
                    for raised in said.flags.values():
                        for name in raised:
                            questions.setdefault(name, 0)


def _checked(brought: Import) -> None:
    """Turn from checking to writing, or refuse the file."""
    brought.total = brought.rows
    if brought.bad_count and not brought.leaves_out_bad:
        brought.state, brought.ended_at = State.REFUSED, timezone.now()
    elif not brought.found.get("prompts"):
        raise ServiceError("There is nothing to import in this file. Look at its columns again.")
    else:
        if brought.questions:
            _publish_questions(brought)
        brought.state = State.WRITING
        _begin(brought)
    _save(brought)


@transaction.atomic
def _publish_questions(brought: Import) -> None:
    """Make sure that the questions of the file's ratings are asked here.

    A project that asks none gets those of the file; nothing that is asked is ever replaced.
    """
    lock(brought.project)  # two imports at once would both find none
    if brought.project.rating_schemes.filter(published_at__isnull=False).exists():
        fitting_scheme(brought.project, brought.questions)
        return
    asked = [
        scale(name, name, points=next(p for p in POINTS if highest <= p), low="", high="")
        | {"required": False}
        if highest
        else flag(name, name)
        for name, highest in sorted(brought.questions.items())
    ]
    publish_scheme(brought.project, asked, brought.created_by)


def _write(brought: Import, until: float) -> None:
    """Write batch after batch, each whole with the place behind it, until the time is over."""
    reads = _reads(brought)
    while time.monotonic() < until:
        records: list[Record] = []
        begun, last = brought.offset, None
        for last in islice(reads, BATCH_ROWS):
            records += last.records
            _go_to(brought, last.after)
            if brought.offset - begun > BATCH_BYTES:
                break
        with transaction.atomic():
            written = add_records(
                brought.project,
                records,
                brought.created_by,
                batch=brought.batch,
                asks=brought.asks,
            )
            brought.written = dict(Counter(brought.written) + written)
            if last is None:
                brought.state, brought.ended_at = State.DONE, timezone.now()
            _save(brought)
        if brought.state == State.DONE:
            remove_file(brought)
            return


def _begin(brought: Import) -> None:
    _go_to(brought, Place())


def _go_to(brought: Import, place: Place) -> None:
    brought.rows, brought.line, brought.offset = place.rows, place.line, place.offset


def _save(brought: Import) -> None:
    """Keep how far it is, if it is still this attempt's; undo the batch if it is not."""
    kept = _mine(brought).update(
        state=brought.state,
        rows=brought.rows,
        line=brought.line,
        offset=brought.offset,
        total=brought.total,
        found=brought.found,
        questions=brought.questions,
        written=brought.written,
        bad=brought.bad,
        bad_count=brought.bad_count,
        ended_at=brought.ended_at,
        held_until=Now() + HELD_FOR,
    )
    if not kept:
        raise Superseded


def _end(brought: Import, state: str, problem: str) -> None:
    brought.state = state
    _mine(brought).update(state=state, problem=problem, ended_at=timezone.now(), held_until=None)


def _mine(brought: Import) -> QuerySet[Import]:
    return Import.objects.filter(id=brought.pk, attempt=brought.attempt)


def _locked(brought: Import) -> Import:
    return Import.objects.select_for_update().get(id=brought.pk)
