"""Deleting checkpoints and snapshots: refused while something depends on them, whole otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotations.models import Project, User
from annotations.tests.factories import make_completion, make_prompt
from training import artifacts, removal, services
from training.models import AuditEntry, Checkpoint, DatasetSnapshot, Evaluation, Round
from training.services import ServiceError
from training.tests.factories import make_base, make_checkpoint, make_run, make_snapshot


@pytest.fixture
def engineer(client: Client, eve: User) -> Client:
    client.force_login(eve)
    return client


def delete(client: Client, subject: Any, reason: str = "Spoilt.") -> Any:
    name = "checkpoint" if isinstance(subject, Checkpoint) else "snapshot"
    return client.post(reverse(f"training:delete_{name}", args=[subject.pk]), {"reason": reason})


def test_a_checkpoint_goes_with_its_files_and_leaves_a_line_in_the_log(
    engineer: Client,
    project: Project,
    eve: User,
    django_capture_on_commit_callbacks: Any,
) -> None:
    checkpoint = make_checkpoint(project, manifest={"files": {"a": "hash"}})
    folder = artifacts.checkpoint_folder(checkpoint)
    assert folder.is_dir()
    with django_capture_on_commit_callbacks(execute=True):
        assert delete(engineer, checkpoint).status_code == 302
    assert not Checkpoint.objects.filter(pk=checkpoint.pk).exists()
    assert list(folder.parent.iterdir()) == []
    entry = AuditEntry.objects.get()
    assert (entry.user, entry.action, entry.subject_name) == (eve, "deleted", checkpoint.name)
    assert (entry.reason, entry.facts["files"]) == ("Spoilt.", {"a": "hash"})


def test_a_snapshot_goes_and_its_annotations_stay(
    engineer: Client, project: Project, django_capture_on_commit_callbacks: Any
) -> None:
    snapshot = make_snapshot(project)
    with django_capture_on_commit_callbacks(execute=True):
        delete(engineer, snapshot)
    assert not DatasetSnapshot.objects.exists()
    assert not artifacts.snapshot_folder(snapshot).exists()


def test_it_names_what_depends_on_a_checkpoint(project: Project, eve: User) -> None:
    checkpoint = make_checkpoint(project, name="needed")
    make_checkpoint(project, name="heir", parent=checkpoint)
    make_run(project, parent=checkpoint)
    services.promote_checkpoint(checkpoint, promoted_by=eve, reason="The first.")
    make_completion(make_prompt(project), checkpoint=checkpoint)
    Round.objects.create(project=project, number=1, policy=checkpoint)
    rival = make_checkpoint(project, name="rival")
    run = make_run(project, "sample", state="succeeded", ended_at=timezone.now())
    Evaluation.objects.create(project=project, child=rival, parent=checkpoint, run=run, batch="e")
    with pytest.raises(ServiceError) as refusal:
        services.delete_checkpoint(checkpoint, deleted_by=eve, reason="Spoilt.")
    for words in ("heir", "Run", "needed promoted", "rival against needed", "Round 1", "wrote: 1"):
        assert words in str(refusal.value)
    assert Checkpoint.objects.filter(pk=checkpoint.pk).exists()
    assert not AuditEntry.objects.filter(action="deleted").exists()


def test_it_names_the_runs_on_a_snapshot(engineer: Client, project: Project) -> None:
    run = make_run(project)
    assert run.snapshot is not None
    page = engineer.get(reverse("training:delete_snapshot", args=[run.snapshot_id]))
    assert str(run) in page.content.decode()
    assert "for good" not in page.content.decode()
    response = delete(engineer, run.snapshot)
    assert response.status_code == 422
    assert "Delete those first" in response.content.decode()


def test_it_asks_for_a_reason(engineer: Client, project: Project) -> None:
    checkpoint = make_checkpoint(project)
    response = delete(engineer, checkpoint, " ")
    assert response.status_code == 422
    assert "Say why" in response.content.decode()
    assert Checkpoint.objects.filter(pk=checkpoint.pk).exists()


def test_the_files_of_a_base_model_stay(
    engineer: Client, project: Project, django_capture_on_commit_callbacks: Any
) -> None:
    base = make_base(project)
    with django_capture_on_commit_callbacks(execute=True):
        delete(engineer, base)
    assert not Checkpoint.objects.exists()
    assert Path(base.path, "config.json").is_file()


def test_what_a_crash_left_is_swept_away(project: Project, eve: User) -> None:
    checkpoint = make_checkpoint(project)
    folder = artifacts.checkpoint_folder(checkpoint)
    services.delete_checkpoint(checkpoint, deleted_by=eve, reason="Spoilt.")  # nothing is committed
    kept = artifacts.checkpoint_folder(make_checkpoint(project))
    assert folder.is_dir()
    removal.sweep()
    assert not folder.exists()
    assert kept.is_dir()


@pytest.mark.parametrize("path", ["", ".", "../outside", "/etc"])
def test_nothing_outside_the_store_is_ever_removed(tmp_path: Path, path: str) -> None:
    for name in ("outside", "artifacts"):
        (tmp_path / name).mkdir()
    removal.remove(path)
    assert (tmp_path / "outside").is_dir()
    assert (tmp_path / "artifacts").is_dir()


def test_only_those_who_train_may_delete(client: Client, project: Project, bob: User) -> None:
    checkpoint, snapshot = make_checkpoint(project), make_snapshot(project)
    client.force_login(bob)
    assert delete(client, checkpoint).status_code == 404
    assert delete(client, snapshot).status_code == 404
    assert client.put(reverse("training:delete_snapshot", args=[snapshot.pk])).status_code == 405
