"""Once round the loop on a tiny model: prompts → annotations → snapshots → sft → reward → ppo →
completions back to annotators → blind comparison → promotion. Real rows, real pages, real children.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations import importers
from annotations import services as annotation_services
from annotations.models import Annotation, Completion, Item, Kind, Project, Prompt, User
from conftest import PASSWORD
from training import selectors, services, tasks
from training.driver import drive_rounds
from training.models import Checkpoint, Run
from training.simulation import SimulatedAnnotator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("forked_children"),
]

PROMPTS = "\n".join(f"Write a haiku about thing number {i}." for i in range(60))


def shorter_is_better(_prompt: str, completion: str) -> float:
    return -len(completion)


def carry_out(run: Run) -> Run:
    """Do what a worker does with the hint for this run."""
    tasks.execute_run(run.pk)
    run.refresh_from_db()
    assert run.state == Run.State.SUCCEEDED, f"{run.error}\n{run.error_detail}"
    return run


def write_demonstrations(client: Client, project: Project, user: User, wanted: int) -> None:
    """Write haikus on the page, one after the other."""
    client.force_login(user)
    response = client.post(
        reverse("annotations:start", args=[project.pk]), {"kind": "demonstration"}
    )
    for number in range(wanted):
        submit = f"{response['Location']}submit/"
        response = client.post(submit, {"text": f"the old pond\nthe frog {number}\nrain"})
        assert response.status_code == 303


@pytest.mark.long
def test_it_goes_once_round_the_loop(
    client: Client,
    live_server: Any,
    project: Project,
    alice: User,
    eve: User,
    bob: User,
    tiny_model: Path,
) -> None:
    rows, errors = importers.read_prompts(PROMPTS, "lines")
    assert not errors
    annotation_services.import_prompts(project, rows, alice, origin=Prompt.Origin.WRITTEN)
    write_demonstrations(client, project, bob, 40)
    assert Annotation.objects.filter(kind=Kind.DEMONSTRATION, annotator=bob).count() == 40

    base = services.register_base(project, str(tiny_model), name="tiny", created_by=eve)
    demonstrations = services.freeze_snapshot(project, "demonstrations", created_by=eve)
    run = services.start_run(
        project,
        "sft",
        {"epochs": 1, "learning_rate": 1e-3},
        parent=base,
        snapshot=demonstrations,
        started_by=eve,
    )
    sft = Checkpoint.objects.get(run=carry_out(run))
    assert sft.manifest["provenance"]["snapshot_sha256"] == demonstrations.sha256
    services.promote_checkpoint(sft, promoted_by=alice, reason="The first.", override=True)
    services.open_round(project)

    run = services.request_completions(
        project,
        checkpoint=sft,
        prompts=Prompt.objects.filter(project=project),
        completions_per_prompt=4,
        kind=Kind.RANKING,
        started_by=eve,
        config={"max_new_tokens": 8},
    )
    carry_out(run)
    assert Item.objects.filter(project=project, kind=Kind.RANKING).count() > 40
    annotator = SimulatedAnnotator(
        live_server.url, "bea", PASSWORD, judge=shorter_is_better, flip=0.0, seed=0
    )
    ranked = annotator.work(project.pk, Kind.RANKING)
    assert ranked == Annotation.objects.filter(kind=Kind.RANKING).count() > 40

    preferences = services.freeze_snapshot(project, "preferences", created_by=eve)
    run = services.start_run(
        project,
        "reward",
        {"learning_rate": 1e-3},
        parent=sft,
        snapshot=preferences,
        started_by=eve,
    )
    reward = Checkpoint.objects.get(run=carry_out(run))
    assert reward.kind == Checkpoint.Kind.REWARD
    assert run.results["heldout_low"] <= run.results["heldout_accuracy"]

    run = services.start_run(
        project,
        "ppo",
        {"steps": 2, "batch_size": 8, "minibatch_size": 4, "max_new_tokens": 8},
        parent=sft,
        snapshot=services.freeze_snapshot(project, "prompts", created_by=eve),
        reward_checkpoint=reward,
        started_by=eve,
    )
    child = Checkpoint.objects.get(run=carry_out(run))
    assert child.parent == sft
    assert run.metrics.filter(name="objective/kl").count() == 2
    assert run.samples

    evaluation = services.start_evaluation(
        project,
        child=child,
        parent=sft,
        pairs_per_prompt=2,
        started_by=eve,
        config={"max_new_tokens": 8},
    )
    carry_out(evaluation.run)
    battles = Item.objects.filter(batch=evaluation.batch)
    assert battles.exists()
    assert set(battles.values_list("prompt__split", flat=True)) == {"test"}
    assert annotator.work(project.pk, Kind.COMPARISON) == battles.count()
    result = selectors.evaluation_result(evaluation)
    certain = selectors.certain(evaluation)
    assert result.n == battles.count() + sum(dataclasses.astuple(certain))

    with pytest.raises(services.ServiceError):  # two steps of PPO prove nothing
        services.promote_checkpoint(
            child, promoted_by=alice, reason="It won.", evaluation=evaluation
        )
    services.promote_checkpoint(
        child, promoted_by=alice, reason="To see it sample.", evaluation=evaluation, override=True
    )
    assert selectors.promoted_checkpoint(project) == child
    before = Completion.objects.filter(checkpoint=child).count()
    services.run_round(project, wanted_by=eve)  # the second round goes on by itself
    drive_rounds()
    opened = selectors.open_round(project)
    assert opened is not None
    assert opened.policy == child
    assert opened.sample_run is not None
    carry_out(opened.sample_run)
    assert Completion.objects.filter(checkpoint=child).count() > before
    assert annotator.work(project.pk, Kind.RANKING, limit=5) == 5
