"""Rounds that go on by themselves, in the name of who wanted it, through the same services."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from annotations.models import Annotation, Comparison, Completion, Item, Project, User
from annotations.tests.factories import make_prompt
from training import selectors, services
from training.driver import drive_rounds
from training.models import Automation, Checkpoint, Promotion, Round, Run
from training.next_act import NeedsPerson, Waiting
from training.pipeline.config import CONFIGS
from training.services import ServiceError
from training.tests.factories import make_checkpoint, make_run

MEASURED = {"cases_passed": 2, "cases_failed": 1}
PAGES = ("run_round", "drive_by_hand", "retry_stage", "skip_stage", "set_automation")


@pytest.fixture
def policy(project: Project, alice: User) -> Checkpoint:
    """Return the promoted checkpoint of a project with prompts of every split."""
    for number, split in enumerate(["train"] * 12 + ["validation"] * 3 + ["test"] * 15):
        make_prompt(project, text=f"Write a haiku about thing {number}.", split=split)
    promoted = make_checkpoint(project, name="first")
    services.promote_checkpoint(promoted, promoted_by=alice, reason="First.", override=True)
    return promoted


def opened(project: Project) -> Round:
    return Round.objects.get(project=project, ended_at=None)


def succeed(run: Run | None, **results: Any) -> Run:
    assert run is not None
    Run.objects.filter(id=run.pk).update(state="succeeded", ended_at=Now(), results=results)
    run.refresh_from_db()
    return run


def fail(run: Run | None) -> None:
    assert run is not None
    Run.objects.filter(id=run.pk).update(state="failed", error="Out of memory.", ended_at=Now())


def compare(run: Run, voter: User, sides: tuple[Checkpoint, Checkpoint], *, won: int) -> None:
    """Make an item of each of the run's prompts and record that its first side won, or lost."""
    for number, prompt in enumerate(run.request["prompt_ids"]):
        left, right = (
            Completion.objects.create(
                prompt_id=prompt, text=f"{number} {k}", origin="checkpoint", checkpoint=side
            )
            for k, side in enumerate(sides)
        )
        item = Item.objects.create(
            project=run.project,
            kind="comparison",
            prompt_id=prompt,
            purpose=run.request["purpose"],
            batch=run.request["batch"],
            open_slots=0,
        )
        item.completions.set([left, right])
        made = Annotation.objects.create(item=item, annotator=voter, kind="comparison")
        outcome = "left" if number < won else "right"
        Comparison.objects.create(
            annotation=made, left=left, right=right, outcome=outcome, strength="better"
        )


def drive_to_the_decision(project: Project, voter: User, *, won: int) -> Run:
    """Do what workers and people do in a round that goes on by itself, until its votes are in."""
    drive_rounds()
    if not opened(project).sample_run:
        drive_rounds()
    run = succeed(opened(project).sample_run)
    compare(run, voter, (run.parent, run.parent), won=10)
    drive_rounds()
    reward = succeed(opened(project).reward_run)
    make_checkpoint(project, kind="reward", run=reward, parent=reward.parent)
    drive_rounds()
    trained = succeed(opened(project).policy_run, kl=2.0)
    child = make_checkpoint(project, run=trained, parent=trained.parent)
    drive_rounds()
    evaluation = opened(project).evaluation
    assert evaluation is not None
    compare(succeed(evaluation.run), voter, (child, trained.parent), won=won)
    drive_rounds()
    drive_rounds()  # whatever the votes say, the suite comes before the gate
    succeed(opened(project).suite_run, **MEASURED)
    return evaluation.run


@pytest.fixture
def few(project: Project, policy: Checkpoint) -> Round:
    """Return a round before, whose reward model did with as few pairs as these tests make."""
    config = {**CONFIGS["reward"]().to_dict(), "min_pairs": 3}
    run = make_run(project, "reward", config=config, state="succeeded", ended_at=now())
    return Round.objects.create(
        project=project, number=1, policy=policy, reward_run=run, decision="-", ended_at=now()
    )


def switch_on(project: Project, by: User, mode: str = "promoting") -> Automation:
    return services.set_automation(
        project, mode=mode, new_comparisons=1000, settings_from="last", changed_by=by
    )


def test_one_button_drives_a_round_to_its_promotion(
    project: Project, policy: Checkpoint, eve: User, bob: User, few: Round
) -> None:
    switch_on(project, eve, "off")
    drive_rounds()
    assert Round.objects.count() == 1
    services.run_round(project, wanted_by=eve)
    run = drive_to_the_decision(project, bob, won=1000)
    assert {one.started_by for one in project.runs.exclude(id=few.reward_run_id)} == {eve}
    assert run.request["rival_checkpoint_id"] == policy.pk
    drive_rounds()
    ended = Round.objects.get(number=2)
    assert ended.promotion is not None
    assert ended.suite_run is not None
    assert ended.reward_run is not None
    assert ended.suite_run.reward_checkpoint == ended.reward_run.checkpoint
    assert ended.promotion.promoted_by == eve
    assert "went on by itself" in ended.decision
    drive_rounds()
    assert Round.objects.count() == 2  # the button is for one round


