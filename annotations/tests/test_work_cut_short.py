"""Somebody is at work, and meanwhile what they work on is closed: nothing that they did is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from annotations import queue, services
from annotations.models import Annotation, Assignment, Kind, Membership, Project, User
from annotations.tests.factories import make_assignment, make_item, run_out
from annotations.tests.test_pages_labelling import HTMX, page_of, submit_of
from annotations.tests.test_pay import earned, set_rate

TYPED = "an old pond\na frog"


def pause_the_project(assignment: Assignment) -> None:
    Project.objects.filter(id=assignment.item.project_id).update(is_paused=True)


def pause_the_person(assignment: Assignment) -> None:
    services.pause_member(Membership.objects.get(user=assignment.annotator))


def give_it_to_another(assignment: Assignment) -> None:
    run_out(assignment)
    other = User.objects.get(username="bea")
    taken = queue.lease_next(other, assignment.item.project, assignment.item.kind)
    assert taken is not None
    services.submit_demonstration(taken, "splash")


def close_the_kind(assignment: Assignment) -> None:
    project = assignment.item.project
    services.set_kind_rule(
        project,
        Kind.DEMONSTRATION,
        group=services.save_group(project, "Poets", []),
        is_tested=False,
        pass_percent=80,
        questions=10,
        attempts=2,
    )


def remove_the_person(assignment: Assignment) -> None:
    services.remove_member(Membership.objects.get(user=assignment.annotator))


def disable_the_account(assignment: Assignment) -> None:
    User.objects.filter(id=assignment.annotator_id).update(is_active=False)


def take_the_item_away(assignment: Assignment) -> None:
    assignment.item.delete()


@pytest.fixture
def held(client: Client, project: Project, bob: User, bea: User) -> Assignment:
    client.force_login(bob)
    set_rate(project)
    return make_assignment(make_item(project, Kind.DEMONSTRATION), bob)


@pytest.mark.parametrize(
    "closed", [pause_the_project, pause_the_person, give_it_to_another, close_the_kind]
)
def test_what_is_handed_in_is_kept_and_paid(
    client: Client, held: Assignment, bob: User, closed: Callable[[Assignment], None]
) -> None:
    closed(held)
    assert client.post(submit_of(held), {"text": TYPED}, follow=True, **HTMX).status_code == 200
    said = Annotation.objects.get(annotator=bob)
    assert said.demonstration.completion.text == TYPED
    assert said.surplus == (closed is give_it_to_another)
    assert earned(bob) == 300_000


@pytest.mark.parametrize(
    ("closed", "status"),
    [(remove_the_person, 404), (disable_the_account, 401), (take_the_item_away, 404)],
)
def test_what_is_refused_is_told_to_the_page_which_keeps_it(
    client: Client,
    held: Assignment,
    bob: User,
    closed: Callable[[Assignment], None],
    status: int,
) -> None:
    """The page has a sentence for each of them: `test_what_was_typed_survives_every_failure`."""
    closed(held)
    answer = client.post(submit_of(held), {"text": TYPED}, follow=True, **HTMX)
    assert answer.status_code == status
    assert not Annotation.objects.exists()
    assert earned(bob) == 0


def test_who_may_work_again_goes_on_with_what_was_begun(
    client: Client, held: Assignment, bob: User
) -> None:
    services.save_draft(held, {"text": [TYPED]}, revision=0)
    disable_the_account(held)
    assert client.get(page_of(held)).status_code == 302
    User.objects.filter(id=bob.pk).update(is_active=True)
    client.force_login(bob)
    assert TYPED in client.get(page_of(held)).text
    assert client.post(submit_of(held), {"text": TYPED}, follow=True, **HTMX).status_code == 200
    assert earned(bob) == 300_000
