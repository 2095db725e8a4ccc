"""What rounds came to and what they cost, each figure with the page that it comes from."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from annotations.models import Project, User
from training import selectors
from training.models import Evaluation, Round
from training.tests.factories import make_checkpoint, make_run
from training.tests.test_pages_checkpoints import evaluated, promote, vote

RESULTS = {
    "heldout_accuracy": 0.71,
    "heldout_low": 0.66,
    "heldout_high": 0.76,
    "heldout_pairs": 300,
    "human_agreement": {"value": 0.8, "low": 0.7, "high": 0.9, "n": 50},
}


def test_each_figure_of_a_past_round_leads_to_its_source(
    client: Client, project: Project, eve: User, bob: User
) -> None:
    evaluation = evaluated(project)
    promote(evaluation.parent, eve)
    vote(evaluation, bob, "left", most=8)
    began = now() - timedelta(seconds=90)
    reward = make_run(
        project, "reward", state="succeeded", results=RESULTS, started_at=began, ended_at=now()
    )
    Round.objects.create(
        project=project,
        number=1,
        policy=evaluation.parent,
        reward_run=reward,
        evaluation=evaluation,
        decision="Kept back.",
        ended_at=now(),
    )
    [found] = selectors.past_rounds(project)
    assert found.result is not None
    assert found.accuracy is not None
    assert found.people is not None
    assert found.against_first is not None
    assert (found.result.n, found.votes, found.labels) == (8, 8, 0)
    assert (found.accuracy.value, found.people.value) == (0.71, 0.8)
    assert found.against_first.low < found.against_first.value < 1
    assert found.against_first.value > 0.5
    assert 90 <= found.seconds < 100
    client.force_login(eve)
    page = client.get(reverse("training:loop", args=[project.pk])).content.decode()
    for name, pk in (
        ("evaluation", evaluation.pk),
        ("run", reward.pk),
        ("leaderboard", project.pk),
    ):
        assert f'href="{reverse(f"training:{name}", args=[pk])}"' in page
    assert "Round 1: against the first" in page
    assert "two people agree 80%" in page


def test_the_number_of_queries_does_not_grow_with_the_rounds(
    project: Project, eve: User, bob: User, django_assert_max_num_queries: Any
) -> None:
    first = evaluated(project)
    promote(first.parent, eve)
    vote(first, bob, "left", most=4)
    for number in range(1, 4):
        one = (
            first
            if number == 1
            else Evaluation.objects.create(
                project=project,
                child=make_checkpoint(project, parent=first.parent),
                parent=first.parent,
                run=make_run(project, "sample", state="succeeded", ended_at=now()),
                batch=f"again-{number}",
            )
        )
        Round.objects.create(
            project=project, number=number, policy=first.parent, evaluation=one, decision="-",
            ended_at=now(),
        )  # fmt: skip
        selectors.past_rounds(project)  # the votes are read, and kept
        with django_assert_max_num_queries(13):
            found = selectors.past_rounds(project)
        assert [one.votes for one in found] == [0] * (number - 1) + [4]
