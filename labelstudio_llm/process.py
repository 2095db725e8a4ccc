"""Become one of the processes of the Procfile: `python -m labelstudio_llm.process web`.

systemd units and containers name a process and nothing else, so that its command stands in one
place. This process becomes that program: a signal reaches it and nobody between.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from honcho.environ import parse_procfile

PROCFILE = Path(__file__).resolve().parent.parent / "Procfile"


def commands() -> dict[str, str]:
    """Return the processes of the Procfile and their commands."""
    return dict(parse_procfile(PROCFILE.read_text(encoding="utf-8")).processes)


def read_settings() -> None:
    """End with the one sentence that helps, which each program would bury in pages of its own.

    What writes lines before it reads settings, or without, is told how they are written.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labelstudio_llm.settings")
    try:
        os.environ["LOG_FORMAT"] = settings.LOG_FORMAT
    except ImproperlyConfigured as error:
        sys.exit(str(error))


def main(arguments: list[str]) -> None:
    """Become the process that is named."""
    known = commands()
    if len(arguments) != 1 or arguments[0] not in known:
        sys.exit(f"Name one of the processes of the Procfile: {', '.join(known)}.")
    if arguments[0] != "broker":
        read_settings()
    # The Procfile names its programs plainly: they are those of this virtual environment.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.chdir(PROCFILE.parent)
    os.execve("/bin/sh", ["/bin/sh", "-c", known[arguments[0]]], {**os.environ, "PATH": path})


if __name__ == "__main__":
    main(sys.argv[1:])
