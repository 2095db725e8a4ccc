"""Who weighs open items, when, and what becomes of it."""

from __future__ import annotations

import json

import pytest

from annotations.algorithms.arms import LEADERBOARD, REWARD
from annotations.models import Arm, Item, Kind, Project, Split, Weighing
from annotations.tests.factories import make_completion, make_item, make_prompt
from training import artifacts, lifecycle, outcomes, services
from training.driver import weigh_questions
from training.models import Checkpoint, Run
from training.supervisor import Outcome
from training.tests.factories import make_base, make_checkpoint


def make_items(project: Project, *checkpoints: Checkpoint | None, count: int = 20) -> list[Item]:
    """Return comparisons of answers by two checkpoints, of prompts that models learn from."""
    items = []
    for number in range(count):
        prompt = make_prompt(project, f"Write about {number}.", split=Split.TRAIN)
        shown = [
            make_completion(prompt, f"{place} {prompt.pk}", checkpoint=checkpoint)
            for place, checkpoint in enumerate(checkpoints or (None, None))
        ]
        items.append(make_item(project, prompt=prompt, completions=shown))
    return items


@pytest.fixture
def certain(project: Project) -> Project:
    project.random_percent = 1
    project.save()
    return project


def test_without_a_reward_model_the_leaderboard_says_what_is_worth_asking(
    certain: Project,
) -> None:
    base = make_base(certain)
    child, other = (make_checkpoint(certain, name=name, parent=base) for name in ("b", "c"))
    make_items(certain, child, other)
    weigh_questions()
    (weighing,) = Weighing.objects.all()
    assert (weighing.weighed + weighing.at_random, weighing.model) == (20, None)
    item = Item.objects.exclude(worth=None).order_by("-worth")[0]
    assert item.expected
    assert item.expected["aim"] == LEADERBOARD
    assert item.expected["nats"] > 0
    weigh_questions()
    assert Weighing.objects.count() == 1, "nothing has changed since"


def test_where_nobody_knows_anything_the_queue_keeps_its_order(certain: Project) -> None:
    base = make_base(certain)
    make_checkpoint(certain, name="b", parent=base)
    make_items(certain)
    weigh_questions()
    weigh_questions()
    assert Weighing.objects.get().weighed == 0
    certain.refresh_from_db()
    assert certain.weighed_kinds == []


@pytest.fixture
def model(certain: Project) -> Checkpoint:
    return make_checkpoint(certain, kind="reward", name="reward-1", parent=make_base(certain))


def end(run: Run, lines: list[dict[str, object]]) -> None:
    """Let the child of a run say what items are worth."""
    attempt = lifecycle.claim(run.pk)
    assert attempt is not None
    folder = artifacts.output_folder(run)
    folder.mkdir(parents=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "worth.jsonl").write_text(text, encoding="utf-8")
    run.refresh_from_db()
    assert outcomes.record(run, attempt, Outcome(ending="done", results={"items": len(lines)}))
    run.refresh_from_db()


def test_a_new_reward_model_weighs_what_is_open(certain: Project, model: Checkpoint) -> None:
    first, second, *others = items = make_items(certain)
    weigh_questions()
    weigh_questions()
    (run,) = Run.objects.all()
    assert (run.stage, run.reward_checkpoint, run.request["kinds"]) == (
        "weigh",
        model,
        [Kind.COMPARISON],
    )
    path = artifacts._rows_file(run, write=True)
    assert path is not None
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert {row["item"] for row in rows} == {item.pk for item in items}
    lines = [
        {"item": item.pk, "kind": "comparison", "nats": 0.3, "pairs": []}
        for item in (second, first)
    ]
    out = {"item": others[0].pk, "kind": "comparison", "left_out": "too long"}
    end(run, [*lines, out])
    assert run.state == Run.State.SUCCEEDED
    weighing = Weighing.objects.get()
    assert (weighing.model, weighing.left_out) == (model, 1)
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.expected
    assert first.expected["aim"] == REWARD
    if Arm.RANDOM not in (first.arm, second.arm):
        assert second.worth > first.worth
    assert Item.objects.get(id=others[0].pk).arm in (Arm.TURN, Arm.RANDOM)


def test_a_run_that_failed_is_not_started_again_by_itself(
    certain: Project, model: Checkpoint
) -> None:
    make_items(certain)
    weigh_questions()
    run = Run.objects.get()
    attempt = lifecycle.claim(run.pk)
    assert attempt is not None
    lifecycle.fail(run.pk, attempt, "The scores are no numbers.")
    weigh_questions()
    assert Run.objects.count() == 1
    make_checkpoint(certain, kind="reward", name="reward-2", parent=model.parent)
    weigh_questions()
    assert Run.objects.count() == 2, "another model may do better"


def test_projects_that_cannot_be_weighed_do_not_keep_others_from_it(
    certain: Project, model: Checkpoint
) -> None:
    make_items(certain, count=3)
    assert services.weigh_questions(certain.pk) == []
    assert services.weigh_questions(0) == []
    assert not Run.objects.exists()


def test_where_only_evaluations_are_open_no_run_is_needed(
    certain: Project, model: Checkpoint
) -> None:
    child = make_checkpoint(certain, name="b", parent=model.parent)
    other = make_checkpoint(certain, name="c", parent=model.parent)
    items = make_items(certain, child, other)
    Item.objects.filter(id__in=[item.pk for item in items]).update(purpose="evaluation")
    weigh_questions()
    assert not Run.objects.exists()
    assert Weighing.objects.get().weighed == 20
    assert Item.objects.exclude(worth=None).count() == 20
