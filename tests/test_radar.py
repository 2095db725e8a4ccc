"""A run that people stop: a reward model that learned to love length, and people who do not.

Its comparisons are planted: whoever ranks them likes the longer answer better. PPO pleases it, the
radar asks people on the way, who like the shorter one, and the run ends by itself. Real rows, real
pages, real children; only the people are programs.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations import services as annotation_services
from annotations.models import Kind, Project, User
from annotations.tests.factories import make_prompt
from conftest import PASSWORD
from training import selectors, services, tasks
from training.models import Checkpoint, Run
from training.simulation import SimulatedAnnotator
from training.tests.tiny import build_tiny_model, make_brief

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("forked_children"),
]

WORDS = ("old", "silent", "pond", "frog", "jumps", "into", "the", "moon", "rain", "sea", "splash")
PPO = {
    "steps": 300, "batch_size": 32, "minibatch_size": 16, "max_new_tokens": 48,
    "learning_rate": 3e-4, "kl_coef": 0.0, "missing_eos_penalty": 0.0,
    "max_kl": 1e6, "max_length_ratio": 1e6,  # what people say is to stop it, and nothing else
    "radar_kl": "1 5", "radar_prompts": 60, "radar_stop": True,
}  # fmt: skip


def longer_is_better(_prompt: str, completion: str) -> float:
    return len(completion)


def shorter_is_better(_prompt: str, completion: str) -> float:
    return -len(completion)


@pytest.fixture
def brief(project: Project, alice: User, eve: User, tmp_path: Path) -> Checkpoint:
    """Return the promoted base of a project with prompts; its answers have ten tokens or so."""
    for number in range(90):
        split = "validation" if number % 3 else "train"
        make_prompt(project, text=f"Write about thing number {number}.", split=split)
    folder = make_brief(build_tiny_model(tmp_path / "brief"), share=0.1)
    base = services.register_base(project, str(folder), name="brief", created_by=eve)
    services.promote_checkpoint(base, promoted_by=alice, reason="The first.", override=True)
    return base


def carry_out(run: Run) -> Run:
    """Do what a worker does with the hint for this run."""
    tasks.execute_run(run.pk)
    run.refresh_from_db()
    return run


def plant(project: Project, url: str) -> None:
    """Let somebody who likes it long rank four texts of different lengths for each prompt."""
    draw = random.Random(0)
    texts = [
        annotation_services.Answer(prompt.pk, " ".join(draw.choices(WORDS, k=words)))
        for prompt in project.prompts.order_by("id")
        for words in draw.sample(range(1, 40), 4)
    ]
    annotation_services.add_completions(project, texts, kind="ranking", batch="planted")
    fond = SimulatedAnnotator(url, "bea", PASSWORD, judge=longer_is_better, flip=0.0, seed=0)
    assert fond.work(project.pk, Kind.RANKING) == project.prompts.count()


@contextmanager
def people_at_work(project: Project, url: str) -> Iterator[None]:
    """Have the queue's comparisons answered over HTTP for as long as this lasts."""
    ben = SimulatedAnnotator(url, "ben", PASSWORD, judge=shorter_is_better, flip=0.0, seed=0)
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.2):
            ben.work(project.pk, Kind.COMPARISON)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_people_stop_a_run_whose_reward_loves_length(
    client: Client, live_server: Any, project: Project, eve: User, brief: Checkpoint
) -> None:
    plant(project, live_server.url)
    reward = services.start_run(
        project,
        "reward",
        {"learning_rate": 1e-2, "epochs": 3},
        parent=brief,
        snapshot=services.freeze_snapshot(project, "preferences", created_by=eve),
        started_by=eve,
    )
    assert carry_out(reward).results["length_correlation"] > 0.8, reward.error_detail

    run = services.start_run(
        project,
        "ppo",
        PPO,
        parent=brief,
        snapshot=services.freeze_snapshot(project, "prompts", created_by=eve),
        reward_checkpoint=Checkpoint.objects.get(run=reward),
        started_by=eve,
    )
    with people_at_work(project, live_server.url):
        carry_out(run)

    found = selectors.radar_of(run)
    assert found is not None
    assert found.parted_at is not None
    assert found.parted_at.gain.value > 0
    assert found.parted_at.win_rate.high < 0.5
    assert 0 < run.step < PPO["steps"]
    # They liked the start best, so there is nothing to publish, and the start stays in force.
    assert run.state == Run.State.FAILED
    assert f"stopped itself at step {run.step} of 300: reward and people have parted" in run.error
    assert "no policy from before the slide but the one that it started from" in run.error
    assert not Checkpoint.objects.filter(run=run).exists()
    assert selectors.promoted_checkpoint(project) == brief

    client.force_login(eve)
    page = client.get(reverse("training:run", args=[run.pk])).content.decode()
    assert "A sign of reward hacking" in page
    assert "The gate is closed" not in page  # nothing was made
    assert "Reward above the start. at the start 0; at" in page
    assert "People’s win rate. at the start 50%; at" in page
