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
from annotations.signals import file_kept, file_removed, file_wanted, import_waits

logger = logging.getLogger(__name__)

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
MODE = 0o644
"""Of a file that arrived: a worker may be another user than the web process."""
DID_NOT_ARRIVE = (
    "This file has not arrived in full. If nobody is sending it any more, upload it again."
)
CANT_BE_READ = (ServiceError, UnreadableFile, FileNotFoundError)
"""What reading a file raises, with a sentence for people or an obvious one."""
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


def _file_here(brought: Import, beat: Callable[[], object] = lambda: None) -> Path:
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
    _remove_left_over()
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
        brought.size, sha256 = keep(aside / "file")
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
    return look_at(_file_here(brought), reading_of(brought))


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
        file = _file_here(brought)
        for read in islice(read_records(file, brought.container, reading), PREVIEWED):
            records += read.records
            if read.error is not None:
                errors.append(read.error)
            if len(records) >= most:
                break
    except CANT_BE_READ as error:
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
            sample = look_at(_file_here(brought), Reading(format))
        except CANT_BE_READ as error:
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
    _remove(folder_of(brought))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    file_removed.send(sender=Import, folder=folder)


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
    except CANT_BE_READ as error:
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
    file = _file_here(brought, beat=lambda: _mine(brought).update(held_until=Now() + HELD_FOR))
    return read_records(file, brought.container, reading_of(brought), start)


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
