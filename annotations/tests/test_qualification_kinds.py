"""Practice and tests of rankings, of ratings and of what people write."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotations import queue, services
from annotations.models import (
    Annotation,
    Item,
    Kind,
    KindRule,
    Membership,
    Project,
    Role,
    TestAttempt,
    TestVerdict,
    User,
)
from annotations.selectors import (
    closed_kinds,
    gold_items,
    known_answer,
    question_about,
    stored_about,
)
from annotations.services.ratings import write_rating
from annotations.tests.factories import (
    OVERALL,
    make_annotation,
    make_assignment,
    make_demonstration,
    make_item,
    make_ranking,
    make_rating_scheme,
)
from annotations.tests.test_qualification import make_rule, url

BEST_FIRST = [0, 1, 2, 3]
"""By the age of a completion. The known ranking ties the two that are worst."""


def make_known(project: Project, kind: str, **gold: Any) -> Item:
    return make_item(project, kind, purpose="gold", overlap=100, gold=gold)


def make_known_ranking(project: Project) -> Item:
    """Return a gold ranking of four: five of its six pairs are known to differ."""
    item = make_known(project, Kind.RANKING)
    ids = sorted(item.completions.values_list("id", flat=True))
    item.gold = {"tiers": [ids[:1], ids[1:2], ids[2:]]}
    item.save(update_fields=["gold"])
    return item


def ranked(item: Item, order: list[int]) -> list[list[int]]:
    """Return an order of an item's completions, by their ages, as tiers."""
    ids = sorted(item.completions.values_list("id", flat=True))
    return [[ids[place]] for place in order]


# Rankings


@pytest.mark.parametrize(
    ("second", "passes"),
    [
        ([1, 0, 3, 2], True),  # 4 of 5 known pairs: 90 % with the first
        ([3, 2, 1, 0], False),  # none: 50 %
    ],
)
def test_a_test_of_rankings_asks_for_three_quarters_of_the_known_pairs(
    project: Project, bob: User, second: list[int], passes: bool
) -> None:
    rule = make_rule(project, Kind.RANKING, questions=2)
    items = [make_known_ranking(project), make_known_ranking(project)]
    everything_tied = make_known(project, Kind.RANKING, tiers=[[1, 2]])
    make_item(project, Kind.RANKING)
    assert queue.lease_next(bob, project) is None
    attempt = services.begin_test(rule, bob)
    assert set(attempt.items) == {item.pk for item in items}
    with pytest.raises(services.ServiceError, match="tests ask"):
        services.practise_with(everything_tied, "It asks nothing.")
    for item_id, order in zip(attempt.items, [BEST_FIRST, second], strict=True):
        item = Item.objects.get(id=item_id)
        attempt = services.answer_test(attempt, item, ranked(item, order))
    assert (attempt.passed, attempt.percent, attempt.right) == (passes, 90 if passes else 50, 1)
    assert (queue.lease_next(bob, project) is not None) == passes


def test_practice_with_a_ranking_shows_the_known_order_and_how_much_was_alike(
    client: Client, project: Project, bob: User
) -> None:
    make_rule(project, Kind.RANKING)
    item = make_known_ranking(project)
    services.practise_with(item, "A has a <frog>.")
    client.force_login(bob)
    page, answering = url("qualify", project, "ranking"), url("qualify_answer", project, "ranking")
    assert client.get(page).context["question"].item == item
    shown = question_about(bob, item, 1, 1)
    assert client.post(answering, {"item": item.pk, "tier-1": "1"}).status_code == 422
    oldest_last = sorted(shown.order, reverse=True)
    places = {f"tier-{n}": oldest_last.index(pk) + 1 for n, pk in enumerate(shown.order, 1)}
    told = client.post(answering, {"item": item.pk, **places}).text
    letters = [shown.letters[pk] for pk in sorted(shown.order)]
    assert f"{letters[0]}, then {letters[1]}, then {' and '.join(sorted(letters[2:]))}" in told
    assert "0 % of the pairs" in told
    assert "A has a &lt;frog&gt;." in told


