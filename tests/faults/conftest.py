"""The machine on which the fault tests run their workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from labelstudio_llm import broker
from tests.faults.machine import Machine, database_url
from training import tasks

STEPS = 12


@pytest.fixture
def machine(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    folder = tmp_path / "var"
    folder.mkdir()
    url = broker.socket_url(folder)
    monkeypatch.setattr(tasks.execute_run.app.conf, "broker_url", url)
    settings.RUN_SILENCE_SECONDS = 4
    started = Machine(
        folder,
        {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "VAR_DIR": str(folder),
            "DATABASE_URL": database_url(),
            "ARTIFACTS_URL": str(django_settings.ARTIFACTS_ROOT),
            "REDIS_URL": url,
            "SECRET_KEY": "only-for-tests-" * 4,
            "SCRIPTED": "works",
            "SCRIPTED_STEPS": str(STEPS),
            "SCRIPTED_STEP_S": "0.3",
            "PYTHONPATH": str(Path.cwd()),
        },
    )
    started.start_broker()
    yield started
    started.end()
