"""`python -m training.pipeline JOB.json`: one run in a process of its own.

Standard output carries one JSON event a line and nothing else; all other output is the log.
Exit status: 0 done, 75 stopped on request (resumable), 1 failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from training.pipeline import launch
from training.pipeline.errors import PipelineError
from training.pipeline.events import Report, beating, events_to_stdout

EXIT_STOPPED = 75
HEARD_WITHIN_S = 5
"""The launcher tells its processes one after another that they are to stop."""


def main(path: str) -> int:
    if command := launch.command_for(path):
        os.execv(command[0], command)  # noqa: S606  # a list that `launch` makes, no shell
    launch.die_with_launcher()
    report = launch.speaking(events_to_stdout())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the worker decides
    report({"event": "phase", "phase": "starting"})
    with beating(report):
        last, status = _run(path, report, stop)
    report(last)  # nothing is said behind it: the heart has stopped
    return status


def _run(path: str, report: Report, stop: threading.Event) -> tuple[dict[str, Any], int]:
    """The run's last event, which is still to be said, and the exit status."""
    from training.pipeline.errors import RunStopped
    from training.pipeline.failures import explain

    job = None
    try:
        from training.pipeline import train
        from training.pipeline.jobs import Job
        from training.pipeline.quiet import keep_quiet

        keep_quiet()
        job = Job.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        result = train(job, report=report, should_stop=stop.is_set)
    except RunStopped:
        return {"event": "stopped"}, EXIT_STOPPED
    except Exception as error:  # the page shows it with the log's last lines
        if launch.lost_another(error) and stop.wait(HEARD_WITHIN_S):
            return {"event": "stopped"}, EXIT_STOPPED  # the other heard it first
        return _failed(error, explain(error, job)), 1
    return {"event": "done", "results": result.results, "output": str(result.output)}, 0


def _failed(error: Exception, known: PipelineError | None) -> dict[str, Any]:
    detail = traceback.format_exc()
    # Where the disk is full, the log can't take it; the event still says it.
    with contextlib.suppress(OSError):
        print(detail, file=sys.stderr)
    return {
        "event": "error",
        "message": str(known) if known else f"{type(error).__name__}: {error}",
        "expected": known is not None,
        "change": known.change if known else {},
        "detail": detail,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