def test_rounds_follow_each_other_until_they_prove_nothing(
    project: Project, policy: Checkpoint, eve: User, bob: User, few: Round
) -> None:
    switch_on(project, eve)
    for number in (2, 3):
        drive_to_the_decision(project, bob, won=0)
        drive_rounds()
        ended = Round.objects.get(number=number)
        assert ended.promotion is None
        assert "Kept back by itself" in ended.decision
    drive_rounds()
    assert Round.objects.count() == 3
    assert "last 2 rounds" in Automation.objects.get().asks


def test_it_stops_for_the_decision_where_a_person_wants_it(
    client: Client, project: Project, policy: Checkpoint, eve: User, bob: User, few: Round
) -> None:
    switch_on(project, eve, "until")
    drive_to_the_decision(project, bob, won=1000)
    drive_rounds()
    assert Promotion.objects.count() == 1
    client.force_login(eve)
    for page in (reverse("annotations:home"), reverse("training:loop", args=[project.pk])):
        assert "The gate is open" in client.get(page).content.decode()
    client.force_login(bob)
    assert "gate" not in client.get(reverse("annotations:home")).content.decode()


def test_a_message_that_comes_twice_does_nothing_twice(
    project: Project, policy: Checkpoint, eve: User
) -> None:
    services.run_round(project, wanted_by=eve)
    Automation.objects.update(acting_since=Now())  # another dispatcher is at work
    drive_rounds()
    assert not Run.objects.exists()
    Automation.objects.update(acting_since=None)
    drive_rounds()
    drive_rounds()
    assert Run.objects.count() == 1
    assert Automation.objects.get().acting_since is None


def test_the_next_round_goes_by_the_settings_of_the_last(
    project: Project, policy: Checkpoint, eve: User
) -> None:
    services.open_round(project)
    services.request_completions(
        project,
        checkpoint=policy,
        prompts=list(project.prompts.values_list("id", flat=True)[:7]),
        completions_per_prompt=3,
        kind="comparison",
        started_by=eve,
        config={"temperature": 0.7, "seed": 5},
    )
    services.close_round(project, decision="Try again.")
    services.run_round(project, wanted_by=eve)
    drive_rounds()
    run = opened(project).sample_run
    assert run is not None
    assert (len(run.request["prompt_ids"]), run.request["kind"]) == (7, "comparison")
    assert run.config["temperature"] == 0.7
    assert run.config["seed"] == 6
    assert run.config["completions_per_prompt"] == 3


def test_a_refusal_is_shown_once_and_tried_again_when_somebody_says_so(
    project: Project, policy: Checkpoint, eve: User, bob: User
) -> None:
    services.run_round(project, wanted_by=eve)
    drive_rounds()
    run = succeed(opened(project).sample_run)
    compare(run, bob, (policy, policy), won=3)
    drive_rounds()
    found = selectors.whats_next(project)
    assert isinstance(found, NeedsPerson)
    assert "at least 50" in found.reason
    assert Automation.objects.get().asks == found.reason
    frozen = project.snapshots.count()
    drive_rounds()
    assert project.snapshots.count() == frozen
    services.retry_stage(project)
    drive_rounds()
    assert project.snapshots.count() == frozen + 1


def test_a_failed_stage_is_retried_or_skipped_by_a_person(
    project: Project, policy: Checkpoint, eve: User, bob: User, few: Round
) -> None:
    older = make_checkpoint(project, kind="reward", name="older")
    switch_on(project, eve)
    drive_rounds()
    drive_rounds()
    fail(opened(project).sample_run)
    drive_rounds()
    assert "Out of memory" in Automation.objects.get().asks
    with pytest.raises(ServiceError, match="nothing to go on with"):
        services.skip_stage(project)
    services.retry_stage(project)
    drive_rounds()
    assert Automation.objects.get().asks == ""
    run = succeed(opened(project).sample_run)
    compare(run, bob, (policy, policy), won=10)
    drive_rounds()
    fail(opened(project).reward_run)
    services.skip_stage(project)
    drive_rounds()
    trained = opened(project).policy_run
    assert trained is not None
    assert trained.reward_checkpoint == older