def test_a_question_that_is_asked_is_not_told_that_everything_ties(
    project: Project, bob: User, bea: User
) -> None:
    item = make_known_ranking(project)
    services.practise_with(item, "So.")
    texts = list(item.completions.order_by("id"))
    again = make_item(project, Kind.RANKING, prompt=item.prompt, completions=texts)
    ids = [text.pk for text in texts]
    with pytest.raises(services.ServiceError, match="ties everything"):
        services.make_gold(make_ranking(again, bea, [ids]).annotation)
    assert services.make_gold(make_ranking(again, bob, [ids[:3], ids[3:]]).annotation) == item
    # What was kept before such rankings were refused is answered all the same.
    Item.objects.filter(id=item.pk).update(gold={"tiers": [ids]})
    item.refresh_from_db()
    assert services.answer_practice(bob, item, ranked(item, BEST_FIRST)).is_right


# Ratings


def test_practice_and_test_of_ratings_count_what_is_near_the_known_points(
    client: Client, project: Project, bob: User
) -> None:
    rule = make_rule(project, Kind.RATING, questions=1)
    practised, asked = (make_known(project, Kind.RATING) for _ in range(2))
    for item in (practised, asked):
        first, second = sorted(item.completions.values_list("id", flat=True))
        known = {first: {"overall": 6, "harmful": 0}, second: {"overall": 2, "harmful": 1}}
        item.gold = {"answers": {str(pk): points for pk, points in known.items()}}
        item.save(update_fields=["gold"])
    services.practise_with(practised, "So.")
    client.force_login(bob)

    def send(item: Item, points: list[int], harmful: int) -> str:
        """Rate the older completion and the younger; raise a flag about one of them by age."""
        order = question_about(bob, item, 1, 1).order
        ages = [sorted(order).index(pk) for pk in order]
        data = {f"rating-{n}-overall": points[age] for n, age in enumerate(ages, 1)}
        data[f"rating-{ages.index(harmful) + 1}-harmful"] = 1
        answering = url("qualify_answer", project, "rating")
        return client.post(answering, {"item": item.pk, **data}, follow=True).text

    # Right: 5 and 1 are next to the known points. Missed: the flag that was raised, and the other.
    told = send(practised, [5, 1], harmful=0)
    assert "50 % as known" in told
    assert told.count("missed") == 2
    client.post(url("begin_test", project, "rating"))
    # Right: 6 and the flag. Missed: 4, which is two off.
    send(asked, [6, 4], harmful=1)
    attempt = TestAttempt.objects.get()
    assert (attempt.percent, attempt.passed) == (66, False)
    assert "66 % as known; 75 % were needed" in client.get(url("qualify", project, "rating")).text
    assert [one.kind for one in closed_kinds(bob, project)] == [rule.kind]


def test_a_known_rating_answers_the_questions_that_its_gold_item_asks(
    project: Project, bob: User, bea: User
) -> None:
    old = make_item(project, Kind.RATING)
    texts = list(old.completions.order_by("id"))
    scheme = make_rating_scheme(project, questions=[{**OVERALL, "name": "clarity"}])
    new = make_item(project, Kind.RATING, prompt=old.prompt, completions=texts)
    assert new.rating_scheme == scheme
    ids = [text.pk for text in texts]

    def rated(item: Item, person: User, name: str) -> Annotation:
        annotation = make_annotation(item, person, shown_order=ids)
        asked = scheme if name == "clarity" else old.rating_scheme
        assert asked is not None
        write_rating(annotation, asked, {pk: {name: 6} for pk in ids})
        return annotation

    first, second = (
        services.make_gold(rated(item, bob, name))
        for item, name in ((old, "overall"), (new, "clarity"))
    )
    assert [gold.rating_scheme for gold in (first, second)] == [old.rating_scheme, scheme]
    assert [len(known_answer(gold)[str(ids[0])]) for gold in (first, second)] == [2, 1]
    with pytest.raises(services.ServiceError, match="other questions"):
        services.make_gold(rated(old, bea, "clarity"))
    make_known(project, Kind.RATING, answers={})
    assert set(gold_items(project, Kind.RATING)) == {first, second}


# Reviews


def reviewed(project: Project, decision: str, text: str) -> Annotation:
    """Return what a reviewer said of a text by Bea."""
    bea, carol = (User.objects.get(username=name) for name in ("bea", "carol"))
    said = make_demonstration(project, bea, text).annotation
    assignment = make_assignment(make_item(project, Kind.REVIEW, subject=said), carol)
    better = "a better frog" if decision == "fix" else ""
    return services.submit_review(assignment, decision, better, reason="So.")


