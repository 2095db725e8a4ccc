"""Making a checkpoint again: the same run, and a comparison of the files."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Project, User
from training import selectors, services
from training.models import Checkpoint, Round, Run
from training.tests.factories import make_base, make_checkpoint, make_run


def made(project: Project, run: Run, **files: str) -> Checkpoint:
    code = files.pop("code", "v1")
    manifest = {"files": files, "provenance": {"code_version": code}}
    return make_checkpoint(
        project, name=f"sft-{run.pk}", run=run, parent=run.parent, manifest=manifest
    )


@pytest.fixture
def original(project: Project) -> Checkpoint:
    run = make_run(project, device="here/training")
    config = {**run.config, "seed": 11, "batch_size": 2}
    Run.objects.filter(pk=run.pk).update(config=config)
    run.refresh_from_db()
    return made(project, run, adapter="aaa", tokenizer="bbb")


def test_it_repeats_the_run_beside_the_loop(
    client: Client, project: Project, original: Checkpoint, eve: User
) -> None:
    assert original.run is not None
    opened = Round.objects.create(project=project, number=1, policy=original.run.parent)
    client.force_login(eve)
    assert client.post(reverse("training:rebuild", args=[original.pk])).status_code == 302
    again = Run.objects.latest("id")
    assert again.pk != original.run.pk
    for name in ("stage", "config", "snapshot", "parent", "reward_checkpoint"):
        assert getattr(again, name) == getattr(original.run, name)
    opened.refresh_from_db()
    assert opened.policy_run is None


def test_equal_files_are_called_identical_on_both_pages(
    client: Client, project: Project, original: Checkpoint, eve: User
) -> None:
    run = services.rebuild(original, started_by=eve)
    client.force_login(eve)
    pages = [reverse("training:checkpoint", args=[original.pk])]
    assert "makes it again" in client.get(pages[0]).content.decode()
    again = made(project, run, adapter="aaa", tokenizer="bbb")
    pages.append(reverse("training:checkpoint", args=[again.pk]))
    for page in pages:
        assert "rebuilt, identical" in client.get(page).content.decode()


def test_it_names_the_files_that_differ_and_what_else_did(
    client: Client, project: Project, original: Checkpoint, eve: User
) -> None:
    run = services.rebuild(original, started_by=eve)
    Run.objects.filter(pk=run.pk).update(device="there/training")
    run.refresh_from_db()
    made(project, run, adapter="changed", tokenizer="bbb", code="v2")
    found = selectors.rebuilds_of(original)[0]
    assert found.differing == ["adapter"]
    assert found.reasons == [
        "code version v1 then, v2 now",
        "device here/training then, there/training now",
    ]
    client.force_login(eve)
    page = client.get(reverse("training:checkpoint", args=[original.pk])).content.decode()
    assert "rebuilt, not identical" in page
    assert "v1 then, v2 now" in page


def test_a_base_model_cannot_be_made_again(project: Project, eve: User) -> None:
    with pytest.raises(services.ServiceError, match="nothing to repeat"):
        services.rebuild(make_base(project), started_by=eve)
