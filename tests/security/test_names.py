"""What somebody calls a thing is text: it is kept as it was written or refused, and is no path."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import reverse

from annotations import services as annotation_services
from annotations.models import Import, Project, Prompt, User
from annotations.services import ServiceError
from training import services
from training.models import Checkpoint
from training.tests.factories import make_base_folder

NAMES = (
    "../../outside",
    "/tmp/outside",
    "..",
    "..\\outside",
    "%2e%2e%2foutside",
    "a#b?c&d",
    "~root",
    "-rf *",
    "CON",
    "frog\0",
    "frog\ud800",
    "frog\r\nSet-Cookie: a=b",
    "frog" * 100,
    "🐸 蛙",
    "\u202egorf\u2066",
    "<b>frog</b>",
)
OUR_FOLDERS = re.compile(r"projects(/\d+(/imports(/\d+(/file)?)?)?)?")

Door = Callable[[Project, str], str]


def project_called(project: Project, name: str) -> str:
    made = annotation_services.create_project(
        name=name, description="", created_by=project.created_by
    )
    return made.name


def base_called(project: Project, name: str) -> str:
    folder = make_base_folder(Path(settings.ARTIFACTS_ROOT).parent / "model")
    return services.register_base(project, str(folder), name, created_by=project.created_by).name


def endpoint_called(project: Project, name: str) -> str:
    server = services.Server("https://llm.example.org/v1", "llama-9", 5)
    services.add_endpoint(project, name, server, key="", created_by=project.created_by)
    return Checkpoint.objects.get(kind=Checkpoint.Kind.EXTERNAL).name


def file_called(project: Project, name: str) -> str:
    rows = [b'{"prompt": "A frog"}\n']
    return annotation_services.bring_file(project, name, rows, project.created_by).name


def rows_called(project: Project, name: str) -> str:
    row = json.dumps({"prompt": "A frog", "id": name, "tags": [name]}).encode()
    brought = annotation_services.bring_file(project, "f.jsonl", [row], project.created_by)
    annotation_services.start_import(brought)
    brought = annotation_services.run_import(brought)
    if brought.state == Import.State.REFUSED:
        raise ServiceError(brought.bad[0]["message"])
    prompt = Prompt.objects.get()
    assert prompt.tags == [prompt.external_id]
    return prompt.external_id


DOORS: tuple[Door, ...] = (project_called, base_called, endpoint_called, file_called, rows_called)


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotations.services.imports.go_on", lambda _: None)


@pytest.mark.parametrize("door", DOORS)
def test_a_name_is_kept_or_refused_and_leads_nowhere(
    project: Project, tmp_path: Path, door: Door
) -> None:
    beside = set(tmp_path.parent.iterdir())
    for name in NAMES:
        with transaction.atomic():
            kept = called(door, project, name)
            transaction.set_rollback(True)
        if door is file_called:
            last = "".join(filter(str.isprintable, name)).rpartition("/")[2]
            assert kept == last[:200] or kept == "file", ascii(name)
        elif kept is not None:
            assert kept == name
            assert "\0" not in name, "PostgreSQL does not keep it"
    root = Path(settings.ARTIFACTS_ROOT)
    lying = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    assert all(OUR_FOLDERS.fullmatch(path) for path in lying), lying
    assert {path.name for path in tmp_path.iterdir()} <= {"artifacts", "model"}
    assert set(tmp_path.parent.iterdir()) == beside


def called(door: Door, project: Project, name: str) -> str | None:
    """Return what came of a name, or None if it was refused."""
    try:
        return door(project, name)
    except (ServiceError, services.ServiceError):
        return None


def test_a_download_is_called_by_numbers(client: Client, project: Project, alice: User) -> None:
    Project.objects.filter(id=project.pk).update(name='"\r\nSet-Cookie: a=b; ../../x')
    client.force_login(alice)
    page = reverse("annotations:download", args=[project.pk, "prompts", "jsonl"])
    headers: Any = client.get(page).headers
    assert headers["Content-Disposition"] == (
        f'attachment; filename="project-{project.pk}-prompts.jsonl"'
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
