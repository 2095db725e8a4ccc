"""Base models: registering a folder, and asking for a model of a hub."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from annotations.algorithms.text import TextError, check_text
from training import artifacts, fetches, tasks
from training.fetches import Fetch
from training.models import Checkpoint, Stage
from training.services.pushes import REPO
from training.services.refusals import ServiceError, or_service_error

if TYPE_CHECKING:
    from annotations.models import Project, User

LONGEST_NAME = 100
NAMES_OF_RUNS = re.compile(rf"({'|'.join(Stage.values)})-\d+")
REVISION = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
NO_HUB = (
    "This installation has no hub: nothing is ever fetched. Whoever runs it sets HF_HUB_OFFLINE=0, "
    "or puts the model's folder beside the others."
)


def register_base(
    project: Project, path: str, name: str = "SmolLM2-135M-Instruct", *, created_by: User
) -> Checkpoint:
    """Record a base model's folder as a checkpoint to start from. Repeating it is harmless."""
    name = checked_name(name)
    if "\0" in str(path) or not Path(path).is_absolute() or len(str(path)) > 500:
        raise ServiceError("Give the whole path of the model's folder, from / on.")
    folder = Path(path).resolve()
    or_service_error(partial(artifacts.check_base, folder))
    checkpoint, is_new = Checkpoint.objects.get_or_create(
        project=project,
        name=name,
        defaults={
            "kind": Checkpoint.Kind.BASE,
            "path": str(folder),
            "manifest": {"registered_by": created_by.pk},
        },
    )
    if not is_new and checkpoint.path != str(folder):
        raise ServiceError(f"There is a checkpoint called {name} already. Choose another name.")
    return checkpoint


def fetch_base(
    project: Project, repo: str, *, revision: str = "", name: str = "", created_by: User
) -> Fetch:
    """Ask a worker to bring a model of a hub; when it is whole it is a checkpoint to start from.

    Asking again goes on with what stopped.
    """
    if not settings.HAS_MODEL_HUB:
        raise ServiceError(NO_HUB)
    repo, revision = repo.strip().strip("/"), revision.strip()
    if not REPO.fullmatch(repo):
        raise ServiceError("A model of a hub is like HuggingFaceTB/SmolLM2-360M-Instruct.")
    if revision and not REVISION.fullmatch(revision):
        raise ServiceError("A revision is a branch, a tag or a commit; leave it empty if unsure.")
    name = checked_name(name or repo.partition("/")[2])
    fetch = Fetch(repo, revision, name, project.pk, created_by.pk)
    if fetch.folder.is_dir():
        raise ServiceError(f"{repo} is here already. Choose the folder {fetch.folder.name}.")
    if project.checkpoints.filter(name=name).exists():
        raise ServiceError(f"There is a checkpoint called {name} already. Choose another name.")
    if any(
        other.folder == fetch.folder and not state.error for other, state in fetches.all_fetches()
    ):
        raise ServiceError(f"{repo} is being fetched already. Wait for it, or stop it.")
    fetches.ask(fetch)
    transaction.on_commit(tasks.hint_fetches)
    return fetch


def stop_fetch(project: Project, folder: str) -> None:
    """Stop a fetch of the project, or forget one that failed. What came stays for another try."""
    for fetch, _ in fetches.fetches_of(project.pk):
        if fetch.folder.name == folder:
            fetches.forget(fetch)


def checked_name(name: str) -> str:
    """Return what a person calls something that is asked, or say what may stand there."""
    name = name.strip()
    if not name or NAMES_OF_RUNS.fullmatch(name):
        raise ServiceError(
            f"Choose a name of 1 to {LONGEST_NAME} characters that is not like a run's (sft-1)."
        )
    try:
        return check_text(name, field="The name", max_chars=LONGEST_NAME)
    except TextError as error:
        raise ServiceError(str(error)) from None