def test_a_test_of_reviews_asks_what_is_to_become_of_a_text(
    client: Client, project: Project, bob: User, bea: User, carol: User
) -> None:
    rule = make_rule(project, Kind.REVIEW, questions=2)
    rejected, accepted, fixed = (
        services.make_gold(reviewed(project, decision, f"frog {decision}"))
        for decision in ("reject", "accept", "fix")
    )
    assert services.make_gold(Annotation.objects.get(review__decision="fix")) == fixed
    Project.objects.filter(id=project.pk).update(gold_percent=100)
    project.refresh_from_db()
    assert queue.lease_next(bob, project) is None  # no queue hands them out
    services.practise_with(rejected, "It is about a <toad>.")
    client.force_login(bob)
    page, answering = (url(name, project, "review") for name in ("qualify", "qualify_answer"))
    asked = client.get(page)
    assert "frog reject" in asked.text
    assert "What somebody wrote" in asked.text
    assert client.post(answering, {"item": rejected.pk, "decision": "maybe"}).status_code == 422
    told = client.post(answering, {"item": rejected.pk, "decision": "accept"}).text
    assert "You said: Accept. Known is: Reject." in told
    assert "about a &lt;toad&gt;" in told
    attempt = services.begin_test(rule, bob)
    for item_id in attempt.items:
        assert item_id in (accepted.pk, fixed.pk)
        attempt = services.answer_test(attempt, Item.objects.get(id=item_id), "accept")
    assert (attempt.passed, attempt.percent, attempt.right) == (False, 50, 1)
    # Nobody is asked about what they wrote, in practice nor in a test.
    assert client.get(page).context["standing"].practice_left == 0
    client.force_login(bea)
    assert client.get(page).context["question"] is None
    with pytest.raises(services.ServiceError, match="no questions"):
        services.begin_test(rule, bea)
    services.retire_gold(fixed)
    services.answer_practice(carol, rejected, "reject")
    assert services.begin_test(rule, carol).items == [accepted.pk]
    assert Annotation.objects.filter(kind=Kind.REVIEW).count() == 3


# What people begin of their own


@pytest.mark.parametrize("why", ["group", "test", "by hand"])
def test_nobody_begins_work_of_their_own_of_a_kind_that_is_closed_to_them(
    client: Client, project: Project, alice: User, bob: User, why: str
) -> None:
    project.own_prompts_allowed = project.own_conversations_allowed = True
    project.save()
    client.force_login(bob)
    pages = [url("own_prompt", project), url("start_conversation", project)]
    assert all(page in client.get(url("project", project)).text for page in pages)
    poets = services.save_group(project, "Poets", [])
    for kind in (Kind.DEMONSTRATION, Kind.CONVERSATION):
        if why == "by hand":
            services.decide_kind(
                project, bob, kind, "withdrawn", reason="Read the rules.", decided_by=alice
            )
        elif why == "group":
            make_rule(project, kind, group=poets, is_tested=False)
        else:
            KindRule.objects.create(project=project, kind=kind, is_tested=True)
    overview = client.get(url("project", project)).text
    for page in pages:
        assert page not in overview
        refused = client.post(page, {"style": "plain", "text": "A frog."})
        assert refused.status_code == 422
        words = {"group": "kept for a group", "test": "passed its test", "by hand": "Read the"}
        assert words[why] in refused.context["form"].errors["text"].as_text()
    assert not Item.objects.exists()


# What people write


@pytest.fixture
def written(project: Project, bea: User) -> list[Item]:
    """Two questions of a test of writing, from demonstrations that an owner finds good."""
    return [
        services.make_gold(make_demonstration(project, bea, f"good {n}").annotation)
        for n in range(2)
    ]


def test_nobody_is_handed_a_question_of_a_written_test(
    project: Project, ben: User, written: list[Item]
) -> None:
    Project.objects.filter(id=project.pk).update(gold_percent=100)
    project.refresh_from_db()
    assert queue.lease_next(ben, project) is None
    ordinary = make_item(project, Kind.DEMONSTRATION)
    leased = queue.lease_next(ben, project)
    assert leased is not None
    assert leased.item == ordinary
    rule = make_rule(project, Kind.DEMONSTRATION)
    services.retire_gold(written[0])
    assert services.begin_test(rule, ben).items == [written[1].pk]


