"""Who is handed which item next: laws 2 and 3, on every database."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.db.models import Count
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from annotations import queue, services
from annotations.models import (
    Annotation,
    Assignment,
    GuidelineVersion,
    Item,
    Kind,
    Membership,
    Project,
    Role,
    User,
)
from annotations.selectors import items_open_to
from annotations.tests.factories import (
    make_assignment,
    make_comparison,
    make_completion,
    make_item,
    make_prompt,
    run_out,
)


def lease(user: User, project: Project, kind: str | None = None) -> Assignment:
    assignment = queue.lease_next(user, project, kind)
    assert assignment is not None
    return assignment


def test_it_hands_out_the_item_of_highest_priority_then_the_oldest(project, bob):
    make_item(project)
    urgent = make_item(project, priority=5)
    make_item(project, priority=5)
    assert lease(bob, project).item == urgent


def test_it_prefers_priority_to_kind_when_any_kind_will_do(project, bob):
    make_item(project, Kind.DEMONSTRATION)
    urgent = make_item(project, Kind.RANKING, priority=1)
    assert lease(bob, project).item == urgent


def test_it_hands_out_only_the_kind_that_was_asked_for(project, bob):
    make_item(project, Kind.DEMONSTRATION, priority=9)
    comparison = make_item(project, Kind.COMPARISON)
    assert lease(bob, project, Kind.COMPARISON).item == comparison
    assert queue.lease_next(bob, project, Kind.RANKING) is None


def test_it_takes_a_place_and_leases_by_the_clock_of_the_database(project, bob):
    item = make_item(project, overlap=2)
    assignment = lease(bob, project)
    item.refresh_from_db()
    assert item.open_slots == 1
    assert assignment.lease_until - assignment.leased_at == timedelta(minutes=30)
    assert Assignment.objects.filter(leased_at__lte=Now(), lease_until__gt=Now()).exists()


def test_it_gives_back_the_lease_that_one_holds_already(project, bob):
    make_item(project)
    make_item(project)
    assert lease(bob, project) == lease(bob, project)
    assert Assignment.objects.count() == 1


def test_it_stamps_the_guidelines_in_force(project, bob, alice):
    make_item(project)
    version = services.publish_guideline(project, Kind.COMPARISON, "Be fair.", alice)
    services.save_guideline_draft(project, Kind.COMPARISON, "Be unfair.", alice)
    assert lease(bob, project).guideline_version == version
    assert version.version == 2


def test_it_shows_completions_in_an_order_that_is_drawn_and_stored(project, bob):
    orders = set()
    for seed in range(20):
        Assignment.objects.all().delete()
        Item.objects.all().delete()
        item = make_item(project)
        assignment = queue.lease_next(bob, project, rng=random.Random(seed))
        assert assignment is not None
        ids = sorted(item.completions.values_list("id", flat=True))
        assert sorted(assignment.shown_order) == ids
        orders.add(assignment.shown_order == ids)
    assert orders == {True, False}


def test_it_never_hands_out_the_same_item_twice_to_one_person(project, bob):
    make_item(project, overlap=3)
    services.submit_comparison(lease(bob, project), "tie", "")
    assert queue.lease_next(bob, project) is None


def test_it_does_not_ask_who_voted_elsewhere_or_skipped(project, bob, bea):
    item = make_item(project, overlap=3)
    make_comparison(item, bob)
    assert queue.lease_next(bob, project) is None
    services.skip(lease(bea, project), Assignment.SkipReason.UNSURE)
    assert queue.lease_next(bea, project) is None


def test_it_never_shows_people_their_own_text(project, bob, bea):
    prompt = make_prompt(project)
    completions = [make_completion(prompt, "mine", author=bob), make_completion(prompt, "other")]
    make_item(project, prompt=prompt, completions=completions)
    assert queue.lease_next(bob, project) is None
    assert lease(bea, project)


def test_it_gives_nothing_to_paused_members_and_outsiders(project, bob, charlie):
    make_item(project)
    Membership.objects.filter(user=bob).update(state=Membership.State.PAUSED)
    assert queue.lease_next(bob, project) is None
    assert queue.lease_next(charlie, project) is None


def test_it_keeps_to_the_project(project, bob, alice):
    other = services.create_project(name="Other", description="", created_by=alice)
    make_item(other)
    assert queue.lease_next(bob, project) is None


def test_it_gives_the_place_of_a_run_out_lease_to_others(project, bob, bea):
    item = make_item(project)
    late = run_out(lease(bob, project))
    assert lease(bea, project).item == item
    late.refresh_from_db()
    assert late.state == Assignment.State.EXPIRED
    item.refresh_from_db()
    assert item.open_slots == 0


def test_it_leaves_live_leases_alone(project, bob, bea):
    make_item(project)
    lease(bob, project)
    assert queue.release_expired() == 0
    assert queue.lease_next(bea, project) is None


def test_it_hands_a_run_out_item_to_the_same_person_again_in_the_same_order(project, bob):
    item = make_item(project, Kind.RANKING)
    before = run_out(lease(bob, project))
    after = lease(bob, project)
    assert after.pk == before.pk
    assert after.state == Assignment.State.LEASED
    assert after.shown_order == before.shown_order
    assert after.lease_until > before.lease_until
    item.refresh_from_db()
    assert item.open_slots == 0


def test_it_frees_each_run_out_place_once(project, bob):
    item = make_item(project, overlap=2)
    run_out(lease(bob, project))
    assert queue.release_expired() == 1
    assert queue.release_expired() == 0
    item.refresh_from_db()
    assert item.open_slots == 2


def test_it_begins_with_the_leases_that_ran_out_and_not_with_all_items(project):
    with CaptureQueriesContext(connection) as captured:
        queue.release_expired()
    if connection.vendor == "sqlite":  # PostgreSQL plans by how many rows there are
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {captured[0]['sql']}")
            plan = [row[-1] for row in cursor.fetchall()]
        assert "assignment_expiry" in plan[0], plan


def test_it_does_not_read_all_that_a_person_ever_said_for_each_item(project, bob):
    items = items_open_to(bob, project, Kind.COMPARISON)
    statement, values = items.query.sql_with_params()
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plan = " ".join(row[-1] for row in cursor.fetchall())
        assert "annotation_once_per_person" in plan
        assert "annotation_by_day" not in plan


def test_postgresql_looks_up_each_item_instead_of_joining_all_that_a_person_ever_had(project, bob):
    if connection.vendor != "postgresql":
        pytest.skip("no other joins what is asked with EXISTS")
    plan = items_open_to(bob, project, Kind.COMPARISON)[:1].explain()
    assert "SubPlan" in plan
    assert "Anti Join" not in plan
    assert "hashed SubPlan" not in plan


def test_whoever_asks_next_frees_the_places_of_every_project(project, bob, bea):
    other = make_item(Project.objects.create(name="Other", created_by=bob))
    late = run_out(make_assignment(other, bob))
    make_item(project)
    assert queue.lease_next(bea, project).item.project == project
    late.refresh_from_db()
    other.refresh_from_db()
    assert (late.state, other.open_slots) == ("expired", 1)


def test_it_needs_the_same_number_of_queries_however_long_the_queue(project, bob, bea):
    for _ in range(3):
        make_item(project)
    first = _queries(lambda: queue.lease_next(bob, project))
    for _ in range(50):
        make_item(project)
    assert _queries(lambda: queue.lease_next(bea, project)) == first


def _queries(act: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        act()
    return len(captured)


def _at_once(act: Callable[[int], None], threads: int) -> list[BaseException]:
    """Run `act` in that many threads at the same moment. Return what they raised."""
    raised: list[BaseException] = []
    barrier = threading.Barrier(threads)

    def run(number: int) -> None:
        try:
            barrier.wait(timeout=30)
            act(number)
        except BaseException as error:
            raised.append(error)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    return raised


def _people(project: Project, count: int) -> list[User]:
    people = [User.objects.create(username=f"person-{number}") for number in range(count)]
    for user in people:
        Membership.objects.create(project=project, user=user, role=Role.ANNOTATOR)
    return people


@pytest.mark.django_db(transaction=True)
def test_it_never_exceeds_the_overlap_however_many_ask_at_once(project):
    for _ in range(6):
        make_item(project, overlap=2)
    people = _people(project, 8)

    def work(number: int) -> None:
        for _ in range(6):
            assignment = queue.lease_next(people[number], project)
            if assignment is None:
                return
            services.submit_comparison(assignment, "left", "better")

    assert _at_once(work, len(people)) == []
    counted = Item.objects.annotate(done=Count("annotations"))
    assert [item.done for item in counted] == [2] * 6
    assert not Item.objects.filter(open_slots__gt=0).exists()
    assert not Annotation.objects.filter(surplus=True).exists()


@pytest.mark.django_db(transaction=True)
def test_it_gives_two_tabs_of_one_person_the_same_item(project, bob):
    for _ in range(5):
        make_item(project)
    got: list[int] = []

    def start(number: int) -> None:
        assignment = queue.lease_next(bob, project)
        assert assignment is not None
        got.append(assignment.pk)

    assert _at_once(start, 5) == []
    assert len(set(got)) == 1
    assert Assignment.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_it_keeps_one_annotation_of_two_submits_at_once(project, bob):
    item = make_item(project)
    assignment = make_assignment(item, bob)
    got: list[int] = []

    def submit(number: int) -> None:
        mine = Assignment.objects.get(id=assignment.pk)
        got.append(services.submit_comparison(mine, ["left", "right"][number % 2], "better").pk)

    assert _at_once(submit, 4) == []
    assert len(set(got)) == 1
    assert Annotation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_it_frees_a_place_once_when_many_notice_the_run_out_lease(project, bob):
    item = make_item(project, overlap=3)
    run_out(make_assignment(item, bob))
    assert _at_once(lambda number: queue.release_expired() and None, 6) == []
    item.refresh_from_db()
    assert item.open_slots == 3


def test_it_knows_no_guidelines_for_a_project_without_any(project, bob):
    GuidelineVersion.objects.all().delete()
    make_item(project)
    assert lease(bob, project).guideline_version is None
