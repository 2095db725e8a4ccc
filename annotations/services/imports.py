"""Going on with an import: its file is checked as a whole, and then written batch by batch."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import islice

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Now
from django.utils import timezone

from annotations.importers import (
    Chosen,
    LineError,
    Ordered,
    Place,
    Rated,
    Read,
    Record,
    Written,
    read_records,
)
from annotations.models import Import
from annotations.services.imported_files import (
    CANT_BE_READ,
    file_here,
    in_words,
    locked,
    reading_of,
    remove_file,
    remove_left_over,
)
from annotations.services.rating_schemes import flag, publish_scheme, scale
from annotations.services.records import add_records, fitting_scheme
from annotations.services.rules import ServiceError, lock
from annotations.signals import import_waits

logger = logging.getLogger(__name__)

BATCH_ROWS = 500
BATCH_BYTES = 8 * 1024 * 1024
CHECKED_AT_ONCE = 5000
"""Rows between two looks at whether somebody stopped it."""
KEPT_BYTES = 4 * 1024 * 1024
KEPT_ROWS = 10_000
"""A file of no more than that is read once: what checking it read is at hand when it is written."""
KEPT_CONTAINERS = ("jsonl", "json", "csv")
"""Whose rows hold no more than the file has bytes."""
MOST_BAD_KEPT = 200
AT_ONCE_BYTES = 1024 * 1024
"""A file of no more than that is imported where it is started, before anybody is told to: of
`KEPT_CONTAINERS`, since a packed one may take hours."""
AT_ONCE_S = 3.0
"""For about so long: a worker does the rest."""
HELD_FOR = timedelta(seconds=90)
MOST_LOST = 3
"""After so many ends without a word in one place an import is given up: a file that needs more
memory than there is would end one worker after the other."""
LEFT_ALONE_FOR = timedelta(days=14)
"""After so long nobody goes on with a file that was brought."""
HELD_BY_OTHERS_S = 0.2
"""Between two looks at whether another one still goes on with an import."""
POINTS = (5, 7, 10)
"""How many points a scale of a file is taken to have: the fewest that hold its highest."""

State = Import.State

_at_once = threading.Lock()
"""Of the imports that a process is to start it carries out one at a time: it has pages to show."""


class Superseded(Exception):
    """Somebody else goes on with this import, or it was stopped; nothing was written."""


@transaction.atomic
def start_import(brought: Import, *, leave_out_bad: bool = False) -> None:
    """Let a file be checked and then imported; without its bad lines, if somebody says so."""
    brought = locked(brought)
    if brought.is_active or brought.state in Import.OVER:
        return
    brought.state, brought.leaves_out_bad = State.CHECKING, leave_out_bad
    _begin(brought)
    brought.found, brought.written, brought.questions = {}, {}, {}
    brought.bad, brought.bad_count, brought.problem, brought.ended_at = [], 0, "", None
    brought.lost = 0
    brought.save()
    go_on(brought)


@transaction.atomic
def cancel_import(brought: Import) -> None:
    """Stop an import. What was written stays; its file goes."""
    brought = locked(brought)
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
    remove_left_over()
    alone = timezone.now() - LEFT_ALONE_FOR
    old = Import.objects.filter(created_at__lt=alone)
    for brought in old.exclude(state__in=(*Import.ACTIVE, *Import.OVER)):
        if max(brought.created_at, brought.ended_at or brought.created_at) < alone:
            _forget(brought)


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


def go_on(brought: Import) -> None:
    """Import a small file on commit, and tell a worker of a large one, or of what is left.

    Hints that are lost are sent again by the beat.
    """
    is_small = brought.size <= AT_ONCE_BYTES and brought.container in KEPT_CONTAINERS
    transaction.on_commit(partial(_go_on, brought.pk, is_small=is_small))


def _go_on(import_id: int, *, is_small: bool) -> None:
    if is_small and _at_once.acquire(blocking=False):
        try:
            if not continue_import(import_id, seconds=AT_ONCE_S):
                return
        except (OperationalError, InterfaceError) as error:
            logger.warning("Import %s has no database and waits (%s).", import_id, error)
            return
        finally:
            _at_once.release()
    import_waits.send(sender=Import, import_id=import_id)


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
    # Who ended in words holds it no longer.
    is_lost = Case(When(held_until__isnull=False, then=1), default=0)
    if not active.update(
        attempt=F("attempt") + 1, held_until=Now() + HELD_FOR, lost=F("lost") + is_lost
    ):
        return False
    brought = Import.objects.select_related("project", "created_by").get(id=import_id)
    if brought.lost >= MOST_LOST:
        _end(
            brought,
            State.FAILED,
            f"It ended {MOST_LOST} times without a word after line {brought.line:,}, as a program "
            "does that is out of memory. What was imported before stays. Split the file, or look "
            "for a very long text in it, and import the parts.",
        )
        return False
    until = time.monotonic() + seconds
    kept: list[Read] = []
    try:
        while brought.is_active and time.monotonic() < until:
            if brought.state == State.CHECKING:
                kept = _check(brought, until)
            else:
                _write(brought, until, kept)
        _mine(brought).update(held_until=None)
    except Superseded:
        return False
    except (OperationalError, InterfaceError):
        raise  # nothing can be written now; it is taken up again when it is held no longer
    except CANT_BE_READ as error:
        _end(brought, State.FAILED, in_words(error))
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


def _reads(brought: Import) -> Iterator[Read]:
    start = Place(brought.rows, brought.line, brought.offset)
    file = file_here(brought, beat=lambda: _mine(brought).update(held_until=Now() + HELD_FOR))
    return read_records(file, brought.container, reading_of(brought), start)


def _check(brought: Import, until: float) -> list[Read]:
    """Read on to the end without writing, or until the time is over.

    Return what was read of a small file that was read as a whole, and nothing of others.
    """
    may_keep = brought.size <= KEPT_BYTES and brought.container in KEPT_CONTAINERS
    kept: list[Read] = []
    reads = _reads(brought)
    while time.monotonic() < until:
        found, before = Counter(brought.found), brought.rows
        for read in islice(reads, CHECKED_AT_ONCE):
            if read.error is not None:
                _note(brought, read.error)
            _count(found, brought.questions, read)
            _go_to(brought, read.after)
            if may_keep and len(kept) < KEPT_ROWS:
                kept.append(read)
        brought.found = dict(found)
        if brought.rows - before < CHECKED_AT_ONCE:
            _checked(brought)
            return kept if len(kept) == brought.total else []
        _save(brought)
    return []


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


def _write(brought: Import, until: float, kept: list[Read]) -> None:
    """Write batch after batch, each whole with the place behind it, until the time is over.

    The file is read for it, unless what is in it was `kept`.
    """
    reads = iter(kept) if kept else _reads(brought)
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
            if last is None or brought.rows == brought.total:
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
        lost=0,
    )
    if not kept:
        raise Superseded


def _end(brought: Import, state: str, problem: str) -> None:
    brought.state = state
    _mine(brought).update(
        state=state,
        problem=problem,
        bad=brought.bad,
        bad_count=brought.bad_count,
        ended_at=timezone.now(),
        held_until=None,
    )


def _mine(brought: Import) -> QuerySet[Import]:
    return Import.objects.filter(id=brought.pk, attempt=brought.attempt)
