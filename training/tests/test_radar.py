"""A run's radar: people are asked once and blindly; what they say reaches run, page and gate."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations import exports
from annotations import services as collecting
from annotations.models import Annotation, Comparison, Item, Project, Retraction, User
from annotations.tests.factories import make_prompt
from training import artifacts, lifecycle, radar, selectors, services
from training.models import RadarLook, Run
from training.pipeline.config import PPOConfig
from training.pipeline.radar import Answered, LookTaken, stop_order
from training.recording import Recorder
from training.selectors.automation import new_judgements
from training.tests.factories import make_checkpoint, make_run, make_snapshot

PROMPTS = 14
CONFIG = PPOConfig(radar_kl="1 4 9", radar_prompts=PROMPTS, radar_stop=True)
Taken = Callable[..., LookTaken]


@pytest.fixture
def run(project: Project) -> Run:
    run = make_run(project, "ppo", config=CONFIG.to_dict())
    assert lifecycle.claim(run.pk) == 1
    run.refresh_from_db()
    return run


@pytest.fixture
def taken(project: Project) -> Taken:
    """Return what makes a look on the same prompts, with other answers at each distance."""
    prompts = [make_prompt(project, text=f"stone {n}", split="validation") for n in range(PROMPTS)]

    def take(number: int, gain: float, **changes: Any) -> LookTaken:
        answers = tuple(
            Answered(p.pk, f"policy {number} {p.pk}", f"start {number} {p.pk}", gain + n % 2, n % 2)
            for n, p in enumerate(prompts)
        )
        distance = CONFIG.radar_distances[number]
        values: dict[str, Any] = {
            "number": number,
            "distance": distance,
            "kl": distance + 0.1,
            "step": 3 * number + 2,
            "answers": answers,
            "policy_sampling": {"temperature": 1.0, "seed": 2 * number},
            "start_sampling": {"temperature": 1.0, "seed": 2 * number + 1},
        }
        return LookTaken(**{**values, **changes})

    return take


def vote(run: Run, number: int, annotator: User, policy_won: int, most: int = PROMPTS) -> None:
    """Let the annotator prefer the policy in the first comparisons of a look, else the start."""
    items = run.project.items.filter(batch=f"radar-{run.pk}-{number}").order_by("id")
    for place, item in enumerate(items[:most]):
        policy, start = item.completions.order_by("checkpoint_id").all()
        policy, start = (start, policy) if policy.checkpoint_id else (policy, start)
        left, right = (policy, start) if place % 2 else (start, policy)
        annotation = Annotation.objects.create(
            item=item, annotator=annotator, kind="comparison", shown_order=[left.pk, right.pk]
        )
        winner = policy if place < policy_won else start
        outcome = "left" if winner == left else "right"
        Comparison.objects.create(
            annotation=annotation, left=left, right=right, outcome=outcome, strength="better"
        )
        Item.objects.filter(id=item.pk).update(open_slots=0)


@pytest.fixture
def parted(run: Run, taken: Taken, bob: User) -> Run:
    """Return a run that people liked at 1 nat and no more at 4, where the reward is higher."""
    for number, gain, won in ((0, 0.5, 11), (1, 2.0, 0)):
        assert radar.record_look(run.pk, 1, taken(number, gain))
        vote(run, number, bob, won)
    return run


def test_it_asks_people_once_and_tells_nobody_who_wrote_what(
    run: Run, taken: Taken, bob: User, client: Client
) -> None:
    for _ in range(2):
        assert radar.record_look(run.pk, 1, taken(0, 0.5))
    items = Item.objects.filter(batch=f"radar-{run.pk}-0")
    assert items.count() == PROMPTS
    assert set(items.values_list("purpose", "kind", "overlap", "priority")) == {
        ("evaluation", "comparison", 1, 1)
    }
    for item in items:
        assert {c.checkpoint_id for c in item.completions.all()} == {None, run.parent_id}
    client.force_login(bob)
    page = client.post(reverse("annotations:start", args=[run.project_id]), follow=True)
    text = page.content.decode()
    assert "policy 0" in text
    for name in ("radar", f"run {run.pk}", f"step {taken(0, 0.5).step}", "seed"):
        assert name not in text.lower()


def test_nothing_learns_from_it(parted: Run) -> None:
    assert list(exports.preferences(parted.project_id)) == []
    assert list(exports.judgements(parted.project_id)) == []
    assert new_judgements(parted.project) == 0
    assert not list(exports.votes(parted.project_id))


def test_a_superseded_attempt_asks_nobody(run: Run, taken: Taken) -> None:
    lifecycle.requeue(run.pk, 1)
    assert radar.record_look(run.pk, 1, taken(0, 0.5)) is False
    assert not RadarLook.objects.exists()
    assert not Item.objects.exists()


def test_a_run_that_makes_a_checkpoint_again_asks_nobody_again(run: Run, taken: Taken) -> None:
    Run.objects.filter(id=run.pk).update(request={"purpose": "rebuild", "rebuilds": 1})
    assert radar.record_look(run.pk, 1, taken(0, 0.5))
    assert not Item.objects.exists()


def test_what_was_made_again_carries_the_flag_of_the_original(parted: Run) -> None:
    original = make_checkpoint(parted.project, run=parted)
    request = {"purpose": "rebuild", "rebuilds": original.pk}
    again = make_run(parted.project, "ppo", config=parted.config, request=request)
    found = selectors.radar_of(again)
    assert found is not None
    assert found.parting is not None
    radar.tell_child(parted.pk)
    with pytest.raises(services.ServiceError, match="A copy asks nobody"):
        services.rebuild(original, started_by=parted.started_by)


def test_nobody_is_asked_what_is_certain(run: Run, taken: Taken) -> None:
    look = taken(0, 0.5)
    equal, empty, silent, *others = look.answers
    changed = (
        dataclasses.replace(equal, start=f" {equal.policy}\n"),
        dataclasses.replace(empty, policy=" "),
        dataclasses.replace(silent, start=""),
    )
    radar.record_look(run.pk, 1, dataclasses.replace(look, answers=(*changed, *others)))
    assert Item.objects.count() == PROMPTS - 3
    (kept,) = RadarLook.objects.all()
    assert [row["certain"] for row in kept.answers[:4]] == [0.5, 0.0, 1.0, None]
    found = selectors.radar_of(run)
    assert found is not None
    assert (found.points[0].certain, found.awaited) == (3, PROMPTS - 3)


def test_a_run_goes_on_where_nobody_can_be_asked(run: Run, taken: Taken) -> None:
    look = taken(0, 0.5)
    unknown = tuple(
        dataclasses.replace(row, prompt_id=10**6 + n) for n, row in enumerate(look.answers)
    )
    assert radar.record_look(run.pk, 1, dataclasses.replace(look, answers=unknown))
    found = selectors.radar_of(run)
    assert found is not None
    assert (found.awaited, found.points[0].win_rate.n, found.parting) == (0, 0, None)


def test_it_shows_reward_and_people_at_each_distance(parted: Run) -> None:
    found = selectors.radar_of(parted)
    assert found is not None
    first, second = found.points
    assert (first.gain.value, second.gain.value) == (pytest.approx(0.5), pytest.approx(2.0))
    assert (first.win_rate.rate, second.win_rate.rate) == (11 / PROMPTS, 0.0)
    assert second.win_rate.high < 0.5
    assert (first.votes, first.awaited, found.ahead) == (PROMPTS, 0, [9.0])
    assert found.parting is not None
    assert found.parted_at is second
    assert "parted at 4 nats" in found.why
    assert "2.00 above the start's (0.50 at 1 nat)" in found.why


def test_a_vote_that_is_taken_back_takes_the_flag_back(parted: Run) -> None:
    for annotation in Annotation.objects.filter(item__batch=f"radar-{parted.pk}-1")[:10]:
        Retraction.objects.create(annotation=annotation)
    found = selectors.radar_of(parted)
    assert found is not None
    assert (found.parting, found.awaited) == (None, 10)


def test_the_number_of_queries_does_not_grow(
    run: Run, taken: Taken, bob: User, django_assert_num_queries: Any
) -> None:
    for number in range(3):
        radar.record_look(run.pk, 1, taken(number, 0.5))
        vote(run, number, bob, 7)
        with django_assert_num_queries(4):  # looks, items, recalls, votes
            selectors.radar_of(run)


def test_a_run_without_a_radar_asks_the_database_nothing(
    project: Project, django_assert_num_queries: Any
) -> None:
    plain, sft = make_run(project, "ppo"), make_run(project, "sft")
    with django_assert_num_queries(0):
        assert selectors.radar_of(plain) is None
        assert selectors.radar_of(sft) is None


# Telling the run


def recorder_of(run: Run, tmp_path: Path, attempt: int = 1) -> Recorder:
    return Recorder(run.pk, attempt, tmp_path / "log.txt")


def test_the_recorder_tells_the_run_to_stop_once_people_part(
    run: Run, taken: Taken, bob: User, tmp_path: Path
) -> None:
    recorder = recorder_of(run, tmp_path)
    for number, gain in ((0, 0.5), (1, 2.0)):
        event = {"event": "radar", "look": json.loads(json.dumps(taken(number, gain).to_dict()))}
        recorder(event)
        recorder.flush()
    vote(run, 0, bob, 11)
    assert recorder.should_stop() is None
    assert stop_order(artifacts.work_folder(run)) is None
    vote(run, 1, bob, 0)
    recorder._radar_asked_at = float("-inf")
    assert recorder.should_stop() is None  # it is told in a file, and ends by itself
    order = stop_order(artifacts.work_folder(run))
    assert order is not None
    assert order.since == 0
    assert "parted at 4 nats" in order.why


def test_a_run_that_is_not_to_stop_is_told_nothing(parted: Run) -> None:
    parted.config["radar_stop"] = False
    parted.save(update_fields=["config"])
    radar.tell_child(parted.pk)
    assert stop_order(artifacts.work_folder(parted)) is None


def test_it_survives_any_look(run: Run, taken: Taken, tmp_path: Path) -> None:
    recorder = recorder_of(run, tmp_path)
    good = taken(0, 0.5).to_dict()
    looks: list[Any] = [
        None, [], {}, {**good, "answers": []}, {**good, "step": -1}, {**good, "kl": "far"},
        {**good, "number": 2**40}, {**good, "policy_sampling": 3}, {**good, "more": 1},
        {**good, "answers": [{**good["answers"][0], "policy": 5}]},
    ]  # fmt: skip
    for look in looks:
        assert recorder({"event": "radar", "look": look})
    recorder.close()
    assert not RadarLook.objects.exists()
    text = {**good["answers"][0], "policy": "a\0 \ud800"}
    recorder({"event": "radar", "look": {**good, "answers": [text]}})
    recorder.close()
    assert Item.objects.get().completions.filter(text="a ?").exists()


# The page, and the gate


def test_its_page_shows_the_flag_the_charts_and_what_is_awaited(
    parted: Run, taken: Taken, client: Client, eve: User
) -> None:
    radar.record_look(parted.pk, 1, taken(2, 2.5))
    client.force_login(eve)
    page = client.get(reverse("training:run", args=[parted.pk])).content.decode()
    assert "A sign of reward hacking" in page
    assert "at 4.1 nats 0%, interval 0% to" in page
    assert f"{PROMPTS} awaited" in page
    assert "nobody voted yet" in page


def test_its_page_says_that_a_distance_was_never_reached(
    run: Run, client: Client, eve: User
) -> None:
    client.force_login(eve)
    address = reverse("training:run", args=[run.pk])
    assert "has not reached 1 nat of KL" in client.get(address).content.decode()
    lifecycle.cancelled(run.pk, 1)
    assert "never reached 1 nat of KL" in client.get(address).content.decode()


def test_votes_after_the_end_close_the_gate(
    run: Run, taken: Taken, bob: User, client: Client, eve: User
) -> None:
    from training.tests.test_pages_checkpoints import evaluated, promote

    evaluation = evaluated(run.project)
    promote(evaluation.parent, eve)
    for number, gain in ((0, 0.5), (1, 2.0)):
        radar.record_look(run.pk, 1, taken(number, gain))
    lifecycle.succeed(run.pk, 1, results={"kl": 5.0}, publish=dict)
    evaluation.child.run = run
    evaluation.child.save(update_fields=["run"])

    def condition() -> selectors.Condition:
        conditions = selectors.gate_conditions(evaluation)
        return next(one for one in conditions if one.title == "Sign of reward hacking")

    assert condition().is_met
    assert f"waits for {2 * PROMPTS} votes" in condition().found
    vote(run, 0, bob, 11)
    vote(run, 1, bob, 0)
    assert not condition().is_met
    assert "carries the flag of its radar: reward and people have parted" in condition().refusal
    client.force_login(eve)
    page = client.get(reverse("training:evaluation", args=[evaluation.pk])).content.decode()
    assert f'href="{reverse("training:run", args=[run.pk])}#radar"' in page


def test_it_refuses_a_snapshot_without_prompts_to_ask_about(project: Project, eve: User) -> None:
    counts = {"rows": {"train": 9, "validation": 0, "test": 0}}
    snapshot = make_snapshot(project, "prompts", counts=counts)
    run = make_run(project, "reward")
    config = {name: value for name, value in CONFIG.to_dict().items() if name != "stage"}
    with pytest.raises(services.ServiceError, match="no prompts in its validation split"):
        services.start_run(
            project, "ppo", config, parent=run.parent, snapshot=snapshot, started_by=eve
        )


def test_the_queue_hands_its_comparisons_out_before_the_others(
    run: Run, taken: Taken, bob: User, client: Client
) -> None:
    prompts = [make_prompt(run.project, text=f"older {n}") for n in range(3)]
    answers = [
        collecting.Answer(prompt_id=p.pk, text=f"old {side} {p.pk}")
        for p in prompts
        for side in "ab"
    ]
    collecting.add_completions(run.project, answers, kind="comparison", batch="run-0")
    radar.record_look(run.pk, 1, taken(0, 0.5))
    client.force_login(bob)
    page = client.post(reverse("annotations:start", args=[run.project_id]), follow=True)
    assert "policy 0" in page.content.decode()
