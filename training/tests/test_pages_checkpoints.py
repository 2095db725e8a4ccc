"""Snapshots, checkpoints, evaluations and the loop, as the engineer sees them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotations.models import (
    Annotation,
    Comparison,
    Completion,
    Item,
    Project,
    Prompt,
    Retraction,
    User,
)
from annotations.tests.factories import make_demonstration
from training import artifacts
from training.models import Checkpoint, DatasetSnapshot, Evaluation, Promotion, Round, Run
from training.tests.factories import make_base, make_checkpoint, make_run, make_snapshot


@pytest.fixture
def engineer(client: Client, eve: User) -> Client:
    client.force_login(eve)
    return client


@pytest.fixture
def owner(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def url(name: str, *args: int) -> str:
    return reverse(f"training:{name}", args=args)


def text_of(response: Any) -> str:
    return str(response.content.decode())


def prompt(project: Project, number: int, split: str = "train") -> Prompt:
    text = f"Write a haiku about stone {number}."
    return Prompt.objects.create(
        project=project,
        messages=[{"role": "user", "content": text}],
        text=text,
        content_hash=f"{number:064d}",
        split=split,
    )


def promote(checkpoint: Checkpoint, user: User) -> Promotion:
    return Promotion.objects.create(
        project=checkpoint.project, checkpoint=checkpoint, promoted_by=user, reason="First."
    )


def evaluated(project: Project, *, items: int = 12) -> Evaluation:
    """Return an evaluation whose comparisons wait for votes."""
    parent = make_checkpoint(project, name="parent")
    child = make_checkpoint(project, name="child", parent=parent)
    run = make_run(project, "sample", state="succeeded", ended_at=timezone.now())
    evaluation = Evaluation.objects.create(
        project=project, child=child, parent=parent, run=run, batch="evaluation-1"
    )
    for number in range(items):
        item = Item.objects.create(
            project=project,
            kind="comparison",
            prompt=prompt(project, number, "test"),
            purpose="evaluation",
            batch="evaluation-1",
        )
        for checkpoint in (child, parent):
            text = f"{checkpoint.name} answers {number}"
            item.completions.create(
                prompt=item.prompt, text=text, origin="checkpoint", checkpoint=checkpoint
            )
    return evaluation


def vote(evaluation: Evaluation, annotator: User, outcome: str, most: int | None = None) -> None:
    """Let the annotator see the child on the left and say `outcome` to every item."""
    items = Item.objects.filter(batch=evaluation.batch).order_by("id")
    for item in items[:most]:
        sides = {c.checkpoint_id: c for c in Completion.objects.filter(items=item)}
        left, right = sides[evaluation.child_id], sides[evaluation.parent_id]
        annotation = Annotation.objects.create(
            item=item, annotator=annotator, kind="comparison", shown_order=[left.pk, right.pk]
        )
        strength = "better" if outcome in ("left", "right") else ""
        Comparison.objects.create(
            annotation=annotation, left=left, right=right, outcome=outcome, strength=strength
        )
        Item.objects.filter(id=item.pk).update(open_slots=0)


# Base models


@pytest.fixture
def models(settings: Any, tmp_path: Path, tiny_model: Path) -> Path:
    """Return the folder of models on the server, with one in it."""
    settings.BASE_MODEL_PATH = tmp_path / "models" / "demo"
    shutil.copytree(tiny_model, tmp_path / "models" / "tiny")
    return tmp_path / "models"


@pytest.mark.slow
def test_it_adds_a_base_model_to_a_new_project(
    engineer: Client, project: Project, models: Path
) -> None:
    page = text_of(engineer.get(url("checkpoints", project.pk)))
    assert "No checkpoints yet" in page
    folder = str((models / "tiny").resolve())
    assert f'value="{folder}"' in page
    response = engineer.post(url("add_base", project.pk), {"path": folder})
    base = Checkpoint.objects.get()
    assert response.headers["Location"] == url("checkpoint", base.pk)
    assert (base.kind, base.name, base.path) == ("base", "tiny", folder)


@pytest.mark.slow
def test_it_takes_only_models_from_their_folder(
    engineer: Client, project: Project, models: Path, tiny_model: Path
) -> None:
    for path in (str(tiny_model), str(models / "tiny" / ".."), "/etc", ""):
        response = engineer.post(url("add_base", project.pk), {"path": path, "name": "x"})
        assert response.status_code == 422
    assert not Checkpoint.objects.exists()


@pytest.mark.slow
def test_it_says_why_a_base_model_cannot_be_used(
    engineer: Client, project: Project, models: Path
) -> None:
    for weights in (models / "tiny").glob("*.safetensors"):
        weights.rename(weights.with_suffix(".bin"))
    response = engineer.post(
        url("add_base", project.pk), {"path": str((models / "tiny").resolve())}
    )
    assert response.status_code == 422
    assert "safetensors" in " ".join(response.context["base_form"].non_field_errors())
    assert not Checkpoint.objects.exists()


def test_it_says_where_to_put_models_when_there_are_none(
    engineer: Client, project: Project, settings: Any, tmp_path: Path
) -> None:
    settings.BASE_MODEL_PATH = tmp_path / "nothing" / "demo"
    assert f"There is no model in <code>{tmp_path / 'nothing'}</code>" in text_of(
        engineer.get(url("checkpoints", project.pk))
    )


# Snapshots


def test_it_freezes_prompts(engineer: Client, project: Project) -> None:
    prompt(project, 1)
    response = engineer.post(
        url("freeze_snapshot", project.pk), {"content": "prompts", "seed": "0"}
    )
    snapshot = DatasetSnapshot.objects.get()
    assert response.headers["Location"] == url("snapshot", snapshot.pk)
    assert snapshot.sha256 in text_of(engineer.get(response.headers["Location"]))


def test_it_freezes_what_the_filters_leave(
    engineer: Client, project: Project, bob: User, bea: User
) -> None:
    kept = make_demonstration(project, bob)
    make_demonstration(project, bea)
    form = {"content": "demonstrations", "seed": "0", "limit": "5"}
    form["leave_out_annotators"] = f"annotator-{bea.pk}"
    engineer.post(url("freeze_snapshot", project.pk), form)
    snapshot = DatasetSnapshot.objects.get()
    assert snapshot.annotation_ids == [kept.pk]
    assert snapshot.filters == {"limit": 5, "leave_out_annotators": [f"annotator-{bea.pk}"]}


def test_it_offers_to_leave_out_only_who_has_annotated(
    engineer: Client, project: Project, bob: User, ben: User
) -> None:
    make_demonstration(project, bob)
    page = engineer.get(url("snapshots", project.pk))
    assert f"annotator-{bob.pk}, 1 annotation" in text_of(page)
    form = {"content": "demonstrations", "seed": "0", "leave_out_annotators": "annotator-0"}
    response = engineer.post(url("freeze_snapshot", project.pk), form)
    assert response.status_code == 422
    assert "annotator-0 has annotated nothing" in text_of(response)


def test_it_says_what_to_collect_when_there_is_nothing_to_freeze(
    engineer: Client, project: Project
) -> None:
    response = engineer.post(
        url("freeze_snapshot", project.pk), {"content": "demonstrations", "seed": "0"}
    )
    assert response.status_code == 422
    assert "no demonstrations yet" in text_of(response)
    assert not DatasetSnapshot.objects.exists()


def test_it_refuses_content_and_seeds_that_it_does_not_know(
    engineer: Client, project: Project
) -> None:
    response = engineer.post(url("freeze_snapshot", project.pk), {"content": "x", "seed": "-1"})
    assert response.status_code == 422
    assert set(response.context["form"].errors) == {"content", "seed"}


def test_it_shows_counts_and_what_was_left_out(engineer: Client, project: Project) -> None:
    counts = {
        "rows": {"train": 801, "validation": 102, "test": 97},
        "prompts": {"train": 80, "validation": 10, "test": 9},
        "annotations": 345,
        "ties": 21,
        "left_out": {"annotators left out": 7},
    }
    snapshot = make_snapshot(project, "preferences", counts=counts)
    page = text_of(engineer.get(url("snapshot", snapshot.pk)))
    for figure in ("801", "102", "97", "1\u202f000", "345", "21", "annotators left out: 7 rows"):
        assert figure in page


def test_ties_are_among_what_was_left_out(engineer: Client, project: Project) -> None:
    rows = {"train": 3, "validation": 0, "test": 0}
    undecided = make_snapshot(
        project, "preferences", counts={"rows": rows, "ties": 2, "both_bad": 1, "left_out": {}}
    )
    page = text_of(engineer.get(url("snapshot", undecided.pk)))
    assert "2 ties: neither is better" in page
    assert "1 judgement that both are bad" in page
    assert "Nothing was left out" not in page
    whole = make_snapshot(project, counts={"rows": rows, "ties": 0, "both_bad": 0, "left_out": {}})
    assert "Nothing was left out." in text_of(engineer.get(url("snapshot", whole.pk)))


def test_it_downloads_the_rows(engineer: Client, project: Project) -> None:
    snapshot = make_snapshot(project)
    response: Any = engineer.get(url("download_snapshot", snapshot.pk))
    rows = artifacts.snapshot_rows(snapshot).read_bytes()
    assert b"".join(response.streaming_content) == rows
    assert "attachment" in response.headers["Content-Disposition"]


# Checkpoints


def test_it_asks_for_completions_of_the_least_judged_prompts(
    engineer: Client, project: Project
) -> None:
    judged, fresh, held_out = prompt(project, 1), prompt(project, 2), prompt(project, 3, "test")
    Item.objects.create(project=project, kind="ranking", prompt=judged)
    checkpoint = make_checkpoint(project)
    page = engineer.get(url("checkpoint", checkpoint.pk))
    data = {f.name: f.value() for f in page.context["completions_form"] if f.value() is not None}
    data |= {"kind": "ranking", "splits": "train,validation", "prompt_count": "1"}
    response = engineer.post(url("request_completions", checkpoint.pk), data)
    run = Run.objects.get()
    assert response.headers["Location"] == url("run", run.pk)
    assert run.request["prompt_ids"] == [fresh.pk]
    assert held_out.pk not in run.request["prompt_ids"]
    assert run.config["completions_per_prompt"] == 4


def test_it_keeps_the_form_when_completions_are_refused(engineer: Client, project: Project) -> None:
    checkpoint = make_checkpoint(project)
    response = engineer.post(
        url("request_completions", checkpoint.pk), {"completions_per_prompt": "1"}
    )
    assert response.status_code == 422
    assert "ask for at least 2" in text_of(response)
    assert not Run.objects.exists()


def test_it_starts_an_evaluation_against_the_parent(engineer: Client, project: Project) -> None:
    prompt(project, 1, "test")
    child = make_checkpoint(project)
    response = engineer.post(
        url("start_evaluation", child.pk), {"rival": child.parent_id, "split": "test"}
    )
    evaluation = Evaluation.objects.get()
    assert response.headers["Location"] == url("evaluation", evaluation.pk)
    assert evaluation.parent == child.parent


def test_it_says_what_an_evaluation_lacks(engineer: Client, project: Project) -> None:
    child = make_checkpoint(project)
    response = engineer.post(
        url("start_evaluation", child.pk), {"rival": child.parent_id, "split": "test"}
    )
    assert response.status_code == 422
    assert "no prompts in the test split" in text_of(response)


def test_it_promotes_the_first_policy_with_a_reason(engineer: Client, project: Project) -> None:
    checkpoint = make_checkpoint(project)
    refused = engineer.post(url("promote_checkpoint", checkpoint.pk), {"reason": "  "})
    assert refused.status_code == 422
    engineer.post(url("promote_checkpoint", checkpoint.pk), {"reason": "It knows haiku."})
    assert Promotion.objects.get().reason == "It knows haiku."
    assert "promoted</span>" in text_of(engineer.get(url("checkpoint", checkpoint.pk)))


def test_it_shows_the_closed_gate_and_refuses(
    engineer: Client, project: Project, eve: User
) -> None:
    promote(make_checkpoint(project), eve)
    child = make_checkpoint(project)
    page = text_of(engineer.get(url("checkpoint", child.pk)))
    assert "gate closed" in page
    assert "needs a blind evaluation" in page
    response = engineer.post(url("promote_checkpoint", child.pk), {"reason": "Please."})
    assert response.status_code == 422
    assert text_of(response).count("needs a blind evaluation") == 1
    assert Promotion.objects.count() == 1


def test_it_says_which_round_a_promotion_ends(
    engineer: Client, project: Project, eve: User
) -> None:
    first = make_checkpoint(project)
    promote(first, eve)
    run = make_run(project, "dpo", parent=first, state="succeeded", ended_at=timezone.now())
    child = make_checkpoint(project, parent=first, run=run)
    assert "Promoting ends it" not in text_of(engineer.get(url("checkpoint", child.pk)))
    opened = Round.objects.create(project=project, number=7, policy=first)
    page = text_of(engineer.get(url("checkpoint", child.pk)))
    assert "Round 7 of the" in page
    assert f"although {child.name} was not made in it" in page
    Round.objects.filter(id=opened.pk).update(policy_run=run)
    assert "was not made in it" not in text_of(engineer.get(url("checkpoint", child.pk)))


def test_it_lets_only_an_owner_open_the_gate_by_hand(
    engineer: Client, owner: Client, project: Project, eve: User
) -> None:
    promote(make_checkpoint(project), eve)
    child = make_checkpoint(project)
    data = {"reason": "The rest looks right.", "override": "on"}
    assert engineer.post(url("promote_checkpoint", child.pk), data).status_code == 422
    assert "override" not in text_of(engineer.get(url("checkpoint", child.pk)))
    assert owner.post(url("promote_checkpoint", child.pk), data).status_code == 302
    assert Promotion.objects.first().checkpoint == child  # type: ignore[union-attr]


def test_it_promotes_through_the_open_gate(
    engineer: Client, project: Project, bob: User, eve: User
) -> None:
    evaluation = evaluated(project)
    promote(evaluation.parent, eve)
    vote(evaluation, bob, "left")
    page = text_of(engineer.get(url("checkpoint", evaluation.child_id)))
    assert "gate open" in page
    assert "n = 12" in page
    engineer.post(url("promote_checkpoint", evaluation.child_id), {"reason": "People prefer it."})
    promotion = Promotion.objects.first()
    assert promotion is not None
    assert promotion.checkpoint == evaluation.child
    assert promotion.evidence["wins"] == 12


def test_it_offers_a_reward_model_for_ppo_and_nothing_else(
    engineer: Client, project: Project
) -> None:
    reward = make_checkpoint(project, kind=Checkpoint.Kind.REWARD)
    page = text_of(engineer.get(url("checkpoint", reward.pk)))
    assert f"?stage=ppo&amp;reward_checkpoint={reward.pk}" in page
    assert url("promote_checkpoint", reward.pk) not in page


def test_it_shows_the_manifest_with_its_hashes(engineer: Client, project: Project) -> None:
    files = {"adapter_model.safetensors": "ab" * 32}
    checkpoint = make_checkpoint(project, manifest={"files": files})
    assert "ab" * 32 in text_of(engineer.get(url("checkpoint", checkpoint.pk)))


# Evaluations


def test_it_hides_examples_until_all_votes_are_in(
    engineer: Client, project: Project, bob: User
) -> None:
    evaluation = evaluated(project)
    vote(evaluation, bob, "left", most=6)
    page = text_of(engineer.get(url("evaluation", evaluation.pk)))
    assert "6 of 12 votes" in page
    assert "over 6 finished prompts" in page
    assert "child answers" not in page
    assert "parent answers" not in page


def test_it_shows_interval_n_and_examples_once_votes_are_in(
    engineer: Client, project: Project, bob: User
) -> None:
    evaluation = evaluated(project)
    vote(evaluation, bob, "left")
    page = text_of(engineer.get(url("evaluation", evaluation.pk)))
    assert "100.0\u00a0%" in page
    assert "n = 12" in page
    assert "95\u00a0% interval" in page
    assert "child answers 3" in page
    assert "1 for child" in page
    assert "gate is open" in page


def test_a_vote_that_was_taken_back_is_no_longer_in(
    engineer: Client, project: Project, bob: User
) -> None:
    evaluation = evaluated(project)
    vote(evaluation, bob, "left")
    Retraction.objects.create(annotation=Annotation.objects.earliest("id"))
    page = text_of(engineer.get(url("evaluation", evaluation.pk)))
    assert "11 of 12 votes" in page
    assert "child answers" not in page


def test_examples_leave_out_votes_that_were_taken_back(
    engineer: Client, project: Project, bob: User, bea: User
) -> None:
    evaluation = evaluated(project)
    vote(evaluation, bob, "tie")
    for annotation in Annotation.objects.all():
        Retraction.objects.create(annotation=annotation)
    vote(evaluation, bea, "left")
    page = text_of(engineer.get(url("evaluation", evaluation.pk)))
    assert "1 for child" in page
    assert "1 tie" not in page


def test_it_says_that_the_gate_is_closed(engineer: Client, project: Project, bob: User) -> None:
    evaluation = evaluated(project)
    vote(evaluation, bob, "tie")
    page = text_of(engineer.get(url("evaluation", evaluation.pk)))
    assert "gate is closed" in page
    assert "1 tie" in page


def test_there_is_nothing_to_evaluate_the_only_checkpoint_against(
    engineer: Client, project: Project
) -> None:
    base = make_base(project)
    page = text_of(engineer.get(url("checkpoint", base.pk)))
    assert "no other checkpoint yet" in page
    assert "Start evaluation" not in page
    make_checkpoint(project)
    assert "Start evaluation" in text_of(engineer.get(url("checkpoint", base.pk)))


def test_the_address_of_a_button_leads_to_its_page(engineer: Client, project: Project) -> None:
    checkpoint = make_checkpoint(project)
    for address, page in (
        (url("promote_checkpoint", checkpoint.pk), url("checkpoint", checkpoint.pk)),
        (url("open_round", project.pk), url("loop", project.pk)),
        (url("freeze_snapshot", project.pk), url("snapshots", project.pk)),
        (reverse("annotations:start", args=[project.pk]), f"/projects/{project.pk}/"),
        (reverse("annotations:sign_out"), "/"),
    ):
        response = engineer.get(address)
        assert response.status_code == 405
        assert response["Allow"] == "POST"
        assert f'id="above" href="{page}"' in text_of(response)
        assert engineer.get(page).status_code == 200
    assert not Promotion.objects.exists()


# The loop


def test_it_leads_through_the_loop_from_the_start(engineer: Client, project: Project) -> None:
    make_base(project)
    page = text_of(engineer.get(url("loop", project.pk)))
    assert url("snapshots", project.pk) in page
    assert 'aria-current="step"' in page


def test_it_opens_a_round_by_its_button_alone(
    engineer: Client, project: Project, eve: User
) -> None:
    promote(make_checkpoint(project), eve)
    page = text_of(engineer.get(url("loop", project.pk)))
    assert f'formaction="{url("open_round", project.pk)}"' in page
    engineer.post(url("open_round", project.pk))
    assert "round 1" in text_of(engineer.get(url("loop", project.pk)))


def test_it_refuses_a_round_without_a_promoted_policy(engineer: Client, project: Project) -> None:
    response = engineer.post(url("open_round", project.pk), follow=True)
    assert "begins with a promoted checkpoint" in text_of(response)
    assert not Round.objects.exists()


def test_it_ends_a_round_with_its_reason(engineer: Client, project: Project, eve: User) -> None:
    promote(make_checkpoint(project), eve)
    engineer.post(url("open_round", project.pk))
    refused = engineer.post(url("close_round", project.pk), {"decision": " "}, follow=True)
    assert "Say why" in text_of(refused)
    assert Round.objects.get().ended_at is None
    done = engineer.post(url("close_round", project.pk), {"decision": "KL ran away."}, follow=True)
    assert "KL ran away." in text_of(done)
    assert Round.objects.get().ended_at is not None


def test_it_keeps_the_loop_page_alive(engineer: Client, project: Project) -> None:
    page = text_of(engineer.get(url("loop", project.pk)))
    assert f'hx-get="{url("loop_status", project.pk)}"' in page
    assert engineer.get(url("loop_status", project.pk)).status_code == 200


def test_it_exports_a_policy_at_the_press_of_a_button(engineer: Client, project: Project) -> None:
    policy = make_checkpoint(project)
    page = text_of(engineer.get(url("checkpoint", policy.pk)))
    assert f'action="{url("export_checkpoint", policy.pk)}"' in page
    response = engineer.post(url("export_checkpoint", policy.pk), {"half_precision": "on"})
    run = Run.objects.get(stage="export")
    assert (run.parent, run.config["half_precision"]) == (policy, True)
    assert response["Location"] == url("run", run.pk)
    assert "export" in text_of(engineer.get(url("run", run.pk)))
    assert url("run", run.pk) in text_of(engineer.get(url("checkpoint", policy.pk)))
    assert engineer.get(url("export_checkpoint", policy.pk)).status_code == 405


def test_it_exports_only_what_is_an_adapter_on_a_language_model(
    engineer: Client, project: Project, charlie: User
) -> None:
    base = make_base(project)
    reward = make_checkpoint(project, kind=Checkpoint.Kind.REWARD)
    for checkpoint in (base, reward):
        assert "Merge and export" not in text_of(engineer.get(url("checkpoint", checkpoint.pk)))
        response = engineer.post(url("export_checkpoint", checkpoint.pk))
        assert response.status_code == 422
    outsider = Client()
    outsider.force_login(charlie)
    policy = make_checkpoint(project)
    assert outsider.post(url("export_checkpoint", policy.pk)).status_code == 404
    assert not Run.objects.exists()
