"""What is asked next: chosen by worth, a standing share at random, and what that saved."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotations import queue, services
from annotations.models import (
    Arm,
    Assignment,
    Draw,
    Item,
    Kind,
    Membership,
    Project,
    Split,
    User,
    Weighing,
)
from annotations.selectors.asking import asking
from annotations.services import ItemWorth, record_worth
from annotations.tests.factories import (
    make_assignment,
    make_comparison,
    make_item,
    make_prompt,
    run_out,
)


def worth(item: Item, nats: float, aim: str = "reward", seconds: float = 10.0) -> ItemWorth:
    first, second = sorted(item.completions.values_list("id", flat=True))[:2]
    pair: Any = {"first": first, "second": second, "mean": 0.0, "variance": 2.0, "share": 1.0}
    return ItemWorth(
        item.pk, {"aim": aim, "nats": nats, "seconds": seconds, "pairs": [pair] if aim else []}
    )


def weigh(project: Project, items: Sequence[Item], aim: str = "reward", seed: int = 0) -> Weighing:
    """Weigh items that are to be asked in this order."""
    worths = [worth(item, 1 / (place + 1), aim) for place, item in enumerate(items)]
    return record_worth(project, Kind.COMPARISON, worths, rng=random.Random(seed))


def lease(user: User, project: Project, seed: int = 0) -> Assignment:
    found = queue.lease_next(user, project, Kind.COMPARISON, rng=random.Random(seed))
    assert found is not None
    return found


@pytest.fixture
def choosing(project: Project) -> Project:
    """Return the project with as good as nothing at random, so that a test knows what comes."""
    project.random_percent = 1
    project.save()
    return project


def in_arm(items: Sequence[Item], arm: str) -> list[Item]:
    return [one for one in items if Item.objects.get(id=one.pk).arm == arm]


def test_it_asks_first_what_is_worth_most(choosing: Project, bob: User) -> None:
    old, middle, best = (make_item(choosing) for _ in range(3))
    weigh(choosing, [best, middle, old], seed=1)
    order = []
    for _ in range(3):
        assignment = lease(bob, choosing)
        order.append(assignment.item)
        services.submit_comparison(assignment, "tie", "")
    assert order == [best, middle, old]


def test_an_item_that_nobody_weighed_waits_for_those_that_somebody_did(
    choosing: Project, bob: User
) -> None:
    unweighed = make_item(choosing)
    weighed = make_item(choosing)
    weigh(choosing, [weighed], seed=1)
    first = lease(bob, choosing)
    assert first.item == weighed
    services.submit_comparison(first, "tie", "")
    assert lease(bob, choosing).item == unweighed


def test_what_is_urgent_goes_before_every_choice(choosing: Project, bob: User) -> None:
    weigh(choosing, [make_item(choosing)], seed=1)
    urgent = make_item(choosing, priority=5)
    assert lease(bob, choosing).item == urgent
    assert not Draw.objects.exists()


def test_without_a_worth_the_oldest_comes_first(project: Project, bob: User) -> None:
    oldest = make_item(project)
    make_item(project)
    record_worth(project, Kind.COMPARISON, [])
    project.refresh_from_db()
    assert project.weighed_kinds == []
    assert lease(bob, project).item == oldest


def test_a_share_is_drawn_at_random_in_the_order_of_lots_and_says_so(
    project: Project, bob: User
) -> None:
    project.random_percent = 30
    project.save()
    items = [make_item(project) for _ in range(30)]
    weigh(project, items)
    aside = in_arm(items, Arm.RANDOM)
    assert 3 <= len(aside) <= 16
    assert all(Item.objects.get(id=item.pk).worth is None for item in aside)
    drawn = []
    for seed in range(12):
        assignment = lease(bob, project, seed)
        if assignment.draw.arm == Arm.RANDOM:
            drawn.append(assignment.item)
        services.submit_comparison(assignment, "left", "better")
    assert Counter(Draw.objects.values_list("arm", flat=True))[Arm.RANDOM] == len(drawn)
    assert 1 <= len(drawn) <= 9
    assert drawn == sorted(aside, key=lambda item: Item.objects.get(id=item.pk).lot)[: len(drawn)]
    assert all(draw.expected["nats"] > 0 for draw in Draw.objects.all())


def test_who_is_kept_for_chance_stays_there_whatever_is_found_later(project: Project) -> None:
    project.random_percent = 50
    project.save()
    items = [make_item(project) for _ in range(20)]
    weigh(project, items, seed=1)
    aside = in_arm(items, Arm.RANDOM)
    project.random_percent = 1
    project.save()
    weigh(project, items[::-1], seed=2)
    assert in_arm(items, Arm.RANDOM) == aside
    assert 0 < len(aside) < 20


def test_for_training_nothing_is_asked_again_before_all_was_asked(
    choosing: Project, bob: User, bea: User
) -> None:
    best, other = (make_item(choosing, overlap=2) for _ in range(2))
    weigh(choosing, [best, other], seed=1)
    assert lease(bob, choosing).item == best
    assert lease(bea, choosing).item == other
    weigh(choosing, [best, make_item(choosing)], seed=3)
    found = Item.objects.get(id=best.pk)
    assert found.worth is not None
    assert found.worth < 0, "it lies behind whatever nobody was asked yet"


def test_an_evaluation_is_brought_to_its_end(choosing: Project, bob: User, bea: User) -> None:
    item = make_item(choosing, overlap=2, purpose=Item.Purpose.EVALUATION)
    weigh(choosing, [item, make_item(choosing)], aim="leaderboard", seed=1)
    assert lease(bob, choosing).item == lease(bea, choosing).item == item


def test_held_out_prompts_are_asked_in_turn_and_by_no_choice(project: Project) -> None:
    prompt = make_prompt(project)
    prompt.split = Split.TEST
    prompt.save()
    held_out, trained = make_item(project, prompt=prompt), make_item(project)
    rows = {row["item_id"]: row for row in services.open_questions(project, Kind.COMPARISON)}
    assert rows[trained.pk]["learns"] == (trained.prompt.split == Split.TRAIN)
    assert not rows[held_out.pk]["learns"]
    record_worth(project, Kind.COMPARISON, [worth(held_out, 0, aim="")], rng=random.Random(1))
    assert Item.objects.get(id=held_out.pk).arm == Arm.TURN


def test_aims_take_turns_by_how_many_items_each_has(choosing: Project) -> None:
    training = [make_item(choosing) for _ in range(6)]
    evaluation = [make_item(choosing, purpose=Item.Purpose.EVALUATION) for _ in range(3)]
    worths = [worth(item, 1) for item in training]
    worths += [worth(item, 0.001, aim="leaderboard") for item in evaluation]
    record_worth(choosing, Kind.COMPARISON, worths, rng=random.Random(1))
    order = Item.objects.filter(worth__isnull=False).order_by("-worth", "id")
    purposes = [item.purpose == Item.Purpose.EVALUATION for item in order]
    assert sum(purposes[:3]) == 1, "a third of all, a third of the first"


def test_laws_hold_for_what_is_chosen(choosing: Project, bob: User, bea: User) -> None:
    item = make_item(choosing)
    weigh(choosing, [item, make_item(choosing)], seed=1)
    mine = lease(bob, choosing)
    assert mine.item == item
    assert lease(bob, choosing) == mine, "one lease at a time"
    assert lease(bea, choosing).item != item, "no place is left"
    run_out(mine)
    Membership.objects.filter(user=bob).update(queue_marks={})
    again = lease(bob, choosing)
    assert again.pk == mine.pk
    assert Draw.objects.filter(assignment=mine).count() == 1


def test_marks_stay_where_they_are_when_an_item_is_drawn(choosing: Project, bob: User) -> None:
    first, last = make_item(choosing), make_item(choosing)
    weigh(choosing, [last], seed=1)
    services.submit_comparison(lease(bob, choosing), "tie", "")
    assert Membership.objects.get(user=bob).queue_marks == {}
    assert lease(bob, choosing).item == first


def test_choosing_takes_a_fixed_number_of_statements(choosing: Project, bob: User) -> None:
    counts = []
    for size in (3, 12):
        items = [make_item(choosing) for _ in range(size)]
        weigh(choosing, items, seed=1)
        with CaptureQueriesContext(connection) as captured:
            assignment = lease(bob, choosing)
        counts.append(len(captured))
        services.submit_comparison(assignment, "tie", "")
    assert counts[0] == counts[1]


def test_the_indexes_answer_whatever_the_length_of_the_queue(choosing: Project, bob: User) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("the plan is read as SQLite writes it")
    from annotations.selectors.queue import drawn_items

    for at_random, index in ((True, "item_lot"), (False, "item_worth")):
        rows = drawn_items(bob, choosing, Kind.COMPARISON, at_random=at_random)[:1]
        plan = rows.explain()
        assert index in plan
        assert "TEMP B-TREE" not in plan


def test_it_is_due_when_that_may_change_something(project: Project) -> None:
    assert services.due_for_weighing(project, None) == []
    items = [make_item(project) for _ in range(20)]
    assert [one.why for one in services.due_for_weighing(project, None)] == ["first"]
    weigh(project, items)
    assert services.due_for_weighing(project, None) == []
    more = [make_item(project) for _ in range(20)]
    assert [one.why for one in services.due_for_weighing(project, None)] == ["new"]
    Item.objects.filter(id__in=[item.pk for item in more]).delete()
    Weighing.objects.update(weighed=500)
    assert [one.why for one in services.due_for_weighing(project, None)] == ["used"]
    project.random_percent = 100
    assert services.due_for_weighing(project, None) == []


def test_what_an_answer_costs_follows_its_length_and_the_rates(project: Project) -> None:
    make_item(project)
    (row,) = services.open_questions(project, Kind.COMPARISON)
    words = sum(len(shown["text"].split()) for shown in row["completions"])
    words += sum(len(turn["content"].split()) for turn in row["prompt"])
    assert row["seconds"] == pytest.approx(8 + words / 4)


def answer(item: Item, person: User) -> None:
    """Let somebody who was handed an item by its arm choose a side."""
    assignment = make_assignment(item, person, state=Assignment.State.SUBMITTED)
    found = Item.objects.get(id=item.pk)
    Draw.objects.create(
        assignment=assignment,
        project_id=found.project_id,
        arm=found.arm,
        expected=found.expected or {},
    )
    make_comparison(item, person, "left", "better", assignment=assignment)


def test_the_page_says_what_choosing_saved(
    client: Client, project: Project, alice: User, bob: User, bea: User
) -> None:
    project.random_percent = 50
    project.save()
    items = [make_item(project) for _ in range(50)]
    weigh(project, items, seed=5)
    # What was kept for chance is nearly known already, so that it tells little.
    for item in Item.objects.filter(arm=Arm.RANDOM):
        assert item.expected
        item.expected["pairs"][0]["variance"] = 0.1
        item.save()
    for number, item in enumerate(items):
        answer(item, [bob, bea][number % 2])
    found = asking(project)
    (aim,) = found.aims
    assert aim.found.missing == ""
    assert aim.verdict == "saves"
    assert found.people == 2
    client.force_login(alice)
    page = client.get(reverse("annotations:next_items", args=[project.pk])).content.decode()
    assert "Choosing saves." in page
    assert "50 % of what is handed out" in page


def test_a_tie_tells_a_reward_model_nothing(choosing: Project, bob: User) -> None:
    weigh(choosing, [make_item(choosing)], seed=1)
    services.submit_comparison(lease(bob, choosing), "tie", "")
    (aim,) = asking(choosing).aims
    assert aim.found.chosen.answers == 1
    assert aim.found.chosen.by_answer is None


def test_the_page_says_why_nothing_can_be_said(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    client.force_login(alice)
    address = reverse("annotations:next_items", args=[project.pk])
    assert "Nothing was weighed yet" in client.get(address).content.decode()
    record_worth(project, Kind.COMPARISON, [])
    assert "Nothing can be said of the open items" in client.get(address).content.decode()
    weigh(project, [make_item(project)], seed=1)
    services.submit_comparison(lease(bob, project), "tie", "")
    page = client.get(address).content.decode()
    assert "Of the chosen items 1 are answered; 20 are needed." in page
    assert "by one person" in page
    project.random_percent = 100
    project.save()
    assert "Nothing is chosen" in client.get(address).content.decode()


@pytest.mark.parametrize(
    ("username", "status"),
    [("alice", 200), ("eve", 200), ("carol", 404), ("bob", 404), ("charlie", 404)],
)
def test_the_page_is_for_those_who_lead(
    client: Client, project: Project, username: str, status: int
) -> None:
    client.force_login(User.objects.get(username=username))
    address = reverse("annotations:next_items", args=[project.pk])
    assert client.get(address).status_code == status
    assert client.post(address).status_code == 405


def test_nobody_who_labels_sees_how_an_item_was_drawn(
    client: Client, choosing: Project, bob: User
) -> None:
    weigh(choosing, [make_item(choosing)], seed=1)
    assignment = lease(bob, choosing)
    client.force_login(bob)
    page = client.get(reverse("annotations:assignment", args=[assignment.pk])).content.decode()
    data = client.get(reverse("annotations:own_data_file")).getvalue().decode()
    for word in ("variance", '"arm"', "next_items"):
        assert word not in page
        assert word not in data
