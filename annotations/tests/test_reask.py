"""Comparisons that are asked again after the guidelines changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations import exports, queue, selectors, services
from annotations.models import (
    Annotation,
    Assignment,
    GuidelineVersion,
    Item,
    Kind,
    Membership,
    Project,
    Reask,
    ReaskedItem,
    User,
)
from annotations.services import ServiceError
from annotations.tests.factories import make_assignment, make_item, make_prompt

NEW = "How to do a comparison.\n\n# No titles\n\nA title above the poem counts against it.\n"


@pytest.fixture
def judged(project: Project, bob: User) -> list[Item]:
    """Twenty comparisons by bob, of which the first five show titles."""
    items = []
    for number in range(20):
        what = "Title above the poem" if number < 5 else "Frog"
        prompt = make_prompt(project, f"Prompt {number}")
        item = make_item(project, prompt=prompt, texts=[f"{what} {number}", f"pond {number}"])
        services.submit_comparison(make_assignment(item, bob), "left", "better")
        items.append(item)
    return items


@pytest.fixture
def versions(project: Project, alice: User, judged: list[Item]) -> list[GuidelineVersion]:
    old = selectors.guideline_in_force(project, Kind.COMPARISON)
    new = services.publish_guideline(project, Kind.COMPARISON, NEW, alice, note="No titles")
    assert old is not None
    return [old, new]


def answer(item: Item, user: User, *, flips: bool) -> None:
    """Let somebody judge an item again, as bob did or the other way round."""
    before = item.reasked.source.comparison
    assignment = make_assignment(item, user)
    chosen = before.right_id if flips else before.left_id
    side = "left" if assignment.shown_order[0] == chosen else "right"
    services.submit_comparison(assignment, side, "better")


def test_the_likeliest_are_asked_again_beside_a_control(
    project: Project, alice: User, judged: list[Item], versions: list[GuidelineVersion]
) -> None:
    reask = services.ask_comparisons_again(project, versions[0], 5, alice, seed=1)
    chosen = ReaskedItem.objects.filter(arm="chosen")
    assert {one.source.item_id for one in chosen} == {item.pk for item in judged[:5]}
    control = ReaskedItem.objects.filter(arm="control")
    assert control.count() == 5
    assert {one.source.item_id for one in control} <= {item.pk for item in judged[5:]}
    assert (reask.clauses, reask.candidates) == (["No titles"], 20)
    assert {one.item.priority for one in reask.items.all()} == {5}


def test_nobody_is_asked_the_same_again(
    project: Project,
    alice: User,
    bob: User,
    bea: User,
    judged: list[Item],
    versions: list[GuidelineVersion],
) -> None:
    services.ask_comparisons_again(project, versions[0], 5, alice)
    assert queue.lease_next(bob, project, Kind.COMPARISON) is None
    assignment = queue.lease_next(bea, project, Kind.COMPARISON)
    assert assignment is not None
    assert assignment.item.batch.startswith("reask-")
    assert assignment.guideline_version == versions[1]


def test_the_page_says_what_was_found(
    project: Project,
    alice: User,
    bea: User,
    client: Client,
    judged: list[Item],
    versions: list[GuidelineVersion],
) -> None:
    reask = services.ask_comparisons_again(project, versions[0], 5, alice)
    for one in reask.items.select_related("item"):
        answer(one.item, bea, flips=one.arm == "chosen")
    result = selectors.reask_results(project)[0]
    assert [(arm.asked, arm.flips.count, arm.flips.n) for arm in result.arms] == [
        (5, 5, 5),
        (5, 0, 5),
    ]
    assert result.difference is not None
    assert result.difference[1] > 0
    client.force_login(alice)
    page = client.get(reverse("annotations:ask_comparisons_again", args=[project.pk])).text
    assert "100\u00a0%" in page
    assert "finds what the change turned round" in page


def test_both_answers_stay_with_their_versions(
    project: Project,
    alice: User,
    bea: User,
    judged: list[Item],
    versions: list[GuidelineVersion],
) -> None:
    reask = services.ask_comparisons_again(project, versions[0], 1, alice)
    again = reask.items.get(arm="chosen")
    answer(again.item, bea, flips=True)
    stamped = Annotation.objects.filter(item__prompt=again.item.prompt).order_by("id")
    assert [one.guideline_version for one in stamped] == versions
    pairs = [
        row for row in exports.preferences(project.pk) if row["prompt_id"] == again.item.prompt_id
    ]
    assert sorted(row["guideline_version"] or 0 for row in pairs) == [1, 2]


def test_what_was_asked_again_is_not_asked_a_third_time(
    project: Project, alice: User, judged: list[Item], versions: list[GuidelineVersion]
) -> None:
    services.ask_comparisons_again(project, versions[0], 5, alice)
    found = selectors.prospect(project, *versions)
    assert len(found.scored) == 10


def test_where_everybody_has_judged_it_nobody_is_asked(
    project: Project, alice: User, bob: User, versions: list[GuidelineVersion]
) -> None:
    Membership.objects.filter(project=project).exclude(user=bob).update(state="paused")
    assert selectors.prospect(project, *versions).nobody_left == 20
    with pytest.raises(ServiceError, match="nothing to ask again"):
        services.ask_comparisons_again(project, versions[0], 5, alice)


def test_without_a_change_nothing_is_asked(
    project: Project, alice: User, versions: list[GuidelineVersion]
) -> None:
    with pytest.raises(ServiceError, match="not changed since"):
        services.ask_comparisons_again(project, versions[1], 5, alice)
    for count in (0, 1001):
        with pytest.raises(ServiceError, match="Ask for 1"):
            services.ask_comparisons_again(project, versions[0], count, alice)
    services.publish_guideline(project, Kind.COMPARISON, NEW + "\n", alice)
    with pytest.raises(ServiceError, match="No clause"):
        services.ask_comparisons_again(project, versions[1], 5, alice)
    assert not Reask.objects.exists()


@pytest.mark.parametrize("username", ["alice", "eve", "carol", "bob", "charlie"])
def test_owners_alone_ask_again(
    client: Client, project: Project, versions: list[GuidelineVersion], username: str
) -> None:
    client.force_login(User.objects.get(username=username))
    page = reverse("annotations:ask_comparisons_again", args=[project.pk])
    may = username == "alice"
    assert client.get(page).status_code == (200 if may else 404)
    asked = client.post(page, {"since": 1, "count": 3})
    assert asked.status_code == (303 if may else 404)
    assert Reask.objects.exists() == may
    if may:
        assert client.post(page, {"since": 1, "count": 0}).status_code == 422
        assert client.post(page, {"since": 9, "count": 1}).status_code == 404
        assert client.get(page, {"since": "x"}).status_code == 404
        assert client.put(page).status_code == 405


def test_the_page_is_there_before_anything_changed(client: Client, project: Project) -> None:
    client.force_login(project.created_by)
    page = reverse("annotations:ask_comparisons_again", args=[project.pk])
    assert "have not changed yet" in client.get(page).text


def test_the_prospect_takes_a_constant_number_of_queries(
    project: Project, versions: list[GuidelineVersion], django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(4):
        assert len(selectors.prospect(project, *versions).scored) == 20
    assert not Assignment.objects.filter(state="leased").exists()