def test_an_owner_judges_what_was_written_without_knowing_whose_it_is(
    client: Client, project: Project, alice: User, bob: User, written: list[Item]
) -> None:
    bob.first_name = "Robert"
    bob.save(update_fields=["first_name"])
    rule = make_rule(project, Kind.DEMONSTRATION, questions=2, attempts=1)
    client.force_login(bob)
    client.post(url("begin_test", project, "demonstration"))
    page, answering = (
        url(name, project, "demonstration") for name in ("qualify", "qualify_answer")
    )
    for text in ("first frog", "  ", "second frog"):
        asked = client.get(page)
        item = asked.context["question"].item
        assert f"good {written.index(item)}" not in asked.text
        answered = client.post(answering, {"item": item.pk, "text": text})
        assert "or skip" not in answered.text
        assert ("Your text is empty" in answered.text) == (not text.strip())
    assert "An owner judges it" in client.get(page).text
    with pytest.raises(services.ServiceError, match="still to be judged"):
        services.begin_test(rule, bob)
    attempt = TestAttempt.objects.get()
    assert attempt.is_waiting

    client.force_login(alice)
    judging = reverse("annotations:judge_test", args=[attempt.pk])
    assert judging in client.get(url("tests_to_judge", project)).text
    shown = client.get(judging).text
    assert "first frog" in shown
    assert "good 0" in shown
    assert "How to do a demonstration." in shown
    assert not any(name in shown.lower() for name in ("robert", ">bob", f"/people/{bob.pk}/"))
    one, two = (f"answer-{answer.pk}" for answer in attempt.answers.all())
    no_reason = {f"{one}-passes": "yes", f"{two}-reason": "Hm."}
    assert client.post(judging, no_reason).status_code == 422
    assert (
        client.post(judging, {f"{one}-passes": "yes", f"{one}-reason": "A frog."}).status_code
        == 303
    )
    attempt.refresh_from_db()
    assert attempt.is_waiting
    both = {
        f"{one}-passes": "yes",
        f"{one}-reason": "A <b>frog</b>.",
        f"{two}-passes": "no",
        f"{two}-reason": "Six lines.",
        f"{one}-shown": shown_in(client, judging, one),
    }
    assert client.post(judging, both).status_code == 303
    attempt.refresh_from_db()
    assert (attempt.passed, attempt.right, attempt.percent) == (False, 1, 50)
    with pytest.raises(services.ServiceError, match="decided already"):
        services.judge_test(attempt, {}, judged_by=alice)
    stored = {part.name: list(part.read()) for part in stored_about(bob)}
    assert [row["said"] for row in stored["test_texts"]] == ["first frog", "second frog"]

    client.force_login(bob)
    told = client.get(page).text
    assert "A &lt;b&gt;frog&lt;/b&gt;." in told
    assert "Six lines." in told
    assert "1 of 2 passed" in told


def test_many_texts_are_read_in_as_many_queries_as_one(
    client: Client, project: Project, alice: User, bob: User, written: list[Item]
) -> None:
    rule = make_rule(project, Kind.DEMONSTRATION, questions=1, attempts=2)
    queries = []
    for questions in (1, 2):
        rule.questions = questions
        attempt = services.begin_test(rule, bob)
        client.force_login(bob)
        asked = client.get(url("qualify", project, "demonstration"))
        assert asked.context["judged"] == []
        for item_id in attempt.items:
            attempt = services.answer_test(attempt, Item.objects.get(id=item_id), "a frog")
        client.force_login(alice)
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse("annotations:judge_test", args=[attempt.pk]))
        queries.append(len(captured))
        given = {
            one.pk: services.Verdict(passes=False, reason="-") for one in attempt.answers.all()
        }
        services.judge_test(attempt, given, judged_by=alice)
    assert queries[0] == queries[1]


def shown_in(client: Client, judging: str, prefix: str) -> str:
    """Return what the page for judging keeps of the verdict about a text that it shows."""
    forms = [form for _, form in client.get(judging).context["written"]]
    return next(str(one["shown"].value() or "") for one in forms if one.prefix == prefix)


