"""Servers elsewhere as sources of completions: entering them, changing them, trying them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from annotations.algorithms.text import TextError, check_text
from training import artifacts, secrecy, tasks
from training.models import Checkpoint, Endpoint
from training.pipeline.endpoint import EndpointError, check_url
from training.pipeline.errors import PipelineError
from training.services.audit import record
from training.services.bases import checked_name
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import Project, User

LONGEST_KEY = 1_000
LONGEST_MODEL = 200
LONGEST_URL = 500
MOST_SECONDS = 600


@dataclass(frozen=True)
class Server:
    """What a person enters about a server, but for its key."""

    url: str
    model: str
    timeout_s: int = 60


def add_endpoint(
    project: Project, name: str, server: Server, *, key: str, created_by: User
) -> Endpoint:
    """Record a server under a name of its own; its completions are filed under that name."""
    name = checked_name(name)
    server = _checked(server)
    key = _checked_key(key, server)
    try:
        with transaction.atomic():
            checkpoint = Checkpoint.objects.create(
                project=project,
                name=name,
                kind=Checkpoint.Kind.EXTERNAL,
                manifest={"registered_by": created_by.pk},
            )
            added = Endpoint.objects.create(
                checkpoint=checkpoint,
                url=server.url,
                model=server.model,
                timeout_s=server.timeout_s,
                encrypted_key=secrecy.encrypt(key) if key else "",
                created_by=created_by,
            )
            how = "with a key" if key else "without a key"
            reason = f"{server.url} is asked for {server.model}, {how}."
            record(project, created_by, "added", checkpoint, reason, _facts(server))
            return added
    except IntegrityError:
        raise ServiceError(
            f"There is a checkpoint called {name} already. Choose another name."
        ) from None


@transaction.atomic
def change_endpoint(
    endpoint: Endpoint,
    server: Server,
    *,
    key: str = "",
    forget_key: bool = False,
    changed_by: User,
) -> None:
    """Change where a server is or how it is asked. No key given keeps the one there is.

    A kept key never goes to another host: whoever may change the address could read it there.
    """
    server = _checked(server)
    key = _checked_key(key, server)
    keeps = not key and not forget_key and bool(endpoint.encrypted_key)
    if keeps and _origin(server.url) != _origin(endpoint.url):
        raise ServiceError(
            "The key was entered for another host. Enter the new host's key, or tick “Forget the "
            "key”."
        )
    before = Server(endpoint.url, endpoint.model, endpoint.timeout_s)
    had_key = bool(endpoint.encrypted_key)
    if key or forget_key:
        endpoint.encrypted_key = secrecy.encrypt(key) if key else ""
    endpoint.url, endpoint.model, endpoint.timeout_s = server.url, server.model, server.timeout_s
    endpoint.try_state = Endpoint.Try.NONE
    endpoint.save(update_fields=["url", "model", "timeout_s", "encrypted_key", "try_state"])
    changes = _changes(before, server)
    if key:
        changes.append("another key" if had_key else "a key")
    elif forget_key and had_key:
        changes.append("no key any more")
    if changes:
        reason = f"Now: {', '.join(changes)}."
        project, checkpoint = endpoint.checkpoint.project, endpoint.checkpoint
        record(project, changed_by, "changed", checkpoint, reason, _facts(server))


@transaction.atomic
def try_endpoint(endpoint: Endpoint) -> None:
    """Let a worker send one short message; the endpoint's page shows what came back."""
    try:
        artifacts.key_of(endpoint)
    except PipelineError as error:
        raise ServiceError(str(error)) from None
    row = Endpoint.objects.filter(id=endpoint.pk)
    row.update(try_state=Endpoint.Try.ASKED, try_text="", tried_at=Now())
    transaction.on_commit(partial(tasks.send_try, endpoint.pk))


def _facts(server: Server) -> dict[str, Any]:
    """Return what the audit log keeps of a server: nothing of its key."""
    return dict(vars(server))


def _changes(before: Server, after: Server) -> list[str]:
    words = {"url": "address", "model": "model", "timeout_s": "seconds for an answer"}
    now = vars(after)
    return [f"{words[name]} {now[name]}" for name in words if now[name] != vars(before)[name]]


def _checked(server: Server) -> Server:
    url, model = server.url.strip().rstrip("/"), server.model.strip()
    try:
        check_text(url, field="The address", max_chars=LONGEST_URL)
        check_text(model, field="The model's name", max_chars=LONGEST_MODEL)
        check_url(url, tuple(settings.ALLOWED_PRIVATE_ENDPOINTS))
    except (TextError, EndpointError) as error:
        raise ServiceError(str(error)) from None
    if not model:
        raise ServiceError("Enter the model's name as the server calls it.")
    if not 1 <= server.timeout_s <= MOST_SECONDS:
        raise ServiceError(f"Give an answer 1 to {MOST_SECONDS} seconds.")
    return Server(url.removesuffix("/chat/completions"), model, server.timeout_s)


def _checked_key(key: str, server: Server) -> str:
    key = key.strip()
    if len(key) > LONGEST_KEY or not key.isascii() or not (key.isprintable() and " " not in key):
        raise ServiceError(
            f"A key has at most {LONGEST_KEY} letters, digits and signs, without spaces."
        )
    parts = urlsplit(server.url)
    allowed = settings.ALLOWED_PRIVATE_ENDPOINTS
    if key and parts.scheme == "http" and not {"*", parts.hostname} & set(allowed):
        raise ServiceError(
            "A key would cross the network readable to all. Use https:// or leave the key empty."
        )
    return key


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
