"""The model card: facts on record as a text that the Hugging Face Hub reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from huggingface_hub import ModelCard

from annotations.models import Project, User
from annotations.tests.factories import make_comparison, make_item
from training import selectors, services
from training.models import Checkpoint, Evaluation
from training.tests.factories import make_base, make_checkpoint, make_run

SIDE = {"value": 1.5, "low": 1.0, "high": 2.0}


@pytest.fixture
def reward(project: Project, bea: User, eve: User) -> Checkpoint:
    """Return a reward model that learnt from one comparison."""
    version = project.guideline_versions.get(kind="comparison")
    make_comparison(make_item(project, open_slots=0), bea, guideline_version=version)
    snapshot = services.freeze_snapshot(project, "preferences", created_by=eve)
    make_base(project, name="Smol: base | <one>")
    results = {
        "heldout_accuracy": 0.71,
        "heldout_low": 0.6,
        "heldout_high": 0.8,
        "heldout_votes": 90,
        "human_agreement": {"value": 0.75, "low": 0.7, "high": 0.8, "n": 40},
    }
    run = make_run(project, "reward", snapshot=snapshot, results=results)
    manifest = {
        "provenance": {"code_version": "abc123"},
        "files": {"adapter.safetensors": "f" * 64},
    }
    return make_checkpoint(
        project, name="reward-1", kind="reward", run=run, parent=run.parent, manifest=manifest
    )


def front_matter(checkpoint: Checkpoint) -> dict[str, Any]:
    card = ModelCard(selectors.model_card(checkpoint), ignore_metadata_errors=False)
    return dict(card.data.to_dict())


def test_the_hub_reads_its_front_matter(reward: Checkpoint) -> None:
    found = front_matter(reward)
    assert reward.run is not None
    assert reward.run.snapshot is not None
    assert found["base_model"] == "Smol: base | <one>"
    assert found["library_name"] == "peft"
    assert found["datasets"] == [f"sha256-{reward.run.snapshot.sha256}"]
    assert "license" not in found
    metric = found["model-index"][0]["results"][0]["metrics"][0]
    assert (metric["type"], metric["value"]) == ("accuracy", 0.71)


def test_it_says_where_the_model_comes_from(reward: Checkpoint) -> None:
    text = selectors.model_card(reward)
    assert "Smol: base \\| \\<one\\> → reward-1" in text
    assert "| 1 | 1 | comparison 1 |" in text
    assert "in 75.0 %" in text
    assert "abc123" in text
    assert "f" * 64 in text
    assert "To be stated by" in text


def test_it_names_the_license_of_the_base(project: Project) -> None:
    base = make_base(project)
    Path(base.path, "README.md").write_text("---\ntags: [x]\nlicense: apache-2.0\n---\nlicense: no")
    assert front_matter(base)["license"] == "apache-2.0"
    Path(base.path, "README.md").write_text("# Base\nlicense: mit")
    assert "license" not in front_matter(base)


def test_it_says_what_the_gate_said(project: Project, eve: User) -> None:
    parent = make_checkpoint(project, name="parent")
    child = make_checkpoint(project, name="child", parent=parent)
    services.promote_checkpoint(parent, promoted_by=eve, reason="The first.")
    assert "It was promoted: The first." in selectors.model_card(parent)
    assert "It was not promoted. Promotion needs a blind evaluation" in selectors.model_card(child)
    run = make_run(project, "sample", state="succeeded", ended_at=timezone.now())
    Evaluation.objects.create(
        project=project, child=child, parent=parent, run=run, batch="evaluation-1"
    )
    assert "0 of 0 comparisons are answered" in selectors.model_card(child)


def test_it_holds_the_latest_suite(project: Project) -> None:
    parent = make_checkpoint(project, name="parent")
    child = make_checkpoint(project, name="child", parent=parent)
    table = {"tokens": {"child": SIDE, "parent": SIDE, "difference": SIDE}}
    make_run(
        project,
        "suite",
        parent=child,
        state="succeeded",
        ended_at=timezone.now(),
        request={"rival_checkpoint_id": parent.pk},
        results={"table": table},
    )
    assert "| Length (tokens) | 1.5 | 1.5 | +1.5 | +1 to +2 |" in selectors.model_card(child)


def test_it_is_shown_and_downloaded(client: Client, reward: Checkpoint, eve: User) -> None:
    client.force_login(eve)
    page = client.get(reverse("training:card", args=[reward.pk])).content.decode()
    assert "base_model: &quot;Smol: base | &lt;one&gt;&quot;" in page
    response = client.get(reverse("training:download_card", args=[reward.pk]))
    assert response.content.decode() == selectors.model_card(reward)
    assert 'filename="README.md"' in response.headers["Content-Disposition"]