def test_no_verdict_replaces_one_that_its_author_has_not_seen(
    client: Client, project: Project, alice: User, bea: User, bob: User, written: list[Item]
) -> None:
    rule = make_rule(project, Kind.DEMONSTRATION, questions=2)
    attempt = services.begin_test(rule, bob)
    for item in attempt.items:
        services.answer_test(attempt, Item.objects.get(id=item), "a frog")
    first, second = (answer.pk for answer in attempt.answers.order_by("id"))
    services.judge_test(attempt, {first: services.Verdict(True, "Good.")}, judged_by=bea)

    client.force_login(alice)
    judging = reverse("annotations:judge_test", args=[attempt.pk])
    one, two = f"answer-{first}", f"answer-{second}"
    both = {
        f"{one}-passes": "yes",
        f"{one}-reason": "Good.",
        f"{one}-shown": shown_in(client, judging, one),
        f"{two}-passes": "yes",
        f"{two}-reason": "My own words.",
        f"{two}-shown": shown_in(client, judging, two),
    }
    services.judge_test(
        attempt, {first: services.Verdict(False, "Bad.", both[f"{one}-shown"])}, judged_by=bea
    )
    TestVerdict.objects.create(
        answer_id=second, passes=False, reason="No <i>haiku</i>.", judged_by=bea
    )
    refused = client.post(judging, both)
    assert refused.status_code == 422
    assert "Somebody judged text 2 meanwhile: it fails" in refused.text
    assert "No &lt;i&gt;haiku&lt;/i&gt;." in refused.text
    assert "My own words." in refused.text
    assert not TestVerdict.objects.filter(judged_by=alice).exists()

    # Told of it, she insists; what she has not touched stays as it is, and its author's.
    told = {f"{form.prefix}-shown": form["shown"].value() for _, form in refused.context["written"]}
    assert client.post(judging, both | told).status_code == 303
    kept = TestVerdict.objects.order_by("pk").values_list("passes", "reason", "judged_by")
    assert list(kept) == [(False, "Bad.", bea.pk), (True, "My own words.", alice.pk)]
    attempt.refresh_from_db()
    assert (attempt.passed, attempt.right) == (False, 1)


def test_texts_that_pass_open_the_kind_and_nobody_judges_their_own(
    client: Client, project: Project, alice: User, bob: User, eve: User, written: list[Item]
) -> None:
    rule = make_rule(project, Kind.DEMONSTRATION, questions=1)
    Membership.objects.filter(user=eve).update(role=Role.OWNER)
    services.practise_with(written[0], "It counts its syllables.")
    client.force_login(bob)
    practice = {"item": written[0].pk, "text": "mine"}
    told = client.post(url("qualify_answer", project, "demonstration"), practice).text
    assert "good 0" in told
    assert "It counts its syllables." in told
    services.answer_practice(alice, written[0], "mine")
    for person in (alice, bob):
        attempt = services.answer_test(services.begin_test(rule, person), written[1], "a frog")
        (answer,) = attempt.answers.all()
        verdict = {answer.pk: services.Verdict(passes=True, reason="Good.")}
        if person == alice:
            client.force_login(alice)
            assert "Nothing to judge" in client.get(url("tests_to_judge", project)).text
            assert (
                client.get(reverse("annotations:judge_test", args=[attempt.pk])).status_code == 404
            )
            with pytest.raises(services.ServiceError, match="your own"):
                services.judge_test(attempt, verdict, judged_by=alice)
        else:
            assert closed_kinds(bob, project)
            assert services.judge_test(attempt, verdict, judged_by=alice).passed
            assert not closed_kinds(bob, project)


def test_nobody_begins_a_test_that_nobody_could_judge(
    client: Client, project: Project, alice: User, written: list[Item]
) -> None:
    rule = make_rule(project, Kind.DEMONSTRATION, questions=1)
    with pytest.raises(services.ServiceError, match="only owner"):
        services.begin_test(rule, alice)
    client.force_login(alice)
    page = client.get(url("qualify", project, "demonstration")).text
    assert "nobody could judge your test" in page
    assert "Begin the test" not in page


