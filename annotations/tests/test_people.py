"""What owners see of one person, what they tell them, and whom no model learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotations import exports, services
from annotations.models import (
    Adjudication,
    Annotation,
    Assignment,
    HeldOut,
    Item,
    Kind,
    MemberNote,
    Membership,
    Project,
    User,
)
from annotations.selectors import failing_gold, gold_answers, person_report
from annotations.selectors.daily import work_by_day
from annotations.selectors.gold import wrong_on_gold
from annotations.services.ratings import write_rating
from annotations.tests.factories import (
    OVERALL,
    make_annotation,
    make_assignment,
    make_comparison,
    make_item,
    make_ranking,
    make_rating_scheme,
)


def url(name: str, project: Project, *args: object) -> str:
    return reverse(f"annotations:{name}", args=[project.pk, *args])


# Held out


def work(project: Project, person: User) -> list[Annotation]:
    """Return one answer of every kind that models learn from."""
    rated = make_assignment(make_item(project, Kind.RATING), person)
    answers = {completion: {"overall": 4, "harmful": 0} for completion in rated.shown_order}
    rewritten = make_assignment(make_item(project, Kind.REWRITE), person)
    written = make_assignment(make_item(project, Kind.DEMONSTRATION), person)
    ranked = make_item(project, Kind.RANKING, texts=("a", "b", "c"))
    first, second, third = ranked.completions.values_list("id", flat=True)
    return [
        services.submit_rating(rated, answers),
        services.submit_rewrite(rewritten, "a better frog"),
        services.submit_demonstration(written, "a frog of my own"),
        make_comparison(make_item(project), person, "left").annotation,
        make_comparison(make_item(project), person, "tie").annotation,
        make_comparison(make_item(project), person, "both_bad").annotation,
        make_ranking(ranked, person, [[first], [second, third]]).annotation,
        make_comparison(make_item(project, purpose="evaluation", batch="e"), person).annotation,
    ]


LEARNED: dict[str, Callable[[int], Iterator[Any]]] = {
    "demonstrations": exports.demonstrations,
    "preferences": exports.preferences,
    "ties": exports.ties,
    "judgements": exports.judgements,
    "ratings": exports.ratings,
}


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("when", ["before", "after"])
def test_nothing_by_somebody_held_out_is_learned_from(
    project: Project, alice: User, bob: User, bea: User, name: str, when: str
) -> None:
    if when == "before":
        services.hold_out(project, bob, alice)
    bobs, beas = work(project, bob), work(project, bea)
    everything = list(LEARNED[name](project.pk))
    if when == "after":
        assert {row["annotation_id"] for row in everything} & {one.pk for one in bobs}
        services.hold_out(project, bob, alice)
    left = list(LEARNED[name](project.pk))
    assert {row["annotator"] for row in left} == {exports.pseudonym(bea.pk)}
    assert left == [row for row in everything if row["annotation_id"] in {a.pk for a in beas}]


def test_counts_leave_out_what_rows_leave_out(project: Project, alice: User, bob: User) -> None:
    work(project, bob)
    services.hold_out(project, bob, alice)
    counts = exports.preference_counts(project.pk)
    assert (counts.pairs, counts.judged, counts.annotators) == (0, 0, 0)
    assert exports.review_counts(project.pk).written == 0


def test_somebody_held_out_still_measures(project: Project, alice: User, bob: User) -> None:
    work(project, bob)
    services.hold_out(project, bob, alice)
    assert [row["annotator"] for row in exports.battles(project.pk, "e")] == [
        exports.pseudonym(bob.pk)
    ]


@pytest.mark.parametrize("decision", ["accept", "reject", "fix"])
def test_reviews_by_somebody_held_out_change_nothing_that_is_learned(
    project: Project, alice: User, bob: User, carol: User, decision: str
) -> None:
    def learned() -> list[Any]:
        return [*exports.demonstrations(project.pk), *exports.preferences(project.pk)]

    writing = make_assignment(make_item(project, Kind.REWRITE), bob)
    said = services.submit_rewrite(writing, "a frog")
    before = learned()
    shown = [said.rewrite.completion]
    item = make_item(project, Kind.REVIEW, subject=said, completions=shown)
    reviewing = make_assignment(item, carol)
    text = "a better frog" if decision == "fix" else ""
    services.submit_review(reviewing, decision, text, reason="Not about frogs.")
    assert (learned() == before) == (decision == "accept")
    services.hold_out(project, carol, alice)
    assert learned() == before


def test_a_fix_of_what_somebody_held_out_wrote_is_not_learned_from(
    project: Project, alice: User, bob: User, carol: User
) -> None:
    writing = make_assignment(make_item(project, Kind.DEMONSTRATION), bob)
    said = services.submit_demonstration(writing, "a frog")
    reviewing = make_assignment(make_item(project, Kind.REVIEW, subject=said), carol)
    services.submit_review(reviewing, "fix", "a better frog")
    services.hold_out(project, bob, alice)
    assert list(exports.demonstrations(project.pk)) == []


def test_prompts_that_somebody_held_out_wrote_are_not_learned_from(
    project: Project, alice: User, bob: User
) -> None:
    project.own_prompts_allowed = True
    project.save()
    services.write_own_prompt(project, bob, "plain", "Write about toads.")
    assert len(list(exports.prompts(project.pk))) == 1
    services.hold_out(project, bob, alice)
    assert list(exports.prompts(project.pk)) == []


def test_what_was_held_out_stays_so_and_new_work_is_learned_from(
    project: Project, alice: User, bob: User
) -> None:
    make_comparison(make_item(project), bob)
    services.hold_out(project, bob, alice)
    services.hold_out(project, bob, alice)
    make_comparison(make_item(project), bob)
    services.end_hold_out(project, bob)
    assert list(exports.preferences(project.pk)) == []
    new = make_comparison(make_item(project), bob)
    assert [row["annotation_id"] for row in exports.preferences(project.pk)] == [new.pk]
    services.hold_out(project, bob, alice)
    assert list(exports.preferences(project.pk)) == []
    assert HeldOut.objects.count() == 2
    with pytest.raises(IntegrityError), transaction.atomic():
        HeldOut.objects.create(project=project, user=bob, made_by=alice)


def test_leaving_does_not_end_it_and_other_projects_are_others(
    project: Project, alice: User, bob: User
) -> None:
    other = services.create_project(name="Sonnets", description="", created_by=alice)
    services.hold_out(project, bob, alice)
    make_comparison(make_item(project), bob)
    make_comparison(make_item(other), bob)
    services.remove_member(Membership.objects.get(project=project, user=bob))
    assert list(exports.preferences(project.pk)) == []
    assert len(list(exports.preferences(other.pk))) == 1


def test_owners_hold_out_and_see_who_is(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    page = url("hold_out", project, bob.pk)
    client.force_login(bob)
    assert client.post(page).status_code == 404
    client.force_login(alice)
    assert client.get(page).status_code == 405
    assert client.post(page).status_code == 303
    assert "held out" in client.get(url("members", project)).text
    assert "Held out:" in client.get(url("person", project, bob.pk)).text
    client.post(page, {"end": "1"})
    assert "held out</span>" not in client.get(url("members", project)).text


# How a person works


def answer(project: Project, person: User, outcome: str, **changes: Any) -> Annotation:
    texts = changes.pop("texts", ("short", "much longer"))
    item = make_item(project, texts=texts, overlap=5, **changes)
    assignment = make_assignment(item, person)
    return services.submit_comparison(
        assignment, outcome, "better" if outcome in ("left", "right") else ""
    )


def test_the_report_counts_what_a_person_did(
    project: Project, bob: User, bea: User, ben: User
) -> None:
    for outcome in ("right", "right", "right", "left", "tie"):
        said = answer(project, bob, outcome)
        make_comparison(said.item, bea, outcome="right")
        make_comparison(said.item, ben, outcome=outcome)
    known = {"outcome": "left", "strength": "better"}
    for outcome in ("left", "right"):
        item = make_item(project, purpose="gold")
        left, right = sorted(item.completions.values_list("id", flat=True))
        Item.objects.filter(id=item.pk).update(gold=known | {"left": left, "right": right})
        services.submit_comparison(make_assignment(item, bob), outcome, "better")
    services.skip(make_assignment(make_item(project), bob), "unsure")
    taken_back = make_assignment(make_item(project), bob)
    services.submit_comparison(taken_back, "tie")
    services.undo(taken_back)

    report = person_report(project, bob)
    assert (report.answers, report.skips, report.by_kind) == (7, 1, [("Compare", 7)])
    assert (report.gold.count, report.gold.n) == (1, 2)
    # Three of bea's five say what he says, and all five of ben's.
    assert (report.peers.n, report.peers.rate) == (10, 0.8)
    assert report.peers.low < 0.8 < report.peers.high
    assert (report.left.count, report.left.n) == (2, 6)
    assert (report.longer.count, report.longer.n) == (3, 4)
    assert (report.too_fast.count, report.too_fast.n) == (7, 7)
    assert sum(week.answers for week in report.weeks) == report.weeks[-1].answers == 7


def rate(item: Item, person: User, overall: int, *, harmful: int = 0) -> Annotation:
    """Give every completion the same points, and the oldest a flag."""
    assignment = make_assignment(item, person)
    oldest = min(assignment.shown_order)
    return services.submit_rating(
        assignment,
        {
            one: {"overall": overall, "harmful": harmful if one == oldest else 0}
            for one in assignment.shown_order
        },
    )


def make_gold_rating(project: Project, overall: int = 6) -> Item:
    """Return a gold item of which both completions have these points and the older one a flag."""
    item = make_item(project, Kind.RATING, purpose="gold", overlap=100)
    first, second = sorted(item.completions.values_list("id", flat=True))
    known = {first: {"overall": overall, "harmful": 1}, second: {"overall": overall, "harmful": 0}}
    item.gold = {"answers": {str(pk): points for pk, points in known.items()}}
    item.save(update_fields=["gold"])
    return item


def test_gold_ratings_count_beside_other_gold_items(
    client: Client, project: Project, alice: User, bob: User, bea: User
) -> None:
    rate(make_gold_rating(project), bob, 5, harmful=1)  # next to the known points: all right
    rate(make_gold_rating(project), bob, 4, harmful=1)  # the flag alone is right
    rate(make_gold_rating(project), bob, 6)  # two of three, without the flag
    answer(project, bob, "left", purpose="gold", gold={"left": 1, "right": 2, "outcome": "tie"})
    report = person_report(project, bob)
    assert (report.gold.count, report.gold.n) == (1, 4)
    shares = [(label, share.count, share.n) for label, share in report.gold_by_kind]
    assert shares == [("Compare", 0, 1), ("Rate", 1, 3)]
    assert (report.gold_weeks[-1].share.count, report.gold_weeks[-1].share.n) == (1, 4)
    rates = {key.kind: (one.gold_right, one.gold) for key, one in work_by_day(project).items()}
    assert rates == {"comparison": (0, 1), "rating": (1, 3)}
    client.force_login(alice)
    assert "of these: Rate" in client.get(url("person", project, bob.pk)).text
    # Answers to other questions, as an import may have them, are not held against what is known.
    other = make_annotation(make_gold_rating(project), bea, shown_order=[])
    scheme = make_rating_scheme(project, questions=[{**OVERALL, "name": "clarity"}])
    write_rating(other, scheme, {})
    assert [one.annotator_id for one in gold_answers(project)] == [bob.pk] * 4


def test_a_gold_rating_that_nearly_everybody_fails_is_offered_for_review(
    project: Project, alice: User, bob: User, bea: User, ben: User, carol: User, eve: User
) -> None:
    item, other = make_gold_rating(project), make_gold_rating(project)
    for person in (alice, bob, bea, ben, carol, eve):
        rate(item, person, 2)
        rate(other, person, 6, harmful=1)
    (found,) = failing_gold(project)
    assert (found.item, found.right, found.answers) == (item, 0, 6)
    given = list(gold_answers(project))
    wrong = wrong_on_gold(given)
    assert set(wrong[other.pk].values()) == {None}
    said = {one for one in wrong[item.pk].values() if one}
    assert len(said) == 1
    # The same of every completion is a habit, and no sign of copying with others who have it.
    assert {one.sort for one in said} == {'{"harmful": 0, "overall": 2}'}


def test_peers_are_those_who_ranked_and_rated_the_same_too(
    project: Project, bob: User, bea: User, carol: User
) -> None:
    ranked = make_item(project, Kind.RANKING, texts=("a", "b", "c"), overlap=2)
    first, second, third = sorted(ranked.completions.values_list("id", flat=True))
    make_ranking(ranked, bob, [[first], [second], [third]], assignment=make_assignment(ranked, bob))
    make_ranking(ranked, bea, [[second], [first], [third]])  # two of three pairs
    rated = make_item(project, Kind.RATING, overlap=3)
    rate(rated, bob, 5)
    rate(rated, bea, 6)  # next to it
    rate(rated, carol, 2)
    said = answer(project, bob, "left")
    make_comparison(said.item, bea, "right")
    decided = make_comparison(said.item, carol, "left").annotation  # is nobody's answer
    Adjudication.objects.create(reference=decided, item=said.item, open_bits=2)
    report = person_report(project, bob)
    found = [(label, round(rate.rate, 3), rate.n) for label, rate in report.peers_by_kind]
    assert found == [("Compare", 0.0, 1), ("Rank", 0.667, 1), ("Rate", 0.5, 2)]
    assert (report.peers.n, round(report.peers.rate, 3)) == (4, 0.417)


def test_who_ranks_and_rates_by_place_or_length_is_seen_too(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    for texts in (("a", "bbb", "cc"), ("aaaa", "b", "b")):
        item = make_item(project, Kind.RANKING, texts=texts)
        assignment = make_assignment(item, bob)
        first, second, third = assignment.shown_order
        said = services.submit_ranking(assignment, [[first], [second, third]])
        # What a ranking asks beside is no order of its own.
        beside = {first: {"overall": 1}, second: {"overall": 5}, third: {"overall": 7}}
        write_rating(said, make_rating_scheme(project), beside)
    rated = make_assignment(make_item(project, Kind.RATING, texts=("long", "x")), bob)
    points = {
        one: {"overall": 1 + place, "harmful": 1 - place}
        for place, one in enumerate(rated.shown_order)
    }
    services.submit_rating(rated, points)
    report = person_report(project, bob)
    assert (report.earlier.wins, report.earlier.losses) == (4, 1)
    assert (report.longer_ordered.wins, report.longer_ordered.losses) == (2, 3)
    assert report.leans_to_first is False  # of three answers
    client.force_login(alice)
    assert "the one shown earlier found better" in client.get(url("person", project, bob.pk)).text


def test_gold_is_shown_by_week_to_owners_and_not_to_the_person(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    for weeks, outcome in ((0, "left"), (0, "right"), (2, "left"), (40, "left")):
        item = make_item(project, purpose="gold")
        left, right = sorted(item.completions.values_list("id", flat=True))
        known = {"left": left, "right": right, "outcome": "left", "strength": ""}
        Item.objects.filter(id=item.pk).update(gold=known)
        said = make_comparison(item, bob, outcome, assignment=make_assignment(item, bob))
        then = timezone.now() - timedelta(weeks=weeks)
        Annotation.objects.filter(id=said.pk).update(created_at=then)
    client.force_login(alice)
    page = client.get(url("person", project, bob.pk)).text
    assert page.count(": 1.00, interval 0.21 to 1.00, n 1</title>") == 1
    assert page.count(": 0.50, interval 0.09 to 0.91, n 2</title>") == 1
    table = page.partition("The same as a table")[2].partition("</table>")[0]
    assert table.count("<tr>") == 1 + 2
    client.force_login(bob)
    assert "old items" not in client.get(url("person", project, bob.pk)).text


def test_time_is_that_of_the_server_and_reading_takes_time(project: Project, bob: User) -> None:
    for seconds, text in ((4, "x" * 80), (4, "x" * 2000), (60, "x" * 2000)):
        said = answer(project, bob, "tie", texts=(text, text))
        Annotation.objects.filter(id=said.pk).update(wall_ms=1000 * seconds)
    report = person_report(project, bob)
    assert (report.seconds, report.too_fast.count, report.too_fast.n) == (4.0, 1, 3)


def test_a_person_without_work_has_a_page_without_numbers(
    client: Client, project: Project, bob: User
) -> None:
    client.force_login(bob)
    response = client.get(url("person", project, bob.pk))
    assert response.status_code == 200
    assert "none yet" in response.text


def test_old_weeks_are_in_the_chart_and_older_ones_are_not(project: Project, bob: User) -> None:
    for weeks in (1, 40):
        said = answer(project, bob, "tie")
        then = timezone.now() - timedelta(weeks=weeks)
        Annotation.objects.filter(id=said.pk).update(created_at=then)
    assert [week.answers for week in person_report(project, bob).weeks][-2:] == [1, 0]


def test_in_a_large_project_habits_are_kept_with_their_time(
    client: Client, project: Project, alice: User, bob: User, bea: User, monkeypatch: Any
) -> None:
    monkeypatch.setattr("annotations.selectors.sizes.SMALL", 0)
    first = answer(project, bob, "left")
    services.keep_up_daily_figures()
    assert person_report(project, bob).habits_as_of is None
    services.keep_up_counts()
    answer(project, bob, "left")
    make_comparison(first.item, bea, "right")
    report = person_report(project, bob)
    assert report.habits_as_of is not None
    assert (report.left.n, report.peers.n) == (1, 0)
    client.force_login(alice)
    assert "leanings were read on" in client.get(url("person", project, bob.pk)).text
    # Who has worked since is not among those that are kept: their answers are read at once.
    assert (person_report(project, bea).habits_as_of, person_report(project, bea).left.n) == (
        None,
        0,
    )


def test_the_page_takes_as_many_queries_for_much_work_as_for_little(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    client.force_login(alice)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(url("person", project, bob.pk))
        return len(captured)

    answer(project, bob, "tie")
    little = queries()
    for _ in range(5):
        answer(project, bob, "left")
    assert queries() == little


def test_the_page_is_for_owners_and_the_person(
    client: Client, project: Project, alice: User, bob: User, bea: User, charlie: User
) -> None:
    page = url("person", project, bob.pk)
    answer(project, bob, "left", purpose="gold", gold={"left": 1, "right": 2, "outcome": "left"})
    expected = {alice: 200, bob: 200, bea: 404, charlie: 404}
    for person, status in expected.items():
        client.force_login(person)
        assert client.get(page).status_code == status
        assert client.post(page).status_code == 405
    client.force_login(alice)
    assert "Gold items answered" in client.get(page).text
    assert client.get(url("person", project, charlie.pk)).status_code == 404
    client.force_login(bob)
    own = client.get(page).text
    assert "Gold items" not in own
    assert "Others said the same" not in own


# Notes


def test_a_note_is_shown_until_it_was_read(
    client: Client, project: Project, alice: User, bob: User, bea: User
) -> None:
    client.force_login(alice)
    page = url("write_note", project, bob.pk)
    assert client.get(page).status_code == 405
    assert client.post(page, {"text": "  "}).status_code == 422
    assert client.post(page, {"text": "Ties are <b>fine</b>."}).status_code == 303
    note = MemberNote.objects.get()
    reading = reverse("annotations:read_note", args=[note.pk])
    for other in (alice, bea):
        client.force_login(other)
        assert client.post(reading).status_code == 404
        assert "Ties are" not in client.get(url("project", project)).text
    client.force_login(bob)
    assert client.post(page, {"text": "Me, too."}).status_code == 404
    assert "Ties are &lt;b&gt;fine" in client.get(url("project", project)).text
    assert client.get(reading).status_code == 405
    assert client.post(reading).status_code == 303
    first = MemberNote.objects.get().read_at
    assert first is not None
    client.post(reading)
    assert MemberNote.objects.get().read_at == first
    assert "Ties are" not in client.get(url("project", project)).text
    assert "Ties are" in client.get(url("person", project, bob.pk)).text


def test_nobody_can_be_sent_a_note_too_long_to_read(
    project: Project, alice: User, bob: User
) -> None:
    with pytest.raises(services.ServiceError, match="The note"):
        services.write_note(project, bob, "x" * 5000, alice)
    assert not Assignment.objects.exists()
