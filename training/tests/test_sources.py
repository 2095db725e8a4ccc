"""From a checkpoint to everything that people said behind it, and from there back."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Annotation, Project, Retraction, User
from annotations.tests.factories import (
    make_comparison,
    make_completion,
    make_demonstration,
    make_item,
    make_prompt,
)
from training import selectors, services
from training.models import Checkpoint, DatasetSnapshot, SnapshotAnnotation
from training.tests.factories import make_checkpoint, make_run


@pytest.fixture
def demonstration(project: Project, bob: User) -> Annotation:
    version = project.guideline_versions.get(kind="demonstration")
    prompt = make_prompt(project, "=Write about <b>moss</b>.")
    return make_demonstration(project, bob, prompt=prompt, guideline_version=version).annotation


@pytest.fixture
def comparison(project: Project, bea: User) -> Annotation:
    return make_comparison(make_item(project, open_slots=0), bea).annotation


def freeze(project: Project, content: str) -> DatasetSnapshot:
    return services.freeze_snapshot(project, content, created_by=project.created_by)


def made_by(project: Project, stage: str, **run: Any) -> Checkpoint:
    """Return the checkpoint of a run of a stage, with the run's parent."""
    done = make_run(project, stage, **run)
    return make_checkpoint(project, name=f"{stage}-{done.pk}", run=done, parent=done.parent)


@pytest.fixture
def ppo(project: Project, demonstration: Annotation, comparison: Annotation) -> Checkpoint:
    """Return a policy that learnt from a reward model, on prompts, after fine-tuning."""
    sft = made_by(project, "sft", snapshot=freeze(project, "demonstrations"))
    reward = made_by(project, "reward", snapshot=freeze(project, "preferences"), parent=sft)
    Checkpoint.objects.filter(id=reward.pk).update(kind="reward")
    prompts = freeze(project, "prompts")
    return made_by(project, "ppo", snapshot=prompts, parent=sft, reward_checkpoint=reward)


@pytest.fixture
def engineer(client: Client, eve: User) -> Client:
    client.force_login(eve)
    return client


def url(name: str, *args: Any) -> str:
    return reverse(f"training:{name}", args=args)


def content_of(response: Any) -> str:
    return b"".join(response).decode() if response.streaming else response.content.decode()


def test_a_policy_rests_on_its_prompts_its_reward_model_and_its_parent(ppo: Checkpoint) -> None:
    found = [(one.snapshot.content, one.way.value) for one in selectors.sources(ppo)]
    assert found == [
        ("prompts", "its own run"),
        ("demonstrations", "an ancestor"),
        ("preferences", "the reward model"),
    ]


def test_the_page_names_each_annotation_with_its_annotator_and_guidelines(
    engineer: Client, ppo: Checkpoint, demonstration: Annotation, bob: User
) -> None:
    page = content_of(engineer.get(url("checkpoint", ppo.pk)))
    assert url("sources", ppo.pk) in page
    page = content_of(engineer.get(url("sources", ppo.pk)))
    assert f"annotator-{bob.pk}" in page
    assert "version 1" in page
    assert "=Write about &lt;b&gt;moss&lt;/b&gt;." in page
    assert "bob" not in page


def test_it_asks_the_database_no_more_often_for_a_longer_lineage(
    engineer: Client, ppo: Checkpoint, django_assert_max_num_queries: Any
) -> None:
    child = ppo
    for _ in range(5):
        child = made_by(ppo.project, "ppo", snapshot=child.run.snapshot, parent=child)  # type: ignore[union-attr]  # a run made it
    with django_assert_max_num_queries(12):
        engineer.get(url("sources", child.pk))


def test_all_of_it_is_downloaded_as_rows(
    engineer: Client, ppo: Checkpoint, demonstration: Annotation, comparison: Annotation
) -> None:
    response = engineer.get(url("download_sources", ppo.pk, "jsonl"))
    rows = [json.loads(line) for line in content_of(response).splitlines()]
    assert {row["annotation_id"] for row in rows} == {demonstration.pk, comparison.pk}
    assert {row["prompt"] for row in rows} >= {"=Write about <b>moss</b>."}
    response = engineer.get(url("download_sources", ppo.pk, "csv"))
    table = list(csv.DictReader(content_of(response).splitlines()))
    assert len(table) == len(rows)
    assert "'=Write about <b>moss</b>." in {row["prompt"] for row in table}
    assert engineer.get(url("download_sources", ppo.pk, "xlsx")).status_code == 404


def test_one_snapshot_is_looked_at_alone(
    engineer: Client, ppo: Checkpoint, comparison: Annotation
) -> None:
    preferences = DatasetSnapshot.objects.get(content="preferences")
    address = f"{url('download_sources', ppo.pk, 'jsonl')}?snapshot={preferences.pk}"
    rows = [json.loads(line) for line in content_of(engineer.get(address)).splitlines()]
    assert [row["annotation_id"] for row in rows] == [comparison.pk]


def test_what_was_taken_back_since_is_marked(
    engineer: Client, ppo: Checkpoint, comparison: Annotation
) -> None:
    Retraction.objects.create(annotation=comparison)
    assert "taken back since" in content_of(engineer.get(url("sources", ppo.pk)))


def test_an_annotation_knows_everything_that_learnt_from_it(
    engineer: Client, ppo: Checkpoint, comparison: Annotation
) -> None:
    page = content_of(engineer.get(url("item", comparison.item_id)))
    reward = Checkpoint.objects.get(kind="reward")
    assert url("snapshot", reward.run.snapshot_id) in page  # type: ignore[union-attr]  # a run made it
    assert url("run", reward.run_id) in page
    assert url("checkpoint", reward.pk) in page
    assert url("checkpoint", ppo.pk) in page, "through the reward model"


def test_from_a_completion_to_the_annotations_behind_its_model_it_is_two_clicks(
    engineer: Client, ppo: Checkpoint, bob: User
) -> None:
    prompt = make_prompt(ppo.project, "Write about a moth.")
    texts = [make_completion(prompt, text, checkpoint=ppo) for text in ("one", "two")]
    item = make_item(ppo.project, prompt=prompt, completions=texts)
    page = content_of(engineer.get(url("item", item.pk)))
    assert ppo.name not in page, "somebody may still be asked"
    make_comparison(item, bob)
    item.open_slots = 0
    item.save(update_fields=["open_slots"])
    page = content_of(engineer.get(url("item", item.pk)))
    assert url("checkpoint", ppo.pk) in page
    assert url("sources", ppo.pk) in content_of(engineer.get(url("checkpoint", ppo.pk)))


def test_a_snapshot_is_linked_with_its_annotations(
    project: Project, demonstration: Annotation, comparison: Annotation
) -> None:
    snapshot = freeze(project, "demonstrations")
    links = SnapshotAnnotation.objects.values_list("snapshot", "annotation")
    assert list(links) == [(snapshot.pk, demonstration.pk)]
