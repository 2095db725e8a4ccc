"""Copies elsewhere: whole or absent, with every hash looked at, and nowhere they may not be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import fsspec
import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from fsspec.implementations.memory import MemoryFileSystem

from annotations.models import Project, User
from training import artifacts, pushes, services, tasks
from training.models import AuditEntry, Checkpoint, DatasetSnapshot, Push
from training.pipeline import pushing
from training.pipeline.checkpoints import is_whole
from training.pipeline.errors import PipelineError, RunStopped
from training.services import ServiceError
from training.tests.factories import make_base, make_checkpoint, make_snapshot
from training.tests.hub import TOKEN, FakeHub, fake_hub

State = Push.State


@pytest.fixture
def outside(settings: Any, tmp_path: Path) -> Path:
    """Return a folder that may be pushed to."""
    folder = tmp_path / "outside"
    folder.mkdir()
    settings.PUSH_TARGETS = [str(folder), "memory://bucket"]
    return folder


@pytest.fixture
def checkpoint(project: Project, outside: Path) -> Checkpoint:
    return make_checkpoint(project)


def pushed(subject: Checkpoint | DatasetSnapshot, url: object, user: User) -> Push:
    """Push something as a worker does; return how it ended."""
    if isinstance(subject, Checkpoint):
        push = services.push_checkpoint(subject, str(url), started_by=user)
    else:
        push = services.push_snapshot(subject, str(url), started_by=user)
    tasks.push(push.pk)
    push.refresh_from_db()
    return push


def frozen(project: Project) -> DatasetSnapshot:
    """Return a snapshot whose hash is that of its rows."""
    snapshot = make_snapshot(project)
    rows = artifacts.snapshot_rows(snapshot)
    (rows.parent / "manifest.json").write_text("{}")
    snapshot.sha256 = hashlib.sha256(rows.read_bytes()).hexdigest()
    snapshot.save()
    return snapshot


def test_a_checkpoint_lies_there_whole_with_its_card(
    checkpoint: Checkpoint, outside: Path, eve: User
) -> None:
    push = pushed(checkpoint, outside / "models" / "first", eve)
    there = outside / "models" / "first"
    assert (push.state, push.error, push.percent) == (State.SUCCEEDED, "", 100)
    assert is_whole(there)
    assert checkpoint.name in (there / "README.md").read_text()
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in there.iterdir()}
    assert push.result["files"] == hashes
    entry = AuditEntry.objects.get(action="pushed")
    assert (entry.user, entry.subject_id, entry.facts["files"]) == (eve, checkpoint.pk, hashes)
    assert [path.name for path in (outside / "models").iterdir()] == ["first"]


def test_a_snapshot_lies_on_an_object_store_with_its_manifest_last(
    project: Project, outside: Path, eve: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    original = MemoryFileSystem.open

    def noted(self: Any, path: str, mode: str = "rb", **rest: Any) -> Any:
        written.extend([path.rpartition("/")[2]] if mode == "wb" else [])
        return original(self, path, mode, **rest)

    monkeypatch.setattr(MemoryFileSystem, "open", noted)
    snapshot = frozen(project)
    push = pushed(snapshot, "memory://bucket/data/one", eve)
    assert push.state == State.SUCCEEDED, push.error
    assert written == ["rows.jsonl", "manifest.json"]
    there = fsspec.filesystem("memory").cat("/bucket/data/one/rows.jsonl")
    assert there == artifacts.snapshot_rows(snapshot).read_bytes()
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def test_what_is_delivered_twice_is_copied_once(
    checkpoint: Checkpoint, outside: Path, eve: User
) -> None:
    first = pushed(checkpoint, outside / "one", eve)
    before = {path: path.stat().st_mtime_ns for path in (outside / "one").iterdir()}
    tasks.push(first.pk)
    again = pushed(checkpoint, outside / "one", eve)
    assert again.state == State.SUCCEEDED
    assert {path: path.stat().st_mtime_ns for path in (outside / "one").iterdir()} == before
    assert AuditEntry.objects.filter(action="pushed").count() == 2


def test_it_writes_over_nothing(checkpoint: Checkpoint, outside: Path, eve: User) -> None:
    (outside / "one").mkdir()
    (outside / "one" / "theirs").write_text("kept")
    push = pushed(checkpoint, outside / "one", eve)
    assert push.state == State.FAILED
    assert "something else" in push.error
    assert [path.name for path in (outside / "one").iterdir()] == ["theirs"]


def test_a_file_that_changed_here_is_not_copied(
    checkpoint: Checkpoint, project: Project, outside: Path, eve: User
) -> None:
    weights = artifacts.checkpoint_folder(checkpoint) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"!")
    snapshot = frozen(project)
    rows = artifacts.snapshot_rows(snapshot)
    rows.write_text(rows.read_text() + "{}\n")
    for subject in (checkpoint, snapshot):
        push = pushed(subject, outside / "one", eve)
        assert push.state == State.FAILED
        assert "its hash is another" in push.error
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("scheme", ["disk", "store"])
def test_a_file_that_arrives_damaged_leaves_nothing_there(
    checkpoint: Checkpoint, outside: Path, eve: User, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Its last file is damaged, when all others have arrived."""
    real = pushing._hash_there

    def damaged(fs: Any, target: str, progress: Any) -> str:
        found = real(fs, target, progress)
        return "0" * 64 if target.endswith("manifest.json") else found

    monkeypatch.setattr(pushing, "_hash_there", damaged)
    push = pushed(checkpoint, outside / "one" if scheme == "disk" else "memory://bucket/one", eve)
    assert push.state == State.FAILED
    assert "did not arrive" in push.error
    assert list(outside.iterdir()) == []
    assert not fsspec.filesystem("memory").find("/bucket")


