"""How workers are told that something waits: quickly, or not at all.

A page must not wait for a broker that is away or hangs. Celery by itself tries for six seconds to
reach one, and waits ten for an answer. Whatever waits is a row, and its hint is sent again.
"""

from __future__ import annotations

from celery import Task

EXPIRES_S = 120
"""A hint that waited for so long was sent again meanwhile; old ones would only pile up."""
PUBLISH_OPTIONS = {
    "socket_timeout": 1,
    "socket_connect_timeout": 1,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
"""Sending a hint may take this many seconds."""


def send(task: Task, arguments: tuple[int, ...], queue: str = "default") -> None:
    """Send a message that a task has something to do. Errors are those of any transport."""
    options = {**task.app.conf.broker_transport_options, **PUBLISH_OPTIONS}
    with task.app.connection_for_write(connect_timeout=1, transport_options=options) as connection:
        task.apply_async(
            arguments, queue=queue, expires=EXPIRES_S, retry=False, connection=connection
        )
