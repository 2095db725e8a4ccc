"""Children that begin as a copy of this process, which has loaded the libraries already.

A child of its own spends nine seconds of a core on loading them; a copy begins at once. It is a
process like any other: of its own session, with its own streams, to be stopped and killed.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import IO, Any

import pytest

import training.pipeline
from training import supervisor


class ForkedChild(subprocess.Popen[Any]):
    """`python -m MODULE ARGUMENTS…`, as a copy of this process."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        preexec_fn: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        python, option, module, *arguments = command
        assert (python, option) == (sys.executable, "-m"), command

        def become() -> None:
            """Never return: Popen would go on to start the program."""
            if preexec_fn is not None:
                preexec_fn()
            # One of them is what Popen waits at until the program has started.
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            os._exit(_run(module, arguments, env))

        load()
        super().__init__(command, preexec_fn=become, **options)


def load() -> None:
    """Import what children need, so that they find it."""
    for module in pkgutil.iter_modules(training.pipeline.__path__, "training.pipeline."):
        importlib.import_module(module.name)


def _run(module: str, arguments: list[str], env: Mapping[str, str] | None) -> int:
    log: IO[str] | None = None
    try:
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.stderr = log = os.fdopen(2, "w", buffering=1)
        if env is not None:
            os.environ.clear()
            os.environ.update(env)
        import torch

        torch.set_num_threads(1)  # those of the process that was copied are not here
        found = importlib.import_module(module)
        if hasattr(found, "__path__"):
            found = importlib.import_module(f"{module}.__main__")
        status: int = found.main(*arguments)
    except BaseException:  # whatever it is, the process ends here
        traceback.print_exc(file=log)
        status = 1
    if log is not None:
        log.flush()
    return status


@pytest.fixture
def forked_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the supervisor start copies of this process."""
    popen = SimpleNamespace(**{**vars(subprocess), "Popen": ForkedChild})
    monkeypatch.setattr(supervisor, "subprocess", popen)
