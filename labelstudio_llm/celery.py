"""The Celery application. Messages carry ids and are hints; the database is the queue."""

from __future__ import annotations

import logging
import os
from typing import Any

from billiard.process import current_process
from celery import Celery, bootsteps
from celery.signals import beat_embedded_init, worker_process_init

from labelstudio_llm import logs  # noqa: F401  # it hears what the worker does
from training.pipeline import orphans

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labelstudio_llm.settings")

logger = logging.getLogger(__name__)

SCHEDULER_LOOK_S = 2.0

app = Celery("labelstudio_llm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Above the services, which it calls as a person does; `tasks` lies below them.
app.autodiscover_tasks(["training"], related_name="driver")


class SchedulerThatStays(bootsteps.StartStopStep):
    """Starts the scheduler of a worker anew where it was killed, by the kernel for memory, say.

    Celery goes on without: nothing that waits would be hinted at, and no lost run be taken back.
    """

    requires = ("celery.worker.components:Timer", "celery.worker.components:Beat")
    looks: Any = None
    """What calls `look_after`."""

    def start(self, worker: Any) -> None:
        """Look after it every few seconds."""
        if worker.beat is not None:
            look = worker.timer.call_repeatedly
            self.looks = look(SCHEDULER_LOOK_S, self.look_after, (worker,))

    def look_after(self, worker: Any) -> None:
        """Start another one if it has ended, and was not asked to."""
        if not worker.beat.is_alive() and worker.beat.exitcode != 0:
            from celery.beat import EmbeddedService  # of use in a worker alone

            logger.error("The scheduler has ended (%s). Starting it anew.", worker.beat.exitcode)
            worker.beat = EmbeddedService(
                worker.app,
                schedule_filename=worker.schedule_filename,
                scheduler_cls=worker.scheduler,
            )
            worker.beat.start()

    def stop(self, worker: Any) -> None:
        """End the one that is there: Celery knows the first alone."""
        if self.looks is not None:
            self.looks.cancel()
            worker.beat.stop()

    terminate = stop


app.steps["worker"].add(SchedulerThatStays)


@beat_embedded_init.connect
@worker_process_init.connect
def end_with_the_worker(**_: Any) -> None:
    """Ask that the scheduler and those that carry out are ended when their worker is killed.

    Celery leaves them alone then: the scheduler would go on for ever, beside that of the next
    worker, and a run to its end, with nobody who could stop it.
    """
    if parent := current_process()._parent_pid:  # a worker without a pool is nobody's child
        orphans.end_with(parent)
