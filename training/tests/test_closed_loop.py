"""The measured loop goes on by itself: people are simulated over HTTP, the rest is real."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils.timezone import now

from annotations.models import Kind, Project, User
from annotations.tests.factories import make_completion, make_item, make_prompt
from conftest import PASSWORD
from training import selectors, services
from training.closed_loop import ClosedLoop, LoopFailed, Settings, describe_rounds, measure_round
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
        Settings(rounds=2, prompts=1000),
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
        make_checkpoint(run.project, kind=kind, run=run, parent=run.parent)


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
    with pytest.raises(LoopFailed, match="Out of memory"):
        loop.go_on()
