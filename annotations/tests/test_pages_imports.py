"""The pages of an import: see what a file was taken for, correct it, let it in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from annotations import services
from annotations.models import Annotation, Import, Project, Scope, User
from annotations.services.imported_files import file_of
from annotations.tests.test_api import Program

ROWS = [{"q": "<b>Frogs</b>", "one": "a", "two": "b", "best": person} for person in ("1", "2")]


@pytest.fixture
def alices(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def upload(client: Client, project: Project, name: str, content: bytes) -> Import:
    page = reverse("annotations:import", args=[project.pk])
    response = client.post(page, {"file": SimpleUploadedFile(name, content)})
    assert response.status_code == 303, response.text
    return Import.objects.latest("id")


def url(name: str, brought: Import) -> str:
    return reverse(f"annotations:{name}", args=[brought.pk])


@pytest.mark.parametrize("most_in_memory", [0, 10**6], ids=["large", "small"])
def test_a_file_is_kept_as_it_was_sent_and_nothing_of_it_elsewhere(
    alices: Client, project: Project, settings: Any, tmp_path: Path, most_in_memory: int
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = most_in_memory
    content = json.dumps(ROWS[0]).encode()
    brought = upload(alices, project, "votes.jsonl", content)
    assert file_of(brought).read_bytes() == content
    assert brought.size == len(content)
    assert not list(settings.FILE_UPLOAD_TEMP_DIR.iterdir())
    # The same bytes are the same batch, however they came.
    again = services.bring_file(project, "votes.jsonl", [content], project.created_by)
    assert again.batch == brought.batch


def test_a_file_that_does_not_arrive_says_so_until_it_goes(
    project: Project, tmp_path: Path
) -> None:
    file = tmp_path / "arrived"
    file.write_bytes(json.dumps(ROWS[0]).encode())
    with services.arrived_file_kept_aside(project, "a", file, "0", project.created_by):
        [left] = Import.objects.all()
        assert (left.state, "upload it again" in left.problem) == ("failed", True)
    assert not Import.objects.exists()
    assert not file_of(left).exists()


def test_the_proxy_is_told_who_may_send_a_file(
    client: Client, project: Project, alice: User, eve: User, bob: User, charlie: User
) -> None:
    address = reverse("annotations:may_import", args=[project.pk])
    assert client.get(address).status_code == 403
    for person, status in ((alice, 204), (eve, 204), (bob, 403), (charlie, 403)):
        client.force_login(person)
        assert client.get(address).status_code == status, person
    client.force_login(alice)
    assert client.post(address).status_code == 405
    other = services.create_project(name="Another", description="", created_by=eve)
    good, bad = Program(eve, project), Program(eve, project, scopes=(Scope.READ,))
    told = {good: 204, bad: 403, Program(eve, other): 403, Program(bob, project): 403}
    for program, status in told.items():
        headers = {"Authorization": f"Bearer {program.secret}"}
        # A token that is shown counts alone, whoever is signed in beside it.
        assert client.get(address, headers=headers).status_code == status
    assert client.get(address, headers={"Authorization": "Bearer x"}).status_code == 403


def test_a_file_is_looked_at_corrected_and_imported(alices, project):
    content = "\n".join(map(json.dumps, ROWS)).encode()
    brought = upload(alices, project, "../../etc/passwd.jsonl", content)
    assert brought.name == "passwd.jsonl"
    html = alices.get(url("import_file", brought)).text
    assert "No column is the prompt" in html
    columns = dict(zip(("q", "one", "two", "best"), range(4), strict=True))
    what = {"q": "prompt", "one": "left", "two": "right", "best": "winner"}
    fields = {f"column-{columns[name]}": target for name, target in what.items()}
    sent = {"format": "table", "annotator": "w1", **fields}
    response = alices.post(url("change_reading", brought), sent, follow=True)
    assert "A is better" in response.text
    assert "&lt;b&gt;Frogs" in response.text
    assert "<b>Frogs" not in response.text
    assert not Annotation.objects.exists()
    doubled = alices.post(url("change_reading", brought), {**sent, "column-1": "prompt"})
    assert doubled.status_code == 422
    assert "Two columns are" in doubled.text
    alices.post(url("change_reading", brought), {**sent, "start": "1"})
    assert "every 2s" in alices.get(url("import_file", brought)).text
    assert alices.get(url("import_progress", brought)).status_code == 200
    services.run_import(brought)
    assert alices.get(url("import_progress", brought))["HX-Refresh"] == "true"
    # Two votes of one person on one pair: the first stays.
    assert "Were there already" in alices.get(url("import_file", brought)).text
    assert Annotation.objects.count() == 1
    assert "passwd.jsonl" in alices.get(reverse("annotations:import", args=[project.pk])).text


def test_bad_lines_are_shown_and_can_be_left_out(alices, project):
    content = b'{"prompt": "a", "completion": "b"}\n{"prompt": "<i>"}\n'
    brought = upload(alices, project, "file.jsonl", content)
    alices.post(url("start_import", brought))
    services.run_import(brought)
    html = alices.get(url("import_file", brought)).text
    assert '<li value="2">' in html
    assert not Annotation.objects.exists()
    alices.post(url("start_import", brought), {"leave_out_bad": "1"})
    services.run_import(brought)
    assert Annotation.objects.count() == 1


def test_a_file_can_be_thrown_away(alices, project):
    brought = upload(alices, project, "file.jsonl", b'{"prompt": "a"}')
    assert alices.post(url("stop_import", brought)).status_code == 303
    brought.refresh_from_db()
    assert brought.state == Import.State.CANCELLED
    assert alices.get(url("import_file", brought)).status_code == 200
    assert alices.post(url("start_import", brought)).status_code == 303
    brought.refresh_from_db()
    assert brought.state == Import.State.CANCELLED


def test_an_empty_file_is_refused_in_words(alices, project):
    page = reverse("annotations:import", args=[project.pk])
    response = alices.post(page, {"file": SimpleUploadedFile("a.jsonl", b"")})
    assert response.status_code == 422
    assert "empty" in response.text


@pytest.mark.parametrize("username", ["bob", "carol", "charlie"])
def test_it_does_not_exist_for_others(client, alice, project, username):
    brought = services.bring_file(project, "a.jsonl", [b'{"prompt": "a"}'], alice)
    client.force_login(User.objects.get(username=username))
    for name in ("import_file", "import_progress"):
        assert client.get(url(name, brought)).status_code == 404
    for name in ("change_reading", "start_import", "stop_import"):
        assert client.post(url(name, brought)).status_code == 404
        assert client.get(url(name, brought)).status_code == 405
