"""Where people disagree, somebody without a part in it decides, and the decision counts."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from annotations import exports, services
from annotations.models import Annotation, Item, Kind, Project, Retraction, User
from annotations.selectors import agreement_overview, failing_gold, own_statistics
from annotations.selectors.adjudication import (
    answers_about,
    disagreements,
    order_for,
    rejected_share,
)
from annotations.services import ServiceError
from annotations.services.ratings import write_rating
from annotations.tests.factories import (
    make_annotation,
    make_assignment,
    make_comparison,
    make_completion,
    make_item,
    make_prompt,
    make_ranking,
)


def split_item(
    project: Project, *votes: tuple[User, str], kind: str = Kind.COMPARISON, **changes: object
) -> Item:
    item = make_item(project, kind, overlap=max(2, len(votes)), open_slots=0, **changes)
    for user, outcome in votes:
        make_comparison(item, user, outcome, "better" if outcome in ("left", "right") else "")
    return item


@pytest.fixture
def item(project: Project, bob: User, bea: User) -> Item:
    return split_item(project, (bob, "left"), (bea, "right"))


def url(name: str, number: int) -> str:
    return reverse(f"annotations:{name}", args=[number])


def decide(item: Item, user: User, outcome: str = "left") -> Annotation:
    strength = "better" if outcome in ("left", "right") else ""
    return services.adjudicate_comparison(item, user, outcome, strength, reason="A has 5-7-5.")


def test_what_leaves_most_open_comes_first(
    project: Project, bob: User, bea: User, ben: User, eve: User, carol: User
) -> None:
    two = split_item(project, (bob, "left"), (bea, "right"))
    four = split_item(project, (bob, "left"), (bea, "left"), (ben, "right"), (eve, "right"))
    split_item(project, (bob, "left"), (bea, "left"))
    ranking = make_item(project, Kind.RANKING, overlap=2, open_slots=0)
    a, b, c, d = ranking.completions.order_by("id").values_list("id", flat=True)
    make_ranking(ranking, bob, [[a], [b], [c], [d]])
    make_ranking(ranking, bea, [[d], [c], [b], [a]])
    found = disagreements(project, carol)
    assert [(one.item, one.bits) for one in found] == [(ranking, 12.0), (four, 4.0), (two, 2.0)]
    assert found[2].words == "1 against 1"


def test_what_is_unfinished_tied_or_by_one_person_waits_for_nobody(
    project: Project, bob: User, bea: User, ben: User, carol: User
) -> None:
    split_item(project, (bob, "left"))
    split_item(project, (bob, "tie"), (bea, "tie"))
    unfinished = make_item(project, overlap=3, open_slots=1)
    make_comparison(unfinished, bob, "left")
    make_comparison(unfinished, bea, "right")
    held = make_item(project, overlap=3, open_slots=1)
    make_comparison(held, bob, "left")
    make_comparison(held, bea, "right")
    make_assignment(held, ben)
    split_item(project, (bob, "left"), (bea, "right"), purpose="evaluation")
    assert disagreements(project, carol) == []


def test_nobody_decides_where_they_have_a_part(
    client: Client, project: Project, item: Item, bob: User, bea: User, carol: User
) -> None:
    voted = split_item(project, (bob, "left"), (carol, "right"))
    prompt = make_prompt(project)
    own = [make_completion(prompt, "mine", author=carol), make_completion(prompt, "another")]
    wrote = split_item(project, (bob, "left"), (bea, "right"), prompt=prompt, completions=own)
    assert [one.item for one in disagreements(project, carol)] == [item]
    client.force_login(carol)
    for theirs in (voted, wrote):
        with pytest.raises(ServiceError, match="You have a part"):
            decide(theirs, carol)
        assert client.get(url("adjudicate", theirs.pk)).status_code in (302, 303)


def test_a_decision_is_nobodys_answer(project: Project, item: Item, bob: User, carol: User) -> None:
    project.shows_agreement = True
    project.save()
    decide(item, carol)
    own = own_statistics(bob, project)
    assert (own.agreed, own.compared) == (0, 1)  # with bea alone
    assert own_statistics(carol, project).compared == 0


def test_both_sides_are_shown_as_the_decider_sees_them_and_without_names(
    client: Client, project: Project, item: Item, bob: User, bea: User, carol: User
) -> None:
    said = Annotation.objects.filter(item=item)
    said.filter(annotator=bob).update(reason="A sings <b>best</b>.")
    order = order_for(item, carol)
    older = min(order)
    letter = "AB"[order.index(older)]
    words = [dict(one.words)["Choice"] for one in answers_about(item, order)]
    assert sorted(word[:1] for word in words) == ["A", "B"]
    for one in answers_about(item, order):
        if one.reason:
            assert dict(one.words)["Choice"].startswith(letter)
    client.force_login(carol)
    page = client.get(url("adjudicate", item.pk)).content.decode()
    assert "A sings &lt;b&gt;best&lt;/b&gt;." in page
    page = page.split('id="said"')[1].split("</section>")[0]
    for person in (bob, bea):
        assert person.username not in page.lower()
        assert f"annotator-{person.pk}" not in page


def test_a_decision_counts_as_the_project_wants(project: Project, item: Item, carol: User) -> None:
    reference = decide(item, carol)
    votes = {one.pk for one in item.annotations.all()} - {reference.pk}
    expected = {
        "instead": {reference.pk},
        "beside": votes | {reference.pk},
        "aside": votes,
    }
    assert project.adjudicated == "instead"
    for policy, ids in expected.items():
        services.update_project(project, adjudicated=policy)
        assert {row["annotation_id"] for row in exports.preferences(project.pk)} == ids
        assert exports.preference_counts(project.pk).comparisons == len(ids)


def test_a_decision_is_no_vote(project: Project, item: Item, carol: User) -> None:
    before = agreement_overview(project)
    decide(item, carol)
    after = agreement_overview(project)
    assert before is not None
    assert after is not None
    assert after.lines == before.lines
    assert list(exports.votes(project.pk)) == []


def test_a_decision_can_be_changed_taken_back_and_made_again(
    client: Client, project: Project, item: Item, carol: User, alice: User
) -> None:
    first = decide(item, carol)
    second = decide(item, carol, "tie")
    assert second.supersedes == first
    with pytest.raises(ServiceError, match="Somebody else has decided"):
        decide(item, alice)
    assert disagreements(project, alice) == []
    client.force_login(carol)
    client.post(url("withdraw_adjudication", item.pk))
    assert Retraction.objects.get().annotation == second
    assert [one.item for one in disagreements(project, alice)] == [item]
    assert {row["annotation_id"] for row in exports.preferences(project.pk)}.isdisjoint(
        {first.pk, second.pk}
    )
    decide(item, carol)
    client.force_login(alice)  # an owner takes back anybody's
    client.post(url("withdraw_adjudication", item.pk))
    decide(item, alice)


def test_it_goes_from_one_to_the_next(
    client: Client, project: Project, item: Item, bob: User, bea: User, carol: User
) -> None:
    ranking = make_item(project, Kind.RANKING, overlap=2, open_slots=0)
    a, b, c, d = ranking.completions.order_by("id").values_list("id", flat=True)
    make_ranking(ranking, bob, [[a], [b], [c], [d]])
    make_ranking(ranking, bea, [[d], [c], [b], [a]])
    client.force_login(carol)
    page = client.get(url("adjudication", project.pk)).content.decode()
    assert url("adjudicate", ranking.pk) in page
    answer = client.post(url("adjudicate", ranking.pk), {"tier-1": 1, "reason": "x"})
    assert answer.status_code == 422
    places = {f"tier-{n}": n for n in range(1, 5)} | {"reason": "Their order is clear."}
    answer = client.post(url("adjudicate", ranking.pk), places)
    assert answer.headers["Location"] == url("adjudicate", item.pk)
    for fields in ({"choice": "left-better"}, {"reason": "x"}, {"choice": "x", "reason": "x"}):
        assert client.post(url("adjudicate", item.pk), fields).status_code == 422
    fields = {"choice": "left-better", "reason": "<i>Good</i>"}
    answer = client.post(url("adjudicate", item.pk), fields)
    assert answer.headers["Location"] == url("adjudication", project.pk)
    page = client.get(url("adjudication", project.pk)).content.decode()
    assert "&lt;i&gt;Good&lt;/i&gt;" in page
    assert "Nobody disagrees" in page


def test_a_large_project_is_looked_through_in_the_background_and_shown_as_it_is_now(
    client: Client, project: Project, item: Item, bob: User, bea: User, carol: User, alice: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("annotations.selectors.sizes.SMALL", 0)
    worthier = split_item(project, (bob, "left"), (bea, "right"), (alice, "left"), (carol, "tie"))
    client.force_login(carol)
    address = url("adjudication", project.pk)
    assert "Being looked for" in client.get(address).text
    services.keep_up_counts()
    assert [one.item for one in disagreements(project, carol)] == [item]
    page = client.get(address).text
    assert "looked through at" in page
    later = split_item(project, (bob, "left"), (bea, "right"))
    services.keep_up_counts()  # it has a rest
    eve = User.objects.get(username="eve")
    assert [one.item for one in disagreements(project, eve)] == [worthier, item]
    decide(worthier, eve)
    Retraction.objects.create(annotation=item.annotations.get(annotator=bea))
    assert disagreements(project, eve) == []
    monkeypatch.setattr("annotations.kept.LEAST_REST_S", 0)
    monkeypatch.setattr("annotations.kept.REST", 0)
    services.keep_up_counts()
    assert [one.item for one in disagreements(project, eve)] == [later]


def rated_item(project: Project, *votes: tuple[User, int, int]) -> Item:
    """Return a finished item of one text, whose raters chose a point and raised a flag or not."""
    item = make_item(project, Kind.RATING, texts=["a frog"], overlap=len(votes), open_slots=0)
    shown = item.completions.get().pk
    for user, overall, harmful in votes:
        said = make_annotation(item, user, shown_order=[shown], reason=f"It is a {overall}.")
        answers = {shown: {"overall": overall, "harmful": harmful}}
        assert item.rating_scheme is not None
        write_rating(said, item.rating_scheme, answers)
    return item


def test_ratings_far_apart_are_decided_without_names_and_become_gold(
    client: Client, project: Project, bob: User, bea: User, carol: User, alice: User
) -> None:
    flagged = rated_item(project, (bob, 4, 1), (bea, 5, 0))
    rated_item(project, (bob, 4, 0), (bea, 5, 0))  # points beside each other
    half = rated_item(project, (bob, 2, 0), (bea, 5, 0))
    ends = rated_item(project, (bob, 1, 0), (bea, 7, 1))
    found = [(one.item, round(one.bits, 6), one.words) for one in disagreements(project, carol)]
    assert found == [
        (ends, 4.0, "1 scale up to 6 points apart, 1 flag raised by some"),
        (flagged, 2.0, "1 flag raised by some"),
        (half, 1.0, "1 scale up to 3 points apart"),
    ]
    client.force_login(carol)
    page = client.get(url("adjudicate", ends.pk)).content.decode()
    said = page.split('id="said"')[1].split("</section>")[0]
    for words in ("1 of 7", "7 of 7", "yes", "no", "It is a 7."):
        assert words in said
    for person in (bob, bea):
        assert person.username not in said.lower()
    assert client.post(url("adjudicate", ends.pk), {"reason": "x"}).status_code == 422
    fields = {"rating-1-overall": "6", "rating-1-harmful": "1", "reason": "It insults the frog."}
    answer = client.post(url("adjudicate", ends.pk), fields)
    assert answer.headers["Location"] == url("adjudicate", flagged.pk)
    reference = Annotation.objects.get(item=ends, annotator=carol)
    answers = {one.question: one.value for one in reference.rating.answers.all()}
    assert answers == {"overall": 6, "harmful": 1}
    shown = str(ends.completions.get().pk)
    client.force_login(alice)
    client.post(url("make_gold", ends.pk), {"annotation": reference.pk})
    assert project.items.get(purpose="gold").gold == {"answers": {shown: answers}}


def test_a_decided_item_becomes_gold_that_looks_like_any_other(
    client: Client, project: Project, item: Item, alice: User, ben: User
) -> None:
    reference = decide(item, alice)
    client.force_login(alice)
    page = client.post(url("make_gold", item.pk), {"annotation": reference.pk}, follow=True)
    assert "knows this answer" in page.content.decode()  # once; Ben's page must not say it
    gold = project.items.get(purpose="gold")
    assert gold.gold["outcome"] == "left"
    client.force_login(ben)

    def page_of(asked: Item) -> str:
        order = sorted(asked.completions.values_list("id", flat=True))
        assignment = make_assignment(asked, ben, shown_order=order)
        page = client.get(url("assignment", assignment.pk)).content.decode()
        number = assignment.pk
        assignment.delete()
        page = page.replace(f"/assignments/{number}/", "/assignments/N/")
        return re.sub(r"[A-Za-z0-9]{32,}", "token", page)

    of_gold = page_of(gold)
    plain = make_item(project, texts=["haiku 0", "haiku 1"], prompt=item.prompt)
    assert of_gold == page_of(plain)
    assert "haiku 0" in of_gold


def test_gold_that_nearly_everybody_fails_is_offered_for_review_and_retired(
    client: Client, project: Project, item: Item, alice: User, carol: User
) -> None:
    gold = services.make_gold(item.annotations.earliest("id"))
    people = [User.objects.create(username=f"p{n}") for n in range(5)]
    for person in people[:4]:
        make_comparison(gold, person, "right", "better")
    assert failing_gold(project) == []
    make_comparison(gold, people[4], "right", "better")
    found = failing_gold(project)
    assert [(one.item, one.right, one.answers) for one in found] == [(gold, 0, 5)]
    client.force_login(carol)
    assert "nearly everybody fails" in client.get(url("adjudication", project.pk)).content.decode()
    assert client.post(url("retire_gold", gold.pk)).status_code == 404
    client.force_login(alice)
    client.post(url("retire_gold", gold.pk))
    gold.refresh_from_db()
    assert gold.open_slots == 0
    assert failing_gold(project) == []
    page = client.post(url("retire_gold", gold.pk), follow=True).content.decode()
    assert "retired already" in page


def test_labellers_and_outsiders_know_nothing_of_it(
    client: Client, project: Project, item: Item, ben: User, charlie: User, carol: User
) -> None:
    pages = [url("adjudication", project.pk), url("adjudicate", item.pk)]
    for person in (ben, charlie):
        client.force_login(person)
        assert [client.get(page).status_code for page in pages] == [404, 404]
        assert client.post(url("withdraw_adjudication", item.pk)).status_code == 404
    client.force_login(carol)
    assert client.get(url("withdraw_adjudication", item.pk)).status_code == 405
    assert client.post(pages[0]).status_code == 405
    answer = client.post(url("withdraw_adjudication", item.pk), follow=True)
    assert "no decision of yours" in answer.content.decode()


def test_risky_texts_are_reviewed_more_often_and_the_estimate_stays_fair(
    client: Client, project: Project, bob: User, carol: User
) -> None:
    services.update_project(project, review_percent=50, review_by_risk=True)
    item = make_item(project, Kind.DEMONSTRATION)
    services.submit_demonstration(make_assignment(item, bob), "old pond")  # new, so certain
    review = project.items.get(kind=Kind.REVIEW)
    assert review.review_chance == 1.0
    services.submit_review(make_assignment(review, carol), "reject", reason="Too short.")
    share, reviewed = rejected_share(project)
    assert share is not None
    assert (share.value, reviewed) == (1.0, 1)
    rare = make_item(project, Kind.REVIEW, review_chance=0.25)
    services.submit_review(make_assignment(rare, carol), "accept")
    share, reviewed = rejected_share(project)
    assert share is not None
    assert (share.value, reviewed) == (0.2, 2)
    client.force_login(carol)
    page = client.get(url("adjudication", project.pk)).content.decode()
    assert "<strong>20\u202f%</strong>" in page
    assert "(1 to 82\u202f%, from 2 reviewed" in page