def test_one_that_is_stopped_leaves_nothing_there(
    checkpoint: Checkpoint, outside: Path, eve: User
) -> None:
    push = services.push_checkpoint(checkpoint, str(outside / "one"), started_by=eve)
    attempt = pushes.claim(push.pk)
    assert attempt == 1
    services.cancel_push(push, cancelled_by=eve)
    progress = pushing.Progress(10)
    assert not pushes._tell(push.pk, attempt, progress)
    progress.stop.set()
    pieces = pushing.pieces_of(artifacts.checkpoint_folder(checkpoint), {})
    with pytest.raises(RunStopped):
        pushing.push_to_url(pieces, push.url, progress)
    pushes._stopped(push.pk, attempt)
    push.refresh_from_db()
    assert push.state == State.CANCELLED
    assert list(outside.iterdir()) == []
    waiting = services.push_checkpoint(checkpoint, str(outside / "one"), started_by=eve)
    services.cancel_push(waiting, cancelled_by=eve)
    assert pushes.claim(waiting.pk) is None


def test_a_lost_worker_is_followed_by_another_and_three_are_enough(
    checkpoint: Checkpoint, outside: Path, eve: User
) -> None:
    push = services.push_checkpoint(checkpoint, str(outside / "one"), started_by=eve)
    row = Push.objects.filter(pk=push.pk)
    for _ in range(2):
        attempt = pushes.claim(push.pk) or 0
        (outside / "one.part").mkdir(exist_ok=True)
        (outside / "one.part" / "README.md").write_text("half")
        row.update(heartbeat_at=Now() - 2 * pushes.SILENCE)
        pushes.reap()
        assert row.get().state == State.QUEUED
        assert not pushes._end(push.pk, attempt, State.FAILED, error="superseded")
        assert pushes.due_for_hint() == [push.pk]
    tasks.push(push.pk)
    assert row.get().state == State.SUCCEEDED
    assert [path.name for path in outside.iterdir()] == ["one"]
    assert is_whole(outside / "one")
    last = services.push_checkpoint(checkpoint, str(outside / "two"), started_by=eve)
    Push.objects.filter(pk=last.pk).update(times_lost=2)
    pushes.claim(last.pk)
    Push.objects.filter(pk=last.pk).update(heartbeat_at=Now() - 2 * pushes.SILENCE)
    pushes.reap()
    last.refresh_from_db()
    assert last.state == State.FAILED
    assert "three times" in last.error


# Where to


@pytest.mark.parametrize(
    "url",
    [
        "/etc/one",
        "{outside}",
        "{outside}/",
        "{outside}/../elsewhere",
        "{outside}/a/../../elsewhere",
        "{outside}side/one",
        "{outside}//one",
        "{outside}/a::file:///etc/one",
        "memory://bucket",
        "memory://buckets/one",
        "s3://bucket/one",
        "hf://alice/haiku",
    ],
)
def test_it_pushes_nowhere_but_below_what_is_set(
    checkpoint: Checkpoint, outside: Path, eve: User, url: str
) -> None:
    with pytest.raises(ServiceError):
        services.push_checkpoint(checkpoint, url.format(outside=outside), started_by=eve)


def test_it_pushes_nothing_that_was_not_made_here_or_is_on_its_way(
    checkpoint: Checkpoint, project: Project, outside: Path, eve: User
) -> None:
    with pytest.raises(ServiceError, match="not made here"):
        services.push_checkpoint(
            make_base(project, name="other"), str(outside / "one"), started_by=eve
        )
    services.push_checkpoint(checkpoint, str(outside / "one"), started_by=eve)
    with pytest.raises(ServiceError, match="already"):
        services.push_checkpoint(checkpoint, str(outside / "one"), started_by=eve)