def test_a_suite_that_failed_is_retried_or_skipped_by_a_person(
    client: Client, project: Project, policy: Checkpoint, eve: User, bob: User, few: Round
) -> None:
    reported = make_run(project, "suite", config={**CONFIGS["suite"]().to_dict(), "seed": 3})
    Run.objects.filter(id=reported.pk).update(request={"prompt_ids": [1, 2], "split": "test"})
    services.run_round(project, wanted_by=eve)
    drive_to_the_decision(project, bob, won=1000)
    suite = opened(project).suite_run
    assert suite is not None
    assert (suite.config["seed"], len(suite.request["prompt_ids"])) == (4, 2)
    fail(suite)
    drive_rounds()
    assert "Out of memory" in Automation.objects.get().asks
    client.force_login(eve)
    page = client.get(reverse("training:loop", args=[project.pk])).text
    assert "Go on without the suite" in page
    assert "Retry this stage" in page
    assert page.count("button--primary") == 1
    services.retry_stage(project)
    drive_rounds()
    again = opened(project).suite_run
    assert again is not None
    assert again != suite
    fail(again)
    services.skip_stage(project)
    drive_rounds()
    assert Round.objects.get(number=2).promotion is not None


def test_the_loop_page_shows_the_suite_with_its_numbers(
    client: Client, project: Project, policy: Checkpoint, eve: User, bob: User, few: Round
) -> None:
    services.run_round(project, wanted_by=eve)
    drive_to_the_decision(project, bob, won=0)
    client.force_login(eve)
    page = client.get(reverse("training:loop", args=[project.pk])).text
    assert "Regression cases passed" in page
    assert "2 of 3" in page
    assert "What it measured" in page


def test_a_person_need_not_wait_for_the_rest(
    project: Project, policy: Checkpoint, eve: User, bob: User, few: Round
) -> None:
    switch_on(project, eve)
    drive_rounds()
    drive_rounds()
    run = succeed(opened(project).sample_run)
    compare(run, bob, (policy, policy), won=10)
    Item.objects.filter(id__gt=Item.objects.order_by("id")[9].pk).update(open_slots=1)
    drive_rounds()
    found = selectors.whats_next(project)
    assert isinstance(found, Waiting)
    assert f"10 of {len(run.request['prompt_ids'])}" in found.reason
    services.skip_stage(project)
    drive_rounds()
    assert opened(project).reward_run is not None


def test_it_does_nothing_in_the_name_of_who_left(
    project: Project, policy: Checkpoint, eve: User, alice: User
) -> None:
    services.run_round(project, wanted_by=eve)
    project.memberships.filter(user=eve).delete()
    drive_rounds()
    assert not Run.objects.exists()
    assert "no longer trains here" in Automation.objects.get().asks
    services.run_round(project, wanted_by=alice)
    drive_rounds()
    assert Run.objects.get().started_by == alice


def test_a_round_can_be_taken_back_into_hand(
    project: Project, policy: Checkpoint, eve: User
) -> None:
    services.run_round(project, wanted_by=eve)
    services.drive_by_hand(project)
    drive_rounds()
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "wrong", [{"mode": "always"}, {"new_comparisons": 0}, {"settings_from": "nothing"}]
)
def test_it_refuses_what_it_cannot_do_by_itself(
    project: Project, eve: User, wrong: dict[str, Any]
) -> None:
    values = {"mode": "until", "new_comparisons": 9, "settings_from": "last", **wrong}
    with pytest.raises(ServiceError, match="Choose"):
        services.set_automation(project, **values, changed_by=eve)
    assert not Automation.objects.exists()


def test_the_buttons_of_the_loop_page_work(
    client: Client, project: Project, policy: Checkpoint, eve: User
) -> None:
    client.force_login(eve)
    loop = reverse("training:loop", args=[project.pk])
    page = client.get(loop).content.decode()
    assert "Run the next round" in page
    assert "Open the next round" in page
    assert page.count("button--primary") == page.count('id="act-run-round"') == 1
    fields = {"mode": "until", "new_comparisons": "7", "settings_from": "last"}
    client.post(reverse("training:set_automation", args=[project.pk]), fields)
    assert Automation.objects.get().new_comparisons == 7
    refused = client.post(
        reverse("training:set_automation", args=[project.pk]), {"mode": "x"}, follow=True
    )
    assert "Nothing was saved" in refused.content.decode()
    client.post(reverse("training:run_round", args=[project.pk]))
    drive_rounds()
    fail(opened(project).sample_run)
    page = client.get(loop).content.decode()
    assert "Waits for your decision" in page
    assert "Retry this stage" in page
    client.post(reverse("training:retry_stage", args=[project.pk]))
    assert opened(project).sample_run is None
    client.post(reverse("training:drive_by_hand", args=[project.pk]))
    assert opened(project).driven_by is None
    refused = client.post(reverse("training:skip_stage", args=[project.pk]), follow=True)
    assert "nothing to go on with" in refused.content.decode()


@pytest.mark.parametrize("page", PAGES)
def test_the_buttons_are_for_who_trains(
    client: Client, project: Project, bob: User, eve: User, page: str
) -> None:
    address = reverse(f"training:{page}", args=[project.pk])
    client.force_login(bob)
    assert client.post(address).status_code == 404
    client.force_login(eve)
    assert client.get(address).status_code == 405