def test_what_was_begun_is_finished_and_judged_where_a_test_is_asked_for_no_more(
    client: Client, project: Project, alice: User, bob: User, bea: User, written: list[Item]
) -> None:
    rule = make_rule(project, Kind.DEMONSTRATION, questions=1)
    services.begin_test(rule, bob)
    make_rule(project, Kind.DEMONSTRATION, is_tested=False)
    client.force_login(bob)
    page, answering = (
        url(name, project, "demonstration") for name in ("qualify", "qualify_answer")
    )
    asked = client.get(page)
    assert "You can finish yours" in asked.text
    client.post(answering, {"item": asked.context["question"].item.pk, "text": "a frog"})
    attempt = TestAttempt.objects.get()
    assert attempt.is_waiting
    assert "Yours is judged all the same" in client.get(page).text
    assert page in client.get(url("person", project, bob.pk)).text

    client.force_login(alice)
    judging = reverse("annotations:judge_test", args=[attempt.pk])
    assert "not asked for now" in client.get(url("tests_to_judge", project)).text
    assert "No test is asked for" in client.get(judging).text
    prefix = f"answer-{attempt.answers.get().pk}"
    verdict = {f"{prefix}-passes": "yes", f"{prefix}-reason": "A <i>frog</i>."}
    assert client.post(judging, verdict).status_code == 303

    client.force_login(bob)
    assert "A &lt;i&gt;frog&lt;/i&gt;." in client.get(page).text
    again = client.post(url("begin_test", project, "demonstration"), follow=True)
    assert "No test is asked for this kind of work any more" in again.text
    client.force_login(bea)  # who has begun none
    assert client.get(page).status_code == 404
    KindRule.objects.all().delete()
    client.force_login(bob)
    assert client.get(page).status_code == 200


def test_a_text_that_answers_no_question_any_more_is_given_back(
    client: Client, project: Project, bob: User, written: list[Item]
) -> None:
    make_rule(project, Kind.DEMONSTRATION)
    services.practise_with(written[0], "So.")
    services.answer_practice(bob, written[0], "in another tab")
    client.force_login(bob)
    sent = {"item": written[0].pk, "text": "a <frog> of mine"}
    lost = client.post(url("qualify_answer", project, "demonstration"), sent)
    assert lost.status_code == 409
    assert "a &lt;frog&gt; of mine" in lost.text


def test_reasons_that_come_too_late_are_given_back(
    client: Client, project: Project, alice: User, bob: User, bea: User, written: list[Item]
) -> None:
    rule = make_rule(project, Kind.DEMONSTRATION, questions=1)
    attempt = services.begin_test(rule, bob)
    services.answer_test(attempt, Item.objects.get(id=attempt.items[0]), "a frog")
    answer = attempt.answers.get()
    services.judge_test(attempt, {answer.pk: services.Verdict(True, "Good.")}, judged_by=bea)
    client.force_login(alice)
    prefix = f"answer-{answer.pk}"
    late = {f"{prefix}-passes": "no", f"{prefix}-reason": "Six <lines>."}
    refused = client.post(reverse("annotations:judge_test", args=[attempt.pk]), late)
    assert refused.status_code == 422
    assert "decided already" in refused.text
    assert "Six &lt;lines&gt;." in refused.text


def test_a_refused_practice_item_keeps_what_was_typed(
    client: Client, project: Project, alice: User
) -> None:
    item = make_known_ranking(project)
    client.force_login(alice)
    page = url("practice_items", project, "ranking")
    refused = client.post(page, {"item": item.pk, "why": "A <frog>. " + "x" * 5000})
    assert refused.status_code == 422
    field = refused.text.partition(f'id="why-{item.pk}"')[2].partition("</textarea>")[0]
    assert "A &lt;frog&gt;." in field
    assert f'id="why-{item.pk}-error"' in refused.text
    assert "Say why the known answer" in client.post(page, {"item": item.pk, "why": " "}).text
    services.retire_gold(item)
    gone = client.post(page, {"item": item.pk, "why": "A <toad>."})
    assert gone.status_code == 422
    assert "Choose a gold item that tests ask" in gone.text
    assert "A &lt;toad&gt;." in gone.text
    assert not hasattr(Item.objects.get(id=item.pk), "practice")
