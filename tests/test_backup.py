"""A backup is one state and comes back as it was, checked by hash."""

from __future__ import annotations

import json
import resource
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from annotations import queue
from annotations import services as annotation_services
from annotations.models import Annotation, Comparison, Project, User
from annotations.tests.factories import make_demonstration, make_item, make_prompt
from labelstudio_llm.backups import making, tables
from training import artifacts, removal
from training.models import Checkpoint
from training.pipeline.checkpoints import file_sha256, is_whole
from training.tests.factories import make_checkpoint, make_run, make_snapshot

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def work(project: Project, bob: User) -> Project:
    """Return a project with answers, models and texts that are no plain ASCII."""
    make_demonstration(project, bob, "an old pond\r\na frog 🐸\nsplash\t\u2028'\"\\")
    make_prompt(project, messages=[{"role": "user", "content": "z before a", "a": [1.0, None]}])
    make_item(project)
    answer(project, bob)
    make_run(project, snapshot=make_snapshot(project), parent=make_checkpoint(project))
    return project


def answer(project: Project, person: User) -> None:
    assignment = queue.lease_next(person, project, "comparison")
    assert assignment is not None
    annotation_services.submit_comparison(assignment, "left", "better")


def digests() -> dict[str, Any]:
    return {tables.name_of(table): tables.digest_of(table) for table in tables.tables()}


def files() -> dict[str, str]:
    root = artifacts.root()
    found = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): file_sha256(path) for path in found}


def test_what_is_restored_is_what_was_there_and_others_are_told_from_it(
    work: Project, bob: User, tmp_path: Path, capsys: Any
) -> None:
    rows, there = digests(), files()
    target = str(tmp_path / "backup")
    call_command("backup", target)
    told = capsys.readouterr()
    assert file_sha256(tmp_path / "backup" / "manifest.json") in told.out
    assert not (tmp_path / "backup").stat().st_mode & 0o077
    with pytest.raises(CommandError, match="not empty"):
        call_command("backup", target)

    make_item(work)
    answer(work, bob)
    (artifacts.root() / next(iter(there))).write_text("changed")
    with pytest.raises(CommandError, match="--replace"):
        call_command("restore", target)
    assert digests() != rows
    call_command("restore", target, "--replace")
    assert digests() == rows
    assert files() == there
    assert "lie in" in capsys.readouterr().err, "what was replaced is moved aside"

    make_item(work)  # numbered behind what was restored
    answer(work, bob)


def test_a_place_that_cannot_be_written_to_is_told_in_words(work: Project, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"can't be written to, .* Look at the address"):
        call_command("backup", str(tmp_path / "file" / "backup"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # as a disk without room
    try:
        with pytest.raises(CommandError, match=r"no backup .* Look at the address, at the room"):
            call_command("backup", str(tmp_path / "backup"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(CommandError, match="no whole backup"):
        call_command("restore", str(tmp_path / "backup"), "--replace")


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def make_older(manifest: Path) -> None:
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"schema": ["a.0001"]}))


@pytest.mark.slow
@pytest.mark.long
def test_a_damaged_backup_changes_nothing(work: Project, tmp_path: Path) -> None:
    making.back_up(str(tmp_path / "backup"))
    rows, there = digests(), files()
    harms: list[tuple[str, Callable[[Path], object], str]] = [
        ("artifacts/**/adapter_model.safetensors", flip, "its hash is another"),
        ("artifacts/**/adapter_model.safetensors", Path.unlink, "can't be read"),
        ("database/annotations_annotation.jsonl", flip, "its hash is another"),
        ("manifest.json", Path.unlink, "no whole backup"),
        ("manifest.json", make_older, "then upgrade"),
    ]
    for number, (pattern, harm, words) in enumerate(harms):
        target = tmp_path / str(number)
        shutil.copytree(tmp_path / "backup", target)
        harm(next(target.glob(pattern)))
        with pytest.raises(CommandError, match=words):
            call_command("restore", str(target), "--replace")
        assert (digests(), files()) == (rows, there)


@pytest.mark.slow
def test_a_backup_is_one_state_while_people_label_and_runs_publish(
    work: Project, bob: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer is an annotation and its comparison; each model is there before its row."""
    for _ in range(25):
        make_item(work)
    stop, begun = threading.Event(), threading.Event()

    def label() -> None:
        try:
            for number in range(25):
                if stop.is_set():
                    break
                assignment = queue.lease_next(bob, work, "comparison")
                if assignment is not None:
                    annotation_services.submit_comparison(assignment, "left", "better")
                if number % 5 == 0:
                    make_checkpoint(work)
                begun.set()
        finally:
            begun.set()
            connection.close()

    written = tables.rows_of

    def read_slowly(table: tables.Table) -> Any:
        yield from written(table)
        begun.wait(20)

    monkeypatch.setattr(tables, "rows_of", read_slowly)
    person = threading.Thread(target=label)
    person.start()
    making.back_up(str(tmp_path / "backup"))
    stop.set()
    person.join()
    monkeypatch.undo()
    call_command("restore", str(tmp_path / "backup"), "--replace")
    compared = Annotation.objects.filter(kind="comparison")
    assert compared.count() == Comparison.objects.count()
    made = Checkpoint.objects.exclude(kind=Checkpoint.Kind.BASE)
    assert made.exists()
    assert all(is_whole(artifacts.checkpoint_folder(checkpoint)) for checkpoint in made)


@pytest.mark.slow
def test_a_model_that_is_deleted_meanwhile_spoils_the_backup(
    work: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed = make_checkpoint(work)
    copy = making._copy_store

    def delete_first(archive: Any) -> Any:
        Checkpoint.objects.filter(pk=doomed.pk).delete()
        removal.remove(doomed.path)
        return copy(archive)

    monkeypatch.setattr(making, "_copy_store", delete_first)
    with pytest.raises(CommandError, match="was deleted while"):
        call_command("backup", str(tmp_path / "backup"))
    assert not (tmp_path / "backup" / "manifest.json").exists()
