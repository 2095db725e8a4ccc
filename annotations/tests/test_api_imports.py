"""Programs bring files in as people do: sent once, looked at, corrected, imported, or forgotten."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from io import BytesIO
from typing import Any, get_args

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import DjangoCaptureOnCommitCallbacks

from annotations import importers, services
from annotations.api import imports
from annotations.models import Annotation, Comparison, Import, Project, Prompt, User
from annotations.services import imported_files
from annotations.services.imported_files import folder_of
from annotations.services.imports import LEFT_ALONE_FOR, forget_imports
from annotations.tests.test_api import Program, problem_of

pytestmark = pytest.mark.django_db

VOTES = [{"q": f"Frog {n}", "one": "a", "two": "b", "best": "2"} for n in (1, 2)]


@pytest.fixture
def engineer(project: Project, eve: User) -> Program:
    return Program(eve, project)


def send(program: Program, project: Project, content: object, **changes: Any) -> Any:
    raw = content if isinstance(content, bytes) else "\n".join(map(json.dumps, content)).encode()
    kind = changes.pop("kind", "application/octet-stream")
    headers = {"Authorization": f"Bearer {program.secret}", **changes.pop("headers", {})}
    path = f"/api/v1/projects/{project.pk}/imports?name=votes.jsonl"
    return program.client.generic("POST", path, raw, content_type=kind, headers=headers, **changes)


def carried_out(program: Program, import_id: int, **how: bool) -> dict[str, Any]:
    assert program.post(f"imports/{import_id}/start", how).json()["state"] == "checking"
    services.run_import(Import.objects.get(id=import_id))
    found: dict[str, Any] = program.get(f"imports/{import_id}").json()
    return found


def test_a_program_looks_at_a_file_corrects_it_and_imports_it_once(
    engineer: Program, project: Project
) -> None:
    sent = send(engineer, project, VOTES, headers={"Idempotency-Key": "votes-1"})
    again = send(engineer, project, VOTES, headers={"Idempotency-Key": "votes-1"})
    assert (sent.status_code, again.json()) == (201, sent.json())
    brought = sent.json()["id"]
    other = send(engineer, project, VOTES[:1], headers={"Idempotency-Key": "votes-1"})
    problem_of(other, 409, "key-used")
    preview = engineer.get(f"imports/{brought}/preview").json()
    assert {one["name"]: one["example"] for one in preview["columns"]} == VOTES[0]
    assert "No column is the prompt" in preview["errors"][0]["message"]
    columns = {"prompt": "q", "left": "one", "right": "two", "winner": "best"}
    for wrong, words in (({"prompt": "x"}, "no column x"), ({**columns, "id": "q"}, "twice")):
        refused = engineer.ask("PATCH", f"imports/{brought}", {"columns": wrong})
        assert words in problem_of(refused, 409, "not-possible")["detail"]
    engineer.ask("PATCH", f"imports/{brought}", {"columns": columns, "annotator": "w1"})
    preview = engineer.get(f"imports/{brought}/preview").json()
    assert [one["target"] for one in preview["columns"]] == ["prompt", "left", "right", "winner"]
    assert preview["records"][0]["completions"][1] == {"letter": "B", "text": "b"}
    assert preview["records"][0]["said"] == [{"annotator": "w1", "words": "B is better"}]
    assert carried_out(engineer, brought)["written"]["annotations"] == 2
    second = send(engineer, project, VOTES).json()["id"]
    engineer.ask("PATCH", f"imports/{second}", {"columns": columns, "annotator": "w1"})
    assert carried_out(engineer, second)["written"] == {"duplicates": 2}
    assert (Prompt.objects.count(), Comparison.objects.count()) == (2, 2)
    listed = engineer.get(f"projects/{project.pk}/imports?state=done").json()["items"]
    assert [one["id"] for one in listed] == [second, brought]


def test_bad_lines_are_told_by_number_before_anything_is_written(
    engineer: Program, project: Project
) -> None:
    brought = send(engineer, project, [{"prompt": "a", "completion": "b"}, {"prompt": ""}]).json()
    refused = carried_out(engineer, brought["id"])
    assert (refused["state"], refused["bad_lines"], refused["written"]) == ("refused", 1, {})
    assert [error["line"] for error in refused["errors"]] == [2]
    assert not Annotation.objects.exists()
    assert carried_out(engineer, brought["id"], leave_out_bad=True)["state"] == "done"
    assert Annotation.objects.count() == 1


def test_a_file_that_is_not_wanted_goes_and_so_does_one_that_was_left_alone(
    engineer: Program,
    project: Project,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    unwanted, left, over, fresh = (send(engineer, project, VOTES).json()["id"] for _ in range(4))
    long_ago = timezone.now() - LEFT_ALONE_FOR - timedelta(minutes=1)
    Import.objects.filter(id=left).update(created_at=long_ago)
    # Whoever ended it was killed before the file was gone.
    Import.objects.filter(id=over).update(state="done", ended_at=timezone.now())
    with django_capture_on_commit_callbacks(execute=True):
        assert engineer.post(f"imports/{unwanted}/cancel").json()["state"] == "cancelled"
        forget_imports()
    there = [one.pk for one in Import.objects.order_by("id") if folder_of(one).exists()]
    assert there == [fresh]
    found = engineer.get(f"imports/{left}").json()
    assert (found["state"], "its file is gone" in found["problem"]) == ("cancelled", True)
    for path, body in (("start", {}), ("preview", None)):
        ask = engineer.get if body is None else engineer.post
        problem_of(ask(f"imports/{left}/{path}"), 409, "not-possible")


def test_a_file_is_taken_whole_or_not_at_all(
    engineer: Program, project: Project, bob: User
) -> None:
    half = {"wsgi.input": BytesIO(b'{"prompt"'), "CONTENT_LENGTH": "99"}
    problem_of(send(engineer, project, b"x", **half), 400, "malformed")
    problem_of(send(engineer, project, b"x", HTTP_TRANSFER_ENCODING="chunked"), 400, "malformed")
    problem_of(send(engineer, project, b"x", CONTENT_LENGTH=str(2**31 + 1)), 413, "too-large")
    problem_of(send(engineer, project, b"x", kind="text/csv"), 415, "wrong-media-type")
    empty = {"wsgi.input": BytesIO(), "CONTENT_LENGTH": "0"}
    problem_of(send(engineer, project, b"x", **empty), 409, "not-possible")
    # Who may not is told so before anything is read.
    problem_of(send(Program(bob, project), project, b"x", kind="text/csv"), 404, "not-found")
    assert not Import.objects.exists()


def test_what_a_killed_upload_left_is_in_nobodys_way(engineer: Program, project: Project) -> None:
    first = Import.objects.get(id=send(engineer, project, VOTES).json()["id"])
    folder = folder_of(first).parent
    hours = {"incoming-old": 25, "incoming-new": 1, f"{first.pk + 1}": 0, "98": 25, "99": 1}
    for name, old in hours.items():
        (folder / name / "file").mkdir(parents=True)
        os.utime(folder / name, (time.time() - 3600 * old,) * 2)
    brought = send(engineer, project, VOTES).json()["id"]
    forget_imports()
    names = {str(first.pk), str(brought), "incoming-new", "99"}
    assert {path.name for path in folder.iterdir()} == names
    assert engineer.get(f"imports/{brought}/preview").json()["columns"]


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_while_a_file_is_kept_aside(
    engineer: Program, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, inside = imported_files.look_at, []

    def looking(*arguments: Any) -> Any:
        inside.append(connection.in_atomic_block)
        return look(*arguments)

    monkeypatch.setattr(imported_files, "look_at", looking)
    sent = send(engineer, project, VOTES, headers={"Idempotency-Key": "votes-1"})
    assert (sent.status_code, inside) == (201, [False])


def test_a_file_that_somebody_corrects_is_not_left_alone(
    engineer: Program, project: Project
) -> None:
    brought = send(engineer, project, VOTES).json()["id"]
    Import.objects.update(created_at=timezone.now() - 2 * LEFT_ALONE_FOR)
    engineer.ask("PATCH", f"imports/{brought}", {"annotator": "w1"})
    forget_imports()
    assert Import.objects.get().state == "shown"


def test_columns_that_the_first_rows_lack_are_named_or_are_nothing(
    engineer: Program, project: Project
) -> None:
    tasks = [{"data": {"prompt": "q", "answer1": "a", "answer2": "b"}}]
    content = json.dumps(tasks).encode()
    brought = send(engineer, project, content).json()
    unseen = {
        what: name for what, name in brought["columns"].items() if name not in tasks[0]["data"]
    }
    assert unseen
    columns = {"prompt": "prompt", "left": next(iter(unseen.values()))}
    changed = engineer.ask("PATCH", f"imports/{brought['id']}", {"columns": columns}).json()
    assert changed["columns"] == columns


def test_what_no_answer_can_hold_is_no_reason_to_fail(engineer: Program, project: Project) -> None:
    rows = rb'{"prompt": "a\ud800", "\udfff": 1, "\u0000": 2, "note": "b\ud800"}'
    brought = send(engineer, project, rows).json()["id"]
    preview = engineer.get(f"imports/{brought}/preview").json()
    columns = [(one["name"], one["example"]) for one in preview["columns"]]
    assert columns == [("prompt", "a\ufffd"), ("note", "b\ufffd")]
    assert "half a character" in preview["errors"][0]["message"]


def test_the_document_knows_every_format_and_all_that_a_column_can_be() -> None:
    assert get_args(imports.Format) == tuple(importers.FORMATS)
    assert get_args(imports.Target) == tuple(importers.TARGETS)