def test_a_file_system_that_is_not_installed_is_told(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="gcsfs"):
        pushing.push_to_url([], "gcs://bucket/one", pushing.Progress(0))


# A hub


@pytest.fixture
def hub(settings: Any, monkeypatch: pytest.MonkeyPatch, outside: Path) -> Iterator[FakeHub]:
    import huggingface_hub.constants

    # The fake speaks the hub's older protocol for large files.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(
        huggingface_hub.constants, "HF_HUB_OFFLINE", huggingface_hub.constants.HF_HUB_OFFLINE
    )
    with fake_hub() as running:
        settings.PUSH_HUB_TOKEN, settings.PUSH_HUB_URL = TOKEN, running.url
        yield running


def test_a_checkpoint_is_one_commit_to_a_private_repository(
    checkpoint: Checkpoint, hub: FakeHub, eve: User
) -> None:
    push = pushed(checkpoint, "hf://alice/haiku", eve)
    assert push.state == State.SUCCEEDED, push.error
    folder = artifacts.checkpoint_folder(checkpoint)
    for name in ("adapter_model.safetensors", "manifest.json"):
        assert hub.files[name] == (folder / name).read_bytes()
    assert checkpoint.name in hub.files["README.md"].decode()
    assert hub.repos[0]["visibility"] == "private"
    assert [path for path in hub.asked if "/commit/" in path] == [
        "/api/models/alice/haiku/commit/main"
    ]
    assert push.result["address"].startswith(f"{hub.url}/alice/haiku/commit/")
    assert TOKEN not in json.dumps(push.result) + AuditEntry.objects.get(action="pushed").reason


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "manifest.json"])
def test_a_file_that_a_hub_keeps_otherwise_is_told(
    checkpoint: Checkpoint, hub: FakeHub, eve: User, name: str
) -> None:
    hub.damaged = name
    push = pushed(checkpoint, "hf://alice/haiku", eve)
    assert push.state == State.FAILED
    assert f"{name} lies at" in push.error


def test_a_hub_that_refuses_the_token_is_told_in_words(
    project: Project, hub: FakeHub, settings: Any, eve: User
) -> None:
    settings.PUSH_HUB_TOKEN = "hf_other"
    push = pushed(frozen(project), "hf://alice/haiku", eve)
    assert push.state == State.FAILED
    assert "401" in push.error
    assert "hf_other" not in push.error
    assert hub.files == {}


# Pages and the command


def address(name: str, pk: int) -> str:
    return reverse(f"training:{name}", args=[pk])


def test_an_engineer_pushes_watches_and_stops(
    client: Client, checkpoint: Checkpoint, project: Project, outside: Path, eve: User
) -> None:
    client.force_login(eve)
    assert "Push…" in client.get(address("checkpoint", checkpoint.pk)).content.decode()
    page = address("push_checkpoint", checkpoint.pk)
    assert str(outside) in client.get(page).content.decode()
    refused = client.post(page, {"url": "/etc/one"})
    assert refused.status_code == 422
    assert "begins with" in refused.content.decode()
    assert client.post(page, {"url": f"{outside}/one"}).status_code == 302
    status = address("checkpoint_pushes_status", checkpoint.pk)
    assert "queued" in client.get(status).content.decode()
    client.post(address("cancel_push", Push.objects.get().pk))
    assert "cancelled" in client.get(page).content.decode()
    snapshot = frozen(project)
    assert "Push…" in client.get(address("snapshot", snapshot.pk)).content.decode()
    push = pushed(snapshot, outside / "two", eve)
    shown = client.get(address("push_snapshot", snapshot.pk)).content.decode()
    assert push.result["files"]["rows.jsonl"] in shown


def test_without_a_target_the_page_says_what_is_missing(
    client: Client, project: Project, settings: Any, eve: User
) -> None:
    settings.PUSH_TARGETS = []
    client.force_login(eve)
    checkpoint = make_checkpoint(project)
    page = address("push_checkpoint", checkpoint.pk)
    assert "PUSH_TARGETS" in client.get(page).content.decode()
    assert "PUSH_TARGETS" in client.post(page, {"url": "/tmp/one"}).content.decode()


def test_the_command_pushes_for_those_who_may(
    checkpoint: Checkpoint, outside: Path, eve: User, bob: User
) -> None:
    said = StringIO()
    target = str(outside / "one")
    with pytest.raises(CommandError, match="sees no checkpoint"):
        call_command("push", "checkpoint", str(checkpoint.pk), target, "--as", "bob")
    call_command("push", "checkpoint", str(checkpoint.pk), target, "--as", "eve", stdout=said)
    assert f"{checkpoint.name} lies at {target}" in said.getvalue()
    assert is_whole(outside / "one")
