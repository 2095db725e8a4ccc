"""The version of the platform, of which pyproject.toml is the only place."""

from __future__ import annotations

import tomllib
from pathlib import Path

from django.http import HttpRequest


def read_version(pyproject: Path) -> str:
    """Return the version that a pyproject.toml names."""
    project: dict[str, str] = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    return project["version"]


VERSION = read_version(Path(__file__).resolve().parent.parent / "pyproject.toml")


def shown(request: HttpRequest) -> dict[str, str]:
    """Give every page the version, which stands at its foot."""
    return {"platform_version": VERSION}
