"""The measured loop goes on by itself: people are simulated over HTTP, the rest is real."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.utils.timezone import now

from annotations.models import Item, Kind, Project, User
from annotations.tests.factories import make_completion, make_item, make_prompt
from conftest import PASSWORD
from training import selectors, services
from training.closed_loop import (
    ClosedLoop,
    Settings,
    describe,
    describe_rounds,
    measure_round,
)
from training.driver import drive_rounds
from training.models import Automation, Checkpoint, Round, Run, Stage
from training.pipeline.config import CONFIGS
from training.tests.factories import make_checkpoint, make_run
from training.tests.test_automation import fail, succeed

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = "an old silent pond\na frog jumps into the pond\nsplash silence again"


@pytest.fixture
def loop(live_server: Any, project: Project, alice: User) -> ClosedLoop:
    """Return a loop whose first round is over, and whose waiting does the work of the workers."""
    for number, split in enumerate(["train"] * 6 + ["validation"] + ["test"] * 4):
        make_prompt(project, text=f"Write a haiku about thing {number}.", split=split)
    policy = make_checkpoint(project, name="first")
    services.promote_checkpoint(policy, promoted_by=alice, reason="First.", override=True)
    config = {**CONFIGS["reward"]().to_dict(), "min_pairs": 3}
    reward = make_run(project, "reward", config=config, state="succeeded", ended_at=now())
    Round.objects.create(
        project=project, number=1, policy=policy, reward_run=reward, decision="-", ended_at=now()
    )
    return ClosedLoop(
        project,
        live_server.url,
        PASSWORD,
        Settings(by_itself=1, prompts=1000, later_prompts=4, reward={"min_pairs": 3}),
        lambda _line: None,
        wait=lambda: work(project),
    )


def work(project: Project) -> None:
    """Do what the dispatcher and the workers do meanwhile."""
    drive_rounds()
    for run in project.runs.filter(state=Run.State.QUEUED):
        carry_out(run)


def carry_out(run: Run) -> None:
    if run.stage == Stage.SUITE:
        succeed(run, cases_passed=1, cases_failed=0)
        return
    people = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 9}
    succeed(run, kl=1.5, heldout_accuracy=0.7, human_agreement=people)
    if run.stage == Stage.SAMPLE:
        rival = Checkpoint.objects.get(id=run.request.get("rival_checkpoint_id", run.parent_id))
        for prompt in run.project.prompts.filter(id__in=run.request["prompt_ids"]):
            sides = [(run.parent, GOOD), (rival, f"no haiku {prompt.pk}")]
            make_item(
                run.project,
                Kind.COMPARISON,
                prompt=prompt,
                completions=[
                    make_completion(prompt, text, checkpoint=side) for side, text in sides
                ],
                purpose=run.request["purpose"],
                batch=run.request["batch"],
            )
    else:
        kind = "reward" if run.stage == Stage.REWARD else "policy"
        made: dict[str, Any] = {"results": {}}
        make_checkpoint(run.project, kind=kind, run=run, parent=run.parent, manifest=made)


@pytest.mark.long
def test_it_goes_round_again_by_hand_and_on_by_itself(loop: ClosedLoop) -> None:
    loop.settings = replace(loop.settings, rounds=2)
    loop.go_further()
    assert not loop.report.stopped
    assert (loop.settings.seed, loop.report.counts) == (0, {})  # the report is of the first round
    by_itself, by_hand = map(measure_round, selectors.past_rounds(loop.project)[:2])
    assert [one["number"] for one in (by_hand, by_itself)] == [2, 3]
    assert [one["by_itself"] for one in (by_hand, by_itself)] == [False, True]
    judgements = [one["counts"]["judgements"] for one in (by_hand, by_itself)]
    assert judgements == [4, 4]  # all other rounds are smaller than the first
    assert all(one["evaluation"]["n"] for one in (by_hand, by_itself))
    assert "2  by hand, kept back" in "\n".join(describe_rounds([by_hand]))
    done = Round.objects.get(number=2)
    assert done.sample_run
    prompts = Item.objects.filter(batch=done.sample_run.request["batch"]).values("prompt")
    third = Round.objects.get(number=3)
    assert third.sample_run
    assert third.sample_run.config["seed"] == done.sample_run.config["seed"] + 1 == 2
    assert len(prompts) == 4


@pytest.mark.long
def test_a_second_round_begins_and_ends_by_itself(loop: ClosedLoop) -> None:
    loop.go_on()
    done = Round.objects.get(number=2)
    found = measure_round(selectors.past_rounds(loop.project)[0])
    assert found["by_itself"]
    assert found["counts"]["judgements"] == 7
    assert found["counts"]["blind comparisons"] == 4
    assert found["kl"] == 1.5
    assert found["rubric"]["after"] > found["rubric"]["before"]
    assert found["evaluation"]["n"] == found["counts"]["blind comparisons"]
    stages = {"sampling", "reward model", "policy", "suite", "evaluation"}
    assert set(found["seconds"]) == {*stages, "total"}
    assert found["against_first"]["value"] > 0.5
    assert found["suite"] == {"Regression cases passed": "1 of 1"}
    assert found["decision"] == done.decision
    text = "\n".join(describe_rounds([found]))
    assert "2  by itself" in text
    assert "reward accuracy 0.700 (two people agree 0.800), KL 1.50" in text
    assert "against the first 0." in text
    assert Automation.objects.get().mode == Automation.Mode.OFF


def test_it_ends_where_a_person_would_have_to_decide(loop: ClosedLoop) -> None:
    def break_down() -> None:
        drive_rounds()
        for run in loop.project.runs.filter(state=Run.State.QUEUED):
            fail(run)

    loop.wait = break_down
    loop.go_further()
    assert "Out of memory" in loop.report.stopped
    loop.report.decision = "Promoted."
    assert "Then it stopped. Round 2 waits for a decision" in describe(loop.report)
