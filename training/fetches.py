"""Base models that a worker brings from a hub: what was asked for, and how far it is.

A request is a file in the folder of base models, which web and workers share: there is no row for
what is no checkpoint yet. A lock on it, which the kernel takes back from a dead worker, tells
whether somebody is at it; a message to the workers is only a hint. When the model is whole it
becomes a checkpoint of the project that asked, and the request goes.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings

from training import supervisor
from training.models import Checkpoint
from training.pipeline.checkpoints import read_manifest
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.fetching import aside_of, fetch_model
from training.pipeline.pushing import Progress

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Fetch:
    """A model of a hub that somebody asked for and that is not here yet."""

    repo: str
    revision: str
    """A branch, tag or commit; nothing for the newest."""
    name: str
    """Of the checkpoint that it becomes."""
    project_id: int
    user_id: int

    @property
    def folder(self) -> Path:
        """Return where it lies once it is whole: beside the other base models."""
        said = f"{self.repo}--{self.revision}" if self.revision else self.repo
        return Path(settings.BASE_MODEL_PATH.parent, said.replace("/", "--"))


@dataclass(frozen=True)
class State:
    """How far a fetch is."""

    done: int = 0
    total: int = 0
    """Bytes; 0 until its files are known."""
    error: str = ""
    """Why it stopped. Nobody goes on with it until it is asked for again."""

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // self.total) if self.total else 0


def ask(fetch: Fetch) -> None:
    """Write down that a model is wanted, in place of an attempt that failed."""
    place = _request_of(fetch).parent
    place.mkdir(parents=True, exist_ok=True)
    _write(_state_of(fetch), asdict(State()))
    _write(_request_of(fetch), asdict(fetch))


def forget(fetch: Fetch) -> None:
    """Take a request back; a worker that is at it stops. What came stays for the next attempt."""
    _request_of(fetch).unlink(missing_ok=True)
    _state_of(fetch).unlink(missing_ok=True)


def all_fetches() -> list[tuple[Fetch, State]]:
    """Return what is on its way or failed, by name."""
    found = []
    for path in sorted(aside_of(settings.BASE_MODEL_PATH).parent.glob("*.request")):
        with suppress(OSError, ValueError, TypeError):  # taken back meanwhile
            fetch = Fetch(**json.loads(path.read_text(encoding="utf-8")))
            found.append((fetch, state_of(fetch)))
    return found


def fetches_of(project_id: int) -> list[tuple[Fetch, State]]:
    """Return what is on its way to a project or failed, by name."""
    return [(one, state) for one, state in all_fetches() if one.project_id == project_id]


def state_of(fetch: Fetch) -> State:
    """Return how far a fetch is."""
    try:
        return State(**json.loads(_state_of(fetch).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return State()


def is_anything_waiting() -> bool:
    """Return whether there is a request that nobody is at and nothing stands in the way of."""
    return any(not state.error and not _is_taken(fetch) for fetch, state in all_fetches())


def carry_out() -> None:
    """Bring what waits, one after the other. Delivering the same message twice is harmless."""
    for fetch, state in all_fetches():
        with _taken(fetch) as is_mine:
            if is_mine and not state.error and not supervisor.is_shutting_down():
                _bring(fetch)


def _bring(fetch: Fetch) -> None:
    try:
        if not fetch.folder.is_dir():
            _watched(fetch)
        _make_checkpoint(fetch)
    except RunStopped:
        return  # nobody wants it any more, or the worker ends and another goes on
    except PipelineError as error:
        _fail(fetch, str(error))
    except Exception as error:
        logger.exception("%s could not be fetched.", fetch.repo)
        _fail(fetch, f"It stopped on an error that nobody expected: {error}. See the worker's log.")
    else:
        forget(fetch)


def _make_checkpoint(fetch: Fetch) -> None:
    source = read_manifest(fetch.folder).get("hub", {})
    checkpoint, is_new = Checkpoint.objects.get_or_create(
        project_id=fetch.project_id,
        name=fetch.name,
        defaults={
            "kind": Checkpoint.Kind.BASE,
            "path": str(fetch.folder),
            "manifest": {"registered_by": fetch.user_id, "hub": source},
        },
    )
    if not is_new and checkpoint.path != str(fetch.folder):
        raise PipelineError(
            f"{fetch.repo} is here, but there is a checkpoint called {fetch.name} already. Add the "
            "folder under another name."
        )


def _watched(fetch: Fetch) -> None:
    """Fetch, and meanwhile write down how far it is and look whether it is still wanted."""
    progress, over = Progress(total=0), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_EVERY_S):
            if not _request_of(fetch).is_file() or supervisor.is_shutting_down():
                progress.stop.set()
                return
            _write(_state_of(fetch), asdict(State(progress.done, progress.total)))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        fetch_model(fetch.repo, fetch.revision, fetch.folder, progress)
    finally:
        over.set()
        watcher.join()


def _fail(fetch: Fetch, error: str) -> None:
    _write(_state_of(fetch), asdict(State(error=error)))


def _is_taken(fetch: Fetch) -> bool:
    with _taken(fetch) as is_mine:
        return not is_mine


@contextmanager
def _taken(fetch: Fetch) -> Iterator[bool]:
    """Hold the lock of a model while inside; give False where another process holds it."""
    with _request_of(fetch).with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _request_of(fetch: Fetch) -> Path:
    aside = aside_of(fetch.folder)
    return aside.with_name(f"{aside.name}.request")


def _state_of(fetch: Fetch) -> Path:
    return _request_of(fetch).with_suffix(".state")


def _write(path: Path, values: dict[str, object]) -> None:
    half = path.with_suffix(f"{path.suffix}.tmp")
    half.write_text(json.dumps(values), encoding="utf-8")
    half.rename(path)
