"""Logs as lines of JSON, each with the ids of the request, the task and the run it belongs to.

Standard logging does the rest: every process writes to standard error, whoever starts it keeps it.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from celery import Task
from celery.signals import before_task_publish, setup_logging, task_postrun, task_prerun

from training import tracing

FIELDS = "fields"
"""Under `extra={FIELDS: {...}}` a line gets further fields."""
HEADER = "request_id"


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **_ids_of_request(record),
            **tracing.ids(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """Writes a record for people, as one that nobody could have made up.

    What was sent may stand in it: a line that goes on is set in, so that only a record begins at
    the margin, and what would steer the terminal is spelled out.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record with its traceback, in which what was sent may stand as well."""
        line = super().format(record)
        shown = (c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in line)
        return "".join(shown).replace("\n", "\n  ")


class Console(logging.StreamHandler):
    """Writes to standard error as long as somebody reads it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """Drop a line that nobody reads. A complaint about it would go the same way.

        In a worker it would become a line of the log again, which fails again.
        """
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


class HideSecrets(logging.Filter):
    """Takes the secret of an invitation out of the address in a line about a refused request."""

    def filter(self, record: logging.LogRecord) -> bool:
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        secret = match.kwargs.get("secret") if match else None
        if secret and isinstance(record.args, tuple):
            record.args = tuple(
                part.replace(secret, "…") if isinstance(part, str) else part for part in record.args
            )
        return True


def _ids_of_request(record: logging.LogRecord) -> dict[str, str]:
    """Return the id of the request that Django hands in with a line, which it writes at the end."""
    request_id = getattr(getattr(record, "request", None), HEADER, "")
    return {HEADER: request_id} if request_id else {}


def configuration(*, as_json: bool, level: str) -> dict[str, Any]:
    """Return Django's LOGGING. A terminal gets plain lines, and none for each request."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": "labelstudio_llm.logs.JsonFormatter"},
            "text": {
                "()": "labelstudio_llm.logs.TextFormatter",
                "format": "%(levelname)s %(name)s: %(message)s",
            },
        },
        "filters": {"secrets": {"()": "labelstudio_llm.logs.HideSecrets"}},
        "handlers": {
            "console": {
                "class": "labelstudio_llm.logs.Console",
                "formatter": "json" if as_json else "text",
            }
        },
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django.server": {"level": "WARNING"},
            "django.request": {"filters": ["secrets"]},
            "labelstudio_llm.requests": {"level": level if as_json else "WARNING"},
        },
    }


@setup_logging.connect
def keep_logging(loglevel: int | str | None = None, **_: Any) -> None:
    """Keep a worker from putting its own formats in the place of ours; it has its own level."""
    if loglevel is not None:
        logging.getLogger("celery").setLevel(loglevel)


@before_task_publish.connect
def pass_on(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Let a message tell which request it comes from. A worker that does not know this ignores it.

    That holds the other way round, too: a message without it belongs to no request.
    """
    request_id = tracing.ids().get(HEADER)
    if request_id and headers is not None:
        headers[HEADER] = request_id


@task_prerun.connect
def begin_task(task: Task | None = None, task_id: str = "", **_: Any) -> None:
    """Let what a task does belong to it, and to the request that its message comes from."""
    if task is None:
        return
    came_from = getattr(task.request, HEADER, None)
    tracing.begin(task=task.name, task_id=task_id, **({HEADER: came_from} if came_from else {}))


@task_postrun.connect
def end_task(**_: Any) -> None:
    """Let what a worker does between two tasks belong to neither."""
    tracing.begin()
