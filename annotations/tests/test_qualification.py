"""Who is handed which kind of work: groups, practice and tests."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations import exports, queue, services
from annotations.models import (
    Annotation,
    Group,
    Item,
    Kind,
    KindRule,
    Membership,
    Project,
    ScreeningAnswer,
    TestAttempt,
    User,
)
from annotations.selectors import closed_kinds, question_about, work_waiting_for
from annotations.tests.factories import make_assignment, make_item


def url(name: str, project: Project, *args: object) -> str:
    return reverse(f"annotations:{name}", args=[project.pk, *args])


def make_gold(project: Project, outcome: str = "left") -> Item:
    """Return a gold comparison whose older completion is the better one, or that is a tie."""
    item = make_item(project, purpose="gold", overlap=100)
    left, right = sorted(item.completions.values_list("id", flat=True))
    item.gold = {"left": left, "right": right, "outcome": outcome, "strength": ""}
    item.save(update_fields=["gold"])
    return item


def make_rule(project: Project, kind: str = Kind.COMPARISON, **changes: Any) -> KindRule:
    values: dict[str, Any] = {
        "group": None,
        "is_tested": True,
        "pass_percent": 75,
        "questions": 4,
        "attempts": 2,
        **changes,
    }
    return services.set_kind_rule(project, kind, **values)


def said(person: User, item: Item, *, right: bool) -> str:
    """Return what a person has to say to be right or wrong, as they see the item."""
    question = question_about(person, item, 1, 1)
    known = min(completion.pk for completion in question.shown)
    return "left" if (question.shown[0].pk == known) == right else "right"


def take_test(rule: KindRule, person: User, right: int) -> TestAttempt:
    attempt = services.begin_test(rule, person)
    for number, item_id in enumerate(attempt.items):
        item = Item.objects.get(id=item_id)
        attempt = services.answer_test(attempt, item, said(person, item, right=number < right))
    return attempt


# Groups


def test_a_kind_kept_for_a_group_is_handed_to_nobody_else(
    project: Project, bob: User, bea: User
) -> None:
    make_item(project, overlap=2)
    member = Membership.objects.get(project=project, user=bob)
    group = services.save_group(project, "Poets", [member.pk])
    make_rule(project, group=group, is_tested=False)
    assert work_waiting_for(bea, project)[Kind.COMPARISON] == 0
    assert queue.lease_next(bea, project) is None
    assert queue.lease_next(bea, project, Kind.COMPARISON) is None
    assert [(one.kind, one.needs_test) for one in closed_kinds(bea, project)] == [
        ("comparison", False)
    ]
    assert work_waiting_for(bob, project)[Kind.COMPARISON] == 1
    assert queue.lease_next(bob, project) is not None


def test_other_kinds_stay_open_and_what_is_held_is_kept(project: Project, bob: User) -> None:
    held = make_assignment(make_item(project), bob)
    make_item(project, Kind.DEMONSTRATION)
    make_rule(project)
    assert queue.lease_next(bob, project) == held
    services.submit_comparison(held, "tie")
    following = queue.lease_next(bob, project)
    assert following is not None
    assert following.item.kind == Kind.DEMONSTRATION


def test_a_group_that_work_is_kept_for_is_not_deleted(project: Project) -> None:
    group = services.save_group(project, "Poets", [])
    make_rule(project, group=group)
    with pytest.raises(services.ServiceError, match="kept for this group"):
        services.delete_group(group)
    make_rule(project, group=None)
    services.delete_group(group)
    assert not Group.objects.exists()


# Practice


def test_practice_tells_right_from_wrong_and_why(
    client: Client, project: Project, bob: User
) -> None:
    rule = make_rule(project)
    first, second = make_gold(project), make_gold(project)
    for item in (first, second):
        services.practise_with(item, "It has a <frog>.")
    client.force_login(bob)
    page, answering = (
        url("qualify", project, "comparison"),
        url("qualify_answer", project, "comparison"),
    )
    assert "Practice" in client.get(page).text
    assert "1 of 2" in client.get(page).text
    assert client.post(answering, {"item": first.pk}).status_code == 422
    wrong = client.post(answering, {"item": first.pk, "outcome": said(bob, first, right=False)})
    assert "You said" in wrong.text
    assert "It has a &lt;frog&gt;." in wrong.text
    again = {"item": first.pk, "outcome": said(bob, first, right=True)}
    assert client.post(answering, again).status_code == 303  # that one is over
    right = client.post(answering, {"item": second.pk, "outcome": said(bob, second, right=True)})
    assert "Right:" in right.text
    assert list(ScreeningAnswer.objects.values_list("is_right", flat=True)) == [False, True]
    assert "Begin the test" in client.get(page).text
    with pytest.raises(services.ServiceError, match="no questions yet"):
        services.begin_test(rule, bob)


def test_the_test_comes_after_the_practice(project: Project, bob: User) -> None:
    rule = make_rule(project)
    services.practise_with(make_gold(project), "So.")
    make_gold(project)
    with pytest.raises(services.ServiceError, match="Finish the practice"):
        services.begin_test(rule, bob)


def test_only_gold_comparisons_are_practised_with_and_with_a_reason(project: Project) -> None:
    for item, why in ((make_item(project), "So."), (make_gold(project), "  ")):
        with pytest.raises(services.ServiceError):
            services.practise_with(item, why)


# Tests


@pytest.mark.parametrize(("right", "passes"), [(4, True), (3, True), (2, False)])
def test_three_of_four_right_answers_pass(
    project: Project, bob: User, right: int, passes: bool
) -> None:
    rule = make_rule(project)
    for _ in range(6):
        make_gold(project)
    make_item(project)
    assert queue.lease_next(bob, project) is None
    attempt = take_test(rule, bob, right)
    assert (attempt.passed, attempt.right, len(attempt.items)) == (passes, right, 4)
    assert (queue.lease_next(bob, project) is not None) == passes


def test_a_second_go_asks_what_is_new_and_there_is_no_third(project: Project, bob: User) -> None:
    rule = make_rule(project)
    items = {make_gold(project).pk for _ in range(7)}
    first = take_test(rule, bob, 0)
    second = take_test(rule, bob, 0)
    assert set(first.items) | set(second.items) == items  # one alone is asked again
    with pytest.raises(services.ServiceError, match="all your goes"):
        services.begin_test(rule, bob)


def test_one_test_runs_at_a_time_and_an_answer_counts_once(project: Project, bob: User) -> None:
    rule = make_rule(project)
    for _ in range(4):
        make_gold(project)
    attempt = services.begin_test(rule, bob)
    assert services.begin_test(rule, bob) == attempt
    first = Item.objects.get(id=attempt.items[0])
    for outcome in (said(bob, first, right=True), said(bob, first, right=False)):
        services.answer_test(attempt, first, outcome)
    attempt.refresh_from_db()
    assert (attempt.answers.count(), attempt.right) == (1, 1)


def test_a_passed_test_is_not_taken_again(project: Project, bob: User) -> None:
    rule = make_rule(project)
    make_gold(project)
    take_test(rule, bob, 1)
    with pytest.raises(services.ServiceError, match="passed already"):
        services.begin_test(rule, bob)


def test_ties_and_both_bads_are_answers_of_their_own(project: Project, bob: User) -> None:
    rule = make_rule(project, questions=1)
    item = make_gold(project, "tie")
    attempt = services.answer_test(services.begin_test(rule, bob), item, "both_bad")
    assert attempt.passed is False
    attempt = services.answer_test(services.begin_test(rule, bob), item, "tie")
    assert attempt.passed is True


def test_what_was_asked_in_a_test_is_no_hidden_gold_item_later(
    project: Project, bob: User, bea: User
) -> None:
    project.gold_percent = 100
    project.save()
    rule = make_rule(project, questions=1)
    services.practise_with(make_gold(project), "So.")
    asked = make_gold(project)
    services.answer_practice(bob, Item.objects.get(practice__isnull=False), "tie")
    take_test(rule, bob, 1)
    assert queue.lease_next(bob, project) is None
    make_rule(project, is_tested=False)
    leased = queue.lease_next(bea, project)
    assert leased is not None
    assert leased.item == asked  # and never the one that people practise with
    services.submit_comparison(leased, "tie")
    assert queue.lease_next(bea, project) is None


def test_nothing_of_it_is_an_annotation(project: Project, bob: User) -> None:
    rule = make_rule(project)
    services.practise_with(make_gold(project), "So.")
    services.answer_practice(bob, Item.objects.get(), "left")
    make_gold(project)
    take_test(rule, bob, 1)
    assert not Annotation.objects.exists()
    assert list(exports.preferences(project.pk)) == list(exports.judgements(project.pk)) == []


# Pages


def test_a_test_goes_from_the_project_page_to_the_work(
    client: Client, project: Project, bob: User
) -> None:
    make_rule(project, questions=2)
    golds = [make_gold(project), make_gold(project)]
    client.force_login(bob)
    page = url("qualify", project, "comparison")
    assert page in client.get(url("project", project)).text
    assert client.post(url("begin_test", project, "comparison")).status_code == 303
    for _ in golds:
        shown = client.get(page)
        item = shown.context["question"].item
        outcome = said(bob, item, right=True)
        answering = url("qualify_answer", project, "comparison")
        response = client.post(answering, {"item": item.pk, "outcome": outcome})
        assert response.status_code == 303
        assert "Known is" not in shown.text
    passed = client.get(page).text
    assert "You have passed" in passed
    assert url("start", project) in passed
    assert page not in client.get(url("project", project)).text


def test_who_has_no_go_left_is_not_sent_to_the_test(
    client: Client, project: Project, bob: User
) -> None:
    rule = make_rule(project)
    for _ in range(7):
        make_gold(project)
    client.force_login(bob)
    for told in ("practise and take it", "You have used all your goes"):
        take_test(rule, bob, 0)
        assert told in client.get(url("project", project)).text


def test_owners_make_groups_rules_and_practice(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    client.force_login(alice)
    page = url("access_rules", project)
    member = Membership.objects.get(project=project, user=bob)
    group = {"save_group": "1", "name": "Poets", "members": [member.pk]}
    assert client.post(page, group).status_code == 303
    assert client.post(page, group | {"name": " "}).status_code == 422
    poets = Group.objects.get()
    assert "<bdi>Poets</bdi>" in client.get(url("members", project)).text
    rule = {
        "save_rule": "1",
        "kind": "comparison",
        "group": poets.pk,
        "is_tested": "on",
        "pass_percent": "80",
        "questions": "5",
        "attempts": "2",
    }
    assert client.post(page, rule).status_code == 303
    assert client.post(page, rule | {"kind": "conversation"}).status_code == 422
    assert client.post(page, rule | {"pass_percent": "101"}).status_code == 422
    assert "80 % of 5 questions" in client.get(page).text
    client.post(url("delete_group", project, poets.pk))
    assert Group.objects.exists()
    item = make_gold(project)
    practice = url("practice_items", project, "comparison")
    assert client.post(practice, {"item": item.pk, "why": "A frog."}).status_code == 303
    assert "A frog." in client.get(practice).text
    client.post(practice, {"item": item.pk, "remove": "1"})
    assert not Item.objects.filter(practice__isnull=False).exists()


@pytest.mark.parametrize("username", ["bob", "carol", "eve", "charlie"])
def test_pages_are_for_owners_and_members(client: Client, project: Project, username: str) -> None:
    make_rule(project)
    group = services.save_group(project, "Poets", [])
    client.force_login(User.objects.get(username=username))
    for page in (url("access_rules", project), url("practice_items", project, "comparison")):
        assert client.get(page).status_code == 404
    deleting = url("delete_group", project, group.pk)
    assert (client.get(deleting).status_code, client.post(deleting).status_code) == (405, 404)
    for_members = 404 if username == "charlie" else 200
    assert client.get(url("qualify", project, "comparison")).status_code == for_members
    assert client.get(url("qualify", project, "ranking")).status_code == 404
    assert client.get(url("begin_test", project, "comparison")).status_code == 405
    assert client.get(url("qualify_answer", project, "comparison")).status_code == 405
