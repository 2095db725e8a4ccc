"""Starting an evaluation suite, and reading what it measured."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotations.models import Project, User
from annotations.tests.factories import make_prompt_in
from training import selectors, services
from training.models import Checkpoint, Run
from training.tests.factories import make_base, make_checkpoint, make_run

SIDE = {"value": 1.5, "low": 1.0, "high": 2.0}
FEW = {"value": 0.05, "low": -0.02, "high": 0.12}
NONE = {"value": 0.0, "low": 0.0, "high": 0.0}
RESULTS = {
    "prompts": 5,
    "answers": 10,
    "table": {
        "tokens": {"child": SIDE, "parent": SIDE, "difference": SIDE, "prompts": 5},
        "refusal": {"child": FEW, "parent": FEW, "difference": FEW, "prompts": 5},
        "ended": {"child": FEW, "parent": FEW, "difference": NONE, "prompts": 5},
    },
    "win_rate": {"n": 10, "wins": 7, "ties": 0, "losses": 3, "rate": 0.7, "low": 0.4, "high": 0.9},
    "kl_to_parent": SIDE,
    "examples": [
        {
            "prompt": "A <b>frog</b>",
            "child": "<i>ribbit</i>",
            "parent": "",
            "child_score": 1.0,
            "parent_score": None,
        }
    ],
}


@pytest.fixture
def engineer(client: Client, eve: User) -> Client:
    client.force_login(eve)
    return client


@pytest.fixture
def child(project: Project) -> Checkpoint:
    make_prompt_in(project, "test")
    return make_checkpoint(project, name="child", parent=make_checkpoint(project, name="parent"))


def measured(child: Checkpoint) -> Run:
    request = {"rival_checkpoint_id": child.parent_id, "prompt_ids": [], "purpose": "suite"}
    return make_run(
        child.project,
        "suite",
        parent=child,
        request=request,
        state="succeeded",
        ended_at=timezone.now(),
        results=RESULTS,
    )


def url(name: str, pk: int) -> str:
    return reverse(f"training:{name}", args=[pk])


def text_of(response: Any) -> str:
    return str(response.content.decode())


def filled(child: Checkpoint, **changes: Any) -> dict[str, Any]:
    return {
        "rival": child.parent_id,
        "split": "test",
        "limit": 8,
        "checks": "haiku",
        "seed": 3,
        "completions_per_prompt": 2,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_new_tokens": 24,
        "batch_size": 16,
        **changes,
    }


def test_it_starts_a_suite_on_the_sampling_queue(engineer: Client, child: Checkpoint) -> None:
    assert "Run the suite" in text_of(engineer.get(url("checkpoint", child.pk)))
    response = engineer.post(url("start_suite", child.pk), filled(child))
    run = Run.objects.get()
    assert response.headers["Location"] == url("run", run.pk)
    assert (run.stage, run.parent, run.config["checks"]) == ("suite", child, "haiku")
    assert run.request["rival_checkpoint_id"] == child.parent_id
    assert len(run.request["prompt_ids"]) == 1


def test_it_says_what_cannot_work_and_loses_nothing(engineer: Client, child: Checkpoint) -> None:
    response = engineer.post(url("start_suite", child.pk), filled(child, split="validation"))
    assert response.status_code == 422
    assert "no prompts in the validation split" in text_of(response)
    response = engineer.post(url("start_suite", child.pk), filled(child, temperature=0, limit=7))
    assert response.status_code == 422
    assert 'value="7"' in text_of(response)
    assert not Run.objects.exists()


def test_it_refuses_a_reward_model_of_another_base(
    project: Project, child: Checkpoint, eve: User
) -> None:
    other = make_base(project, name="other")
    reward = make_checkpoint(project, name="reward", kind="reward", parent=other)
    assert child.parent is not None
    with pytest.raises(services.ServiceError, match="different base models"):
        services.start_suite(
            project, child=child, parent=child.parent, reward_checkpoint=reward, started_by=eve
        )


def test_it_shows_what_was_measured(engineer: Client, child: Checkpoint) -> None:
    run = measured(child)
    page = text_of(engineer.get(url("suite", run.pk)))
    assert "+1.5" in page
    assert "+1 to +2" in page
    assert "+5 points" in page
    assert "−2 to +12 points" in page
    assert "alike" in page
    assert "70.0" in page
    assert "A &lt;b&gt;frog&lt;/b&gt;" in page
    assert "&lt;i&gt;ribbit&lt;/i&gt;" in page
    assert "(empty)" in page


def test_the_page_of_a_checkpoint_shows_its_latest_suite(
    engineer: Client, child: Checkpoint
) -> None:
    run = measured(child)
    make_run(child.project, "suite", parent=child)
    assert selectors.latest_suite(child) == run
    page = text_of(engineer.get(url("checkpoint", child.pk)))
    assert url("suite", run.pk) in page
    assert "+1 to +2" in page


def test_another_run_is_no_suite(engineer: Client, child: Checkpoint) -> None:
    assert engineer.get(url("suite", make_run(child.project).pk)).status_code == 404
    reward = make_checkpoint(child.project, kind="reward")
    assert engineer.get(url("suites", reward.pk)).status_code == 404
