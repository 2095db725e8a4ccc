"""What happens between hand-out and end: drafts, undo, corrections, gold, limits."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from annotations import queue, selectors, services
from annotations.models import (
    Annotation,
    Assignment,
    AssignmentEvent,
    Comparison,
    Item,
    Kind,
    Membership,
    Project,
    Retraction,
    Role,
    User,
)
from annotations.services import ServiceError
from annotations.tests.factories import (
    make_assignment,
    make_completion,
    make_item,
    make_prompt,
    run_out,
)

HAIKU = "old pond\na frog leaps in\nwater's sound"


def change(project: Project, **values: object) -> Project:
    Project.objects.filter(id=project.pk).update(**values)
    project.refresh_from_db()
    return project


def fresh(assignment: Assignment) -> Assignment:
    return Assignment.objects.select_related("item__project").get(id=assignment.pk)


def names(assignment: Assignment) -> list[str]:
    return list(assignment.events.values_list("name", flat=True))


def age(assignment: Assignment, **time: int) -> None:
    """Let an assignment be closed that long ago."""
    Assignment.objects.filter(id=assignment.pk).update(closed_at=F("closed_at") - timedelta(**time))


def place_count(item: Item) -> int:
    """Return open places + leases held + answers within the overlap: law 2 says the overlap."""
    item.refresh_from_db()
    held = item.assignments.filter(state=Assignment.State.LEASED).count()
    kept = item.annotations.filter(
        superseded_by__isnull=True, retraction__isnull=True, surplus=False
    )
    return item.open_slots + held + kept.count()


# Drafts


def test_it_keeps_a_draft_and_the_lease_alive(writing):
    Assignment.objects.update(lease_until=Now() + timedelta(minutes=1))
    before = fresh(writing).lease_until
    saved = services.save_draft(writing, {"text": ["old pond\r\n"]}, revision=0, active_ms=0)
    assert (saved.revision, saved.state, saved.stale) == (1, "leased", False)
    assert fresh(writing).draft == {"text": ["old pond\n"]}
    assert fresh(writing).lease_until > before + timedelta(minutes=20)
    assert names(writing) == ["leased", "drafted"]


def test_a_stale_tab_changes_nothing_and_is_told_what_is_stored(writing):
    services.save_draft(writing, {"text": ["newer"]}, revision=0)
    saved = services.save_draft(writing, {"text": ["older"]}, revision=0)
    assert (saved.stale, saved.revision, saved.fields) == (True, 1, {"text": ["newer"]})
    assert fresh(writing).draft == {"text": ["newer"]}


def test_a_draft_that_is_sent_again_because_the_answer_was_lost_is_not_stale(writing):
    services.save_draft(writing, {"text": ["frog"]}, revision=0)
    again = services.save_draft(writing, {"text": ["frog"]}, revision=0)
    assert (again.stale, again.revision) == (False, 1)


def test_a_revision_that_nobody_was_given_changes_nothing(writing):
    services.save_draft(writing, {"text": ["frog"]}, revision=0)
    assert services.save_draft(writing, {"text": ["forged"]}, revision=2**31 - 1).stale
    assert fresh(writing).draft == {"text": ["frog"]}


def test_a_closed_assignment_keeps_no_draft(comparing):
    services.submit_comparison(comparing, "tie", "")
    saved = services.save_draft(comparing, {"choice": ["both_bad"]}, revision=0)
    assert (saved.closed, saved.state, saved.stale) == (True, "submitted", False)
    assert fresh(comparing).draft is None


def test_a_draft_takes_the_place_of_a_lease_that_ran_out_again(project, writing):
    run_out(writing)
    queue.release_expired()
    assert services.save_draft(writing, {"text": ["frog"]}, revision=0).state == "leased"
    assert place_count(writing.item) == writing.item.overlap == 1
    assert writing.item.open_slots == 0


def test_a_draft_is_kept_where_the_place_was_taken(project, writing, bea):
    run_out(writing)
    assert queue.lease_next(bea, project).item == writing.item
    saved = services.save_draft(writing, {"text": ["frog"]}, revision=0)
    assert (saved.state, saved.revision) == ("expired", 1)
    assert fresh(writing).draft == {"text": ["frog"]}
    assert place_count(writing.item) == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"text": ["x" * 5_000_000]}, "5,000,004 characters"),
        ({"text": ["frog\x00"]}, "NUL"),
        ({"te\x00xt": ["frog"]}, "NUL"),
        ({"text": ["frog\udc00"]}, "half a character"),
    ],
)
def test_it_refuses_a_draft_it_cannot_keep_and_keeps_the_last(writing, fields, sentence):
    services.save_draft(writing, {"text": ["frog"]}, revision=0)
    with pytest.raises(ServiceError, match=sentence):
        services.save_draft(writing, fields, revision=1)
    assert fresh(writing).draft == {"text": ["frog"]}


def test_active_time_never_falls_and_never_exceeds_what_has_passed(writing):
    Assignment.objects.update(leased_at=Now() - timedelta(seconds=100))
    services.save_draft(writing, {}, revision=0, active_ms=40_000)
    assert fresh(writing).active_ms == 40_000
    services.save_draft(writing, {}, revision=1, active_ms=30_000)
    assert fresh(writing).active_ms == 40_000
    services.save_draft(writing, {}, revision=2, active_ms=2**31 - 1)
    assert 100_000 <= fresh(writing).active_ms < 160_000


def test_active_time_stands_still_when_the_clock_runs_backwards(writing):
    Assignment.objects.update(leased_at=Now() + timedelta(hours=1), active_ms=7)
    AssignmentEvent.objects.update(created_at=Now() + timedelta(hours=1))
    services.save_draft(writing, {}, revision=0, active_ms=60_000)
    assert fresh(writing).active_ms == 7
    annotation = services.submit_demonstration(fresh(writing), HAIKU)
    assert (annotation.wall_ms, annotation.active_ms) == (0, 7)


def test_active_time_counts_over_all_leases(project, writing):
    AssignmentEvent.objects.update(created_at=Now() - timedelta(hours=1))
    Assignment.objects.update(leased_at=Now() - timedelta(hours=1))
    services.save_draft(writing, {}, revision=0, active_ms=600_000)
    run_out(writing)
    assert queue.lease_next(writing.annotator, project) == writing
    services.save_draft(writing, {}, revision=1, active_ms=660_000)
    assert fresh(writing).active_ms == 660_000


def test_an_annotation_says_how_long_it_took(writing):
    Assignment.objects.update(leased_at=Now() - timedelta(seconds=90))
    measured = fresh(writing)
    services.measure(measured, 50_000)
    annotation = services.submit_demonstration(measured, HAIKU)
    assert annotation.active_ms == fresh(writing).active_ms == 50_000
    assert annotation.wall_ms >= 90_000


def test_handing_in_never_takes_back_measured_time(writing):
    before = fresh(writing)
    Assignment.objects.update(active_ms=70_000)
    services.measure(before, 3)
    assert services.submit_demonstration(before, HAIKU).active_ms == 70_000


# Undo


def test_undo_brings_back_what_was_entered_and_keeps_what_was_said(comparing):
    first = services.submit_comparison(comparing, "left", "slightly", reason="the moon")
    services.undo(comparing)
    assert comparing.state == Assignment.State.LEASED
    assert comparing.draft == {"choice": ["left-slightly"], "reason": ["the moon"]}
    assert Retraction.objects.get().annotation == first
    assert services.annotation_in_force(comparing) is None
    assert place_count(comparing.item) == 1


def test_what_was_taken_back_can_be_sent_again(comparing):
    first = services.submit_comparison(comparing, "left", "slightly")
    services.undo(comparing)
    second = services.submit_comparison(comparing, "tie", "")
    assert (second.supersedes, second.surplus) == (first, False)
    assert services.annotation_in_force(comparing) == second
    assert Comparison.objects.get(annotation=first).outcome == "left"
    assert names(comparing) == ["leased", "submitted", "undone", "submitted"]
    assert place_count(comparing.item) == 1


def test_undoing_twice_changes_nothing(comparing):
    services.submit_comparison(comparing, "tie", "")
    services.undo(comparing)
    services.undo(comparing)
    assert Retraction.objects.count() == 1
    assert fresh(comparing).draft_revision == 1


def test_undo_is_over_after_the_grace_period(project, comparing):
    change(project, grace_seconds=60)
    services.submit_comparison(comparing, "tie", "")
    age(comparing, seconds=61)
    with pytest.raises(ServiceError, match="too late"):
        services.undo(comparing)
    assert fresh(comparing).state == Assignment.State.SUBMITTED


def test_a_project_can_do_without_undo(project, comparing):
    change(project, grace_seconds=0)
    services.submit_comparison(comparing, "tie", "")
    age(comparing, seconds=1)
    with pytest.raises(ServiceError, match="too late"):
        services.undo(comparing)


def test_a_skip_can_be_undone_while_there_is_a_place(project, comparing):
    services.save_draft(comparing, {"reason": ["hm"]}, revision=0)
    services.skip(comparing, Assignment.SkipReason.UNSURE)
    services.undo(comparing)
    assert (comparing.state, comparing.skip_reason) == ("leased", "")
    assert comparing.draft == {"reason": ["hm"]}
    comparing.item.refresh_from_db()
    assert (comparing.item.skips, comparing.item.open_slots) == (0, 0)


def test_a_skip_whose_place_is_gone_is_undone_without_one(project, comparing, bea):
    services.skip(comparing, Assignment.SkipReason.UNSURE)
    assert queue.lease_next(bea, project)
    services.undo(comparing)
    assert comparing.state == Assignment.State.EXPIRED
    assert services.submit_comparison(comparing, "tie", "").surplus
    assert place_count(comparing.item) == 1


def test_undoing_a_surplus_takes_nobody_elses_place(project, comparing, bea):
    run_out(comparing)
    other = queue.lease_next(bea, project)
    services.submit_comparison(comparing, "left", "better")
    services.undo(comparing)
    assert comparing.state == Assignment.State.EXPIRED
    services.submit_comparison(other, "right", "better")
    assert services.submit_comparison(comparing, "left", "better").surplus
    assert place_count(comparing.item) == 1


def test_undoing_a_demonstration_takes_back_its_review(project, writing, bea):
    change(project, review_percent=100)
    annotation = services.submit_demonstration(fresh(writing), HAIKU)
    review = Item.objects.get(subject=annotation)
    assert review.open_slots == 1
    services.undo(writing)
    assert queue.lease_next(bea, project, Kind.REVIEW) is None
    assert place_count(review) == review.overlap


# Corrections


def test_a_correction_supersedes_and_changes_nothing(comparing):
    first = services.submit_comparison(comparing, "left", "better")
    second = services.submit_comparison(comparing, "tie", "", correcting=first.pk)
    assert second.supersedes == first
    assert services.annotation_in_force(comparing) == second
    assert Comparison.objects.get(annotation=first).outcome == "left"
    assert names(comparing) == ["leased", "submitted", "corrected"]
    assert place_count(comparing.item) == 1


def test_a_correction_of_what_is_no_longer_in_force_changes_nothing(comparing):
    first = services.submit_comparison(comparing, "left", "better")
    second = services.submit_comparison(comparing, "tie", "", correcting=first.pk)
    again = services.submit_comparison(comparing, "both_bad", "", correcting=first.pk)
    assert again == second
    assert Annotation.objects.count() == 2


def test_a_correction_of_somebody_elses_annotation_changes_nothing(project, comparing, bea):
    mine = services.submit_comparison(comparing, "left", "better")
    other = services.submit_comparison(make_assignment(make_item(project), bea), "tie", "")
    assert services.submit_comparison(comparing, "both_bad", "", correcting=other.pk) == mine
    assert Annotation.objects.count() == 2


def test_a_correction_of_what_was_taken_back_hands_it_in(comparing):
    first = services.submit_comparison(comparing, "left", "better")
    services.undo(comparing)
    second = services.submit_comparison(comparing, "tie", "", correcting=first.pk)
    assert fresh(comparing).state == Assignment.State.SUBMITTED
    assert second.supersedes == first


def test_a_project_can_close_its_answers(project, comparing):
    first = services.submit_comparison(comparing, "left", "better")
    change(project, edits_allowed=False)
    with pytest.raises(ServiceError, match="Ask an owner"):
        services.submit_comparison(fresh(comparing), "tie", "", correcting=first.pk)


def test_a_corrected_answer_can_be_taken_back(comparing):
    first = services.submit_comparison(comparing, "left", "better")
    services.submit_comparison(comparing, "tie", "", correcting=first.pk)
    services.undo(comparing)
    assert services.annotation_in_force(comparing) is None
    assert comparing.draft == {"choice": ["tie"], "reason": [""]}
    assert services.submit_comparison(comparing, "both_bad", "")
    assert place_count(comparing.item) == 1


# The same question, skips, limits


def twins(project: Project) -> tuple[Item, Item]:
    prompt = make_prompt(project)
    first = make_item(project, prompt=prompt, texts=("one", "two"), overlap=2)
    return first, make_item(project, prompt=prompt, texts=("two", "one "), overlap=2)


def test_nobody_is_asked_the_same_question_by_another_item(project, bob, bea):
    first, second = twins(project)
    services.submit_comparison(queue.lease_next(bob, project), "tie", "")
    assert queue.lease_next(bob, project) is None
    assert queue.lease_next(bea, project).item in (first, second)


def test_a_question_of_another_kind_is_another_question(project, bob):
    prompt = make_prompt(project)
    make_item(project, Kind.COMPARISON, prompt=prompt, texts=("one", "two"))
    make_item(project, Kind.RATING, prompt=prompt, texts=("one", "two"))
    services.submit_comparison(queue.lease_next(bob, project), "tie", "")
    assert queue.lease_next(bob, project).item.kind == Kind.RATING


def test_a_paused_project_hands_out_nothing_but_keeps_what_is_held(project, bob, bea):
    make_item(project, overlap=2)
    held = queue.lease_next(bob, project)
    change(project, is_paused=True)
    assert queue.lease_next(bea, project) is None
    assert queue.lease_next(bob, project) == held
    assert services.submit_comparison(held, "tie", "")
    assert selectors.work_waiting_for(bea, project)["comparison"] == 0


@pytest.mark.parametrize("limit", ["daily_limit", "total_limit"])
def test_a_limit_counts_what_one_holds_too(project, bob, bea, limit):
    for _ in range(4):
        make_item(project)
    change(project, **{limit: 2})
    for _ in range(2):
        services.submit_comparison(queue.lease_next(bob, project), "tie", "")
    assert queue.lease_next(bob, project) is None
    assert selectors.limit_reached(bob, project) == limit.removesuffix("_limit")
    assert queue.lease_next(bea, project)


def test_a_daily_limit_ends_with_the_day(project, bob):
    for _ in range(2):
        make_item(project)
    change(project, daily_limit=1)
    assignment = queue.lease_next(bob, project)
    services.submit_comparison(assignment, "tie", "")
    assert queue.lease_next(bob, project) is None
    age(assignment, days=1)
    assert queue.lease_next(bob, project)


def test_one_who_holds_two_is_handed_one_of_them(project, bob):
    for kind in (Kind.COMPARISON, Kind.RANKING, Kind.DEMONSTRATION):
        make_item(project, kind)
    first = queue.lease_next(bob, project, Kind.COMPARISON)
    second = queue.lease_next(bob, project, Kind.RANKING)
    assert queue.lease_next(bob, project, Kind.DEMONSTRATION) in (first, second)
    assert Assignment.objects.count() == 2


def test_what_was_skipped_comes_back_later_if_the_project_says_so(project, bob):
    change(project, skip_policy=Project.SkipPolicy.LATER)
    skipped = queue_item = make_item(project)
    other = make_item(project)
    assignment = queue.lease_next(bob, project)
    assert assignment.item == queue_item
    services.skip(assignment, Assignment.SkipReason.UNSURE)
    assert queue.lease_next(bob, project).item == other
    services.submit_comparison(queue.lease_next(bob, project), "tie", "")
    again = queue.lease_next(bob, project)
    assert (again.pk, again.item, again.skip_reason) == (assignment.pk, skipped, "")
    skipped.refresh_from_db()
    assert skipped.skips == 0
    assert place_count(skipped) == 1


def test_what_too_many_skipped_is_handed_out_no_more(project, bob, bea, ben):
    change(project, max_skips=2)
    item = make_item(project, overlap=3)
    for person in (bob, bea):
        services.skip(queue.lease_next(person, project), Assignment.SkipReason.BROKEN)
    assert queue.lease_next(ben, project) is None
    assert place_count(item) == 3


def test_places_given_back_behind_somebody_are_found_when_nothing_is_left_ahead(project, bob, bea):
    first, _, third = (make_item(project) for _ in range(3))
    held = queue.lease_next(bea, project)
    assert held.item == first
    services.submit_comparison(queue.lease_next(bob, project), "tie", "")
    services.skip(held, Assignment.SkipReason.UNSURE)
    assert queue.lease_next(bob, project).item == third
    services.submit_comparison(queue.lease_next(bob, project), "tie", "")
    assert queue.lease_next(bob, project).item == first


def test_a_new_urgent_item_comes_first_wherever_somebody_is_in_the_queue(project, bob):
    for _ in range(3):
        make_item(project)
    services.submit_comparison(queue.lease_next(bob, project), "tie", "")
    urgent, later = make_item(project, priority=3), make_item(project, priority=-1)
    order = []
    while assignment := queue.lease_next(bob, project):
        order.append(assignment.item)
        services.submit_comparison(assignment, "tie", "")
    assert (order[0], order[-1], len(order)) == (urgent, later, 4)


def test_one_who_comes_back_finds_everything_once(project, bob):
    """Whatever the order in which items come in and go back, nobody misses one or has it twice."""
    rng = random.Random(7)
    had: list[int] = []
    for _ in range(40):
        if rng.random() < 0.6:
            make_item(project, priority=rng.choice([0, 0, 0, 1, 2, -1]))
        if assignment := queue.lease_next(bob, project):
            had.append(assignment.item_id)
            services.submit_comparison(assignment, "tie", "")
    while assignment := queue.lease_next(bob, project):
        had.append(assignment.item_id)
        services.submit_comparison(assignment, "tie", "")
    assert sorted(had) == sorted(Item.objects.values_list("id", flat=True))


# Reviews


def test_nobody_reviews_their_own_work(project, bob, bea):
    change(project, review_percent=100)
    writing = make_assignment(make_item(project, Kind.DEMONSTRATION), bob)
    services.submit_demonstration(writing, HAIKU)
    assert queue.lease_next(bob, project, Kind.REVIEW) is None
    assert queue.lease_next(bea, project, Kind.REVIEW).item.subject.annotator == bob


def test_nobody_sees_an_answer_in_a_review_before_they_have_given_theirs(project, bob, bea):
    change(project, review_percent=100)
    item = make_item(project, Kind.DEMONSTRATION, overlap=2)
    hers = make_assignment(item, bea)
    services.submit_demonstration(fresh(make_assignment(item, bob)), HAIKU)
    assert queue.lease_next(bea, project, Kind.REVIEW) is None
    services.submit_demonstration(fresh(hers), "another\nfrog")
    assert queue.lease_next(bea, project, Kind.REVIEW)


def test_one_who_reviewed_an_answer_is_not_asked_for_theirs(project, bob, bea):
    change(project, review_percent=100)
    item = make_item(project, Kind.DEMONSTRATION, overlap=2)
    services.submit_demonstration(fresh(make_assignment(item, bob)), HAIKU)
    assert queue.lease_next(bea, project, Kind.REVIEW)
    assert queue.lease_next(bea, project, Kind.DEMONSTRATION) is None


# Gold


def gold_of(project: Project, person: User) -> Item:
    item = make_item(project)
    annotation = services.submit_comparison(make_assignment(item, person), "left", "better")
    return services.make_gold(annotation)


def test_a_gold_item_knows_its_answer_and_asks_the_same(project, alice):
    gold = gold_of(project, alice)
    source = Item.objects.exclude(id=gold.pk).get()
    assert gold.purpose == Item.Purpose.GOLD
    assert gold.gold["outcome"] == "left"
    assert set(gold.completions.all()) == set(source.completions.all())
    assert gold.fingerprint == source.fingerprint
    assert gold.open_slots == gold.overlap > 1000


def test_a_question_has_one_gold_item(project, alice, bea):
    gold = gold_of(project, alice)
    source = Item.objects.exclude(id=gold.pk).get()
    Item.objects.filter(id=source.pk).update(overlap=2, open_slots=1)
    source.refresh_from_db()
    other = services.submit_comparison(make_assignment(source, bea), "tie", "")
    assert services.make_gold(other).pk == gold.pk
    gold.refresh_from_db()
    assert gold.gold["outcome"] == "tie"


def test_a_retired_gold_item_is_asked_again_once_it_is_made_anew(project, alice, bob):
    gold = gold_of(project, alice)
    known = Annotation.objects.get()
    make_assignment(gold, bob)
    for overlap in (10_001, 10_001):
        services.retire_gold(gold)
        gold = services.make_gold(known)
        assert (gold.overlap, gold.open_slots) == (overlap, 10_000)
    Item.objects.filter(id=gold.pk).update(overlap=30_000, open_slots=0)
    with pytest.raises(services.ServiceError, match="as many people"):
        services.make_gold(known)


def test_written_work_makes_gold_that_is_never_handed_out(writing):
    gold = services.make_gold(services.submit_demonstration(writing, HAIKU))
    assert (gold.gold, gold.open_slots) == ({"text": HAIKU}, 0)


def test_gold_comes_as_often_as_the_project_says(project, alice, bob):
    for _ in range(30):
        gold_of(project, alice)
    for _ in range(60):
        make_item(project)
    change(project, gold_percent=25)
    rng = random.Random(3)
    purposes = []
    for _ in range(40):
        assignment = queue.lease_next(bob, project, rng=rng)
        purposes.append(assignment.item.purpose)
        services.submit_comparison(assignment, "tie", "")
    assert 5 <= purposes.count("gold") <= 16
    assert queue.lease_next(alice, project, rng=random.Random(0)).item.purpose == "training"


def test_gold_alone_is_no_work(project, alice, bob):
    gold_of(project, alice)
    assert queue.lease_next(bob, project) is None
    assert selectors.work_waiting_for(bob, project)["comparison"] == 0


# Guidelines


def test_a_new_version_is_news_to_those_who_worked_under_the_old(project, alice, bob, bea):
    make_item(project, overlap=2)
    services.submit_comparison(queue.lease_next(bob, project), "tie", "")
    old = selectors.guideline_in_force(project, Kind.COMPARISON)
    new = services.publish_guideline(project, Kind.COMPARISON, "Be fairer.", alice)
    assert selectors.known_guideline(bob, new) == old
    assert selectors.known_guideline(bea, new) is None
    services.acknowledge(bob, new)
    services.acknowledge(bob, new)
    assert selectors.known_guideline(bob, new) is None


def test_what_one_holds_for_oneself_is_leased_by_name(project, bob):
    item = make_item(project, Kind.DEMONSTRATION)
    other = make_item(project, Kind.DEMONSTRATION)
    assert queue.lease_item(bob, other).item == other
    assert queue.lease_item(bob, other) is None
    assert queue.lease_next(bob, project).item == other
    services.submit_demonstration(queue.lease_next(bob, project), HAIKU)
    assert queue.lease_next(bob, project).item == item


def test_nobody_outside_the_project_is_handed_a_certain_item(project, charlie):
    assert queue.lease_item(charlie, make_item(project)) is None


def test_own_text_in_a_twin_is_not_shown_either(project, bob):
    prompt = make_prompt(project)
    completions = [make_completion(prompt, "mine", author=bob), make_completion(prompt, "other")]
    make_item(project, Kind.REWRITE, prompt=prompt, completions=completions[:1])
    assert queue.lease_next(bob, project) is None


def test_a_member_who_left_and_came_back_goes_on(project, bob):
    make_item(project)
    held = queue.lease_next(bob, project)
    services.remove_member(project.memberships.get(user=bob))
    Membership.objects.create(project=project, user=bob, role=Role.ANNOTATOR)
    assert queue.lease_next(bob, project) == held
