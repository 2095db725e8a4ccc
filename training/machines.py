"""What the machines with a running child have in use. They tell it in the broker, for a minute.

A web process has no GPU and no child; it reads here what those that have say of themselves.
Nothing is kept: a machine that is gone is gone from here, too.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import socket
import time

from training import streams
from training.pipeline.machine import GpuUse, gpus_in_use

PREFIX = "labelstudio-llm:machines:"
TOLD_EVERY_S = 15.0
FORGOTTEN_AFTER_S = 60

logger = logging.getLogger(__name__)


class Teller:
    """Tells what the GPUs of this machine do, now and then, while a child runs."""

    def __init__(self) -> None:
        self._told_at = float("-inf")

    def tell(self) -> None:
        """Tell it if it is time; a broker that is away hears it the next time."""
        if time.monotonic() - self._told_at < TOLD_EVERY_S:
            return
        self._told_at = time.monotonic()
        gpus = gpus_in_use()
        if gpus:
            try:
                tell(socket.gethostname(), gpus)
            except streams.BrokerError as error:
                logger.warning("What the GPUs do could not be told: no broker (%s).", error)


def tell(machine: str, gpus: list[GpuUse]) -> None:
    """Put what the GPUs of a machine do into the broker."""
    said = json.dumps([dataclasses.asdict(gpu) for gpu in gpus])
    streams.connection().set(f"{PREFIX}{machine}", said, ex=FORGOTTEN_AFTER_S)


def told() -> dict[str, list[GpuUse]]:
    """Return what machines said of their GPUs within the last minute."""
    broker = streams.connection()
    names = sorted(broker.scan_iter(match=f"{PREFIX}*", count=1000))
    said = zip(names, broker.mget(names) if names else (), strict=True)
    return {
        name.removeprefix(PREFIX): [GpuUse(**gpu) for gpu in json.loads(row)]
        for name, row in said
        if row is not None  # forgotten since
    }
