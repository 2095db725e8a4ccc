"""Ratings, rewrites, assemblies and reviews: what the services keep, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from annotations import selectors, services
from annotations.models import (
    Annotation,
    Assembly,
    Assignment,
    Item,
    Kind,
    Project,
    Rating,
    RatingAnswer,
    Review,
    Rewrite,
    User,
)
from annotations.services import ServiceError
from annotations.services.rating_schemes import check_questions
from annotations.services.review_items import ask_for_review, is_drawn, withdraw_review
from annotations.tests.factories import (
    make_assignment,
    make_completion,
    make_demonstration,
    make_item,
    run_out,
)

SUBMITS = {
    Kind.RATING: lambda assignment, **more: services.submit_rating(
        assignment, all_answers(assignment), **more
    ),
    Kind.REWRITE: lambda assignment, **more: services.submit_rewrite(assignment, "better", **more),
    Kind.ASSEMBLY: lambda assignment, **more: services.submit_assembly(
        assignment, [(assignment.shown_order[0], 0, 5)], "haiku", **more
    ),
    Kind.REVIEW: lambda assignment, **more: services.submit_review(assignment, "accept", **more),
}
NEW_KINDS = list(SUBMITS)
BAD_TEXTS = ["", " \n\t", "x" * 5_000_000, "a\x00b", "half \ud800"]


def all_answers(assignment: Assignment, **values: int) -> dict[int, dict[str, int]]:
    return {completion: {"overall": 4, **values} for completion in assignment.shown_order}


def assigned(project: Project, user: User, kind: str, **changes: Any) -> Assignment:
    return make_assignment(make_item(project, kind, **changes), user)


# What holds for each of them


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_a_second_submit_answers_as_the_first_did(project: Project, bob: User, kind: Kind) -> None:
    assignment = assigned(project, bob, kind)
    first = SUBMITS[kind](assignment, reason="first")
    assert SUBMITS[kind](assignment, reason="second") == first
    assert Annotation.objects.filter(kind=kind).get().reason == "first"
    assert first.shown_order == assignment.shown_order


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_it_keeps_work_whose_lease_ran_out(project: Project, bob: User, kind: Kind) -> None:
    assignment = run_out(assigned(project, bob, kind))
    Assignment.objects.filter(id=assignment.pk).update(state=Assignment.State.EXPIRED)
    annotation = SUBMITS[kind](assignment)
    assert annotation.surplus
    assert Annotation.objects.filter(kind=kind).count() == 1


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_it_refuses_another_kind_of_answer(project: Project, bob: User, kind: Kind) -> None:
    assignment = assigned(project, bob, Kind.COMPARISON)
    with pytest.raises(ServiceError, match="asks for a comparison"):
        SUBMITS[kind](assignment)
    assert not Annotation.objects.filter(kind=Kind.COMPARISON).exists()


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_a_correction_supersedes_and_fills_the_form_again(
    project: Project, bob: User, kind: Kind
) -> None:
    assignment = assigned(project, bob, kind)
    first = SUBMITS[kind](assignment)
    fields = selectors.fields_of(first)
    second = SUBMITS[kind](assignment, reason="again", correcting=first.pk)
    assert second.supersedes == first
    assert selectors.fields_of(second) == fields | {"reason": ["again"]}


# Ratings


def test_it_keeps_an_answer_to_every_question(project: Project, bob: User) -> None:
    assignment = assigned(project, bob, Kind.RATING)
    first, second = assignment.shown_order
    answers = {first: {"overall": 7, "harmful": 1}, second: {"overall": 1}}
    annotation = services.submit_rating(assignment, answers)
    kept = RatingAnswer.objects.values_list("completion_id", "question", "value")
    assert list(kept) == [
        (first, "overall", 7),
        (first, "harmful", 1),
        (second, "overall", 1),
        (second, "harmful", 0),
    ]
    assert Rating.objects.get(annotation=annotation).scheme == assignment.item.rating_scheme


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"overall": 0}, "from 1 to 7"),
        ({"overall": 8}, "from 1 to 7"),
        ({"overall": True}, "from 1 to 7"),
        ({"harmful": 2}, "from 0 to 1"),
        ({"beauty": 3}, "Nobody asked “beauty”"),
    ],
)
def test_it_refuses_answers_out_of_range(
    project: Project, bob: User, change: dict[str, int], sentence: str
) -> None:
    assignment = assigned(project, bob, Kind.RATING)
    with pytest.raises(ServiceError, match=sentence):
        services.submit_rating(assignment, all_answers(assignment, **change))
    assert not Annotation.objects.exists()
    assignment.refresh_from_db()
    assert assignment.state == Assignment.State.LEASED


def test_it_refuses_missing_answers_and_answers_about_other_texts(
    project: Project, bob: User
) -> None:
    assignment = assigned(project, bob, Kind.RATING)
    first, _ = assignment.shown_order
    with pytest.raises(ServiceError, match="B has no answer"):
        services.submit_rating(assignment, {first: {"overall": 3}})
    stranger = make_completion(assignment.item.prompt, "elsewhere")
    with pytest.raises(ServiceError, match="did not show"):
        services.submit_rating(assignment, all_answers(assignment) | {stranger.pk: {"overall": 1}})


def test_a_ranking_asks_the_questions_first(project: Project, bob: User) -> None:
    scheme = services.publish_scheme(project, services.DEFAULT_QUESTIONS, bob, before_ranking=True)
    assignment = assigned(project, bob, Kind.RANKING, rating_scheme=scheme)
    tiers = [assignment.shown_order]
    with pytest.raises(ServiceError, match="has no answer"):
        services.submit_ranking(assignment, tiers)
    assert not Annotation.objects.exists()
    answers = {completion: {"quality": 5} for completion in assignment.shown_order}
    annotation = services.submit_ranking(assignment, tiers, ratings=answers)
    assert annotation.rating.answers.filter(question="quality", value=5).count() == 4
    assert annotation.ranking.entries.count() == 4


# The questions


def test_a_published_version_never_changes(project: Project, alice: User) -> None:
    first = services.publish_scheme(project, services.DEFAULT_QUESTIONS, alice)
    changed = services.save_scheme_draft(project, services.DEFAULT_QUESTIONS[:1], alice)
    assert changed.version == 2
    assert services.scheme_in_force(project) == first
    second = services.publish_scheme(project, services.DEFAULT_QUESTIONS[:2], alice)
    assert (second.pk, len(second.questions)) == (changed.pk, 2)
    first.refresh_from_db()
    assert first.questions == services.DEFAULT_QUESTIONS
    assert services.scheme_draft(project) is None


def test_the_default_questions_are_those_of_instructgpt() -> None:
    assert check_questions(services.DEFAULT_QUESTIONS) == services.DEFAULT_QUESTIONS
    forms = [question["form"] for question in services.DEFAULT_QUESTIONS]
    assert (forms.count("scale"), forms.count("flag")) == (1, 11)
    assert services.DEFAULT_QUESTIONS[0]["points"] == 7


@pytest.mark.parametrize(
    ("questions", "sentence"),
    [
        ([], "no question"),
        ([{"name": "Quality!", "text": "?", "form": "flag"}], "needs a name"),
        ([{"name": "q", "text": " ", "form": "flag"}], "has no words"),
        ([{"name": "q", "text": "?", "form": "essay"}], "scale or a flag"),
        ([{"name": "q", "text": "?", "form": "scale", "points": 11}], "2 to 10 points"),
        ([{"name": "q", "text": "?", "form": "scale", "points": None}], "2 to 10 points"),
        ([{"name": "q", "text": "?", "form": "flag"}] * 2, "Two questions"),
        ([{"name": "q", "text": "a\x00", "form": "flag"}], "NUL"),
        ([{"name": "q", "text": "?", "form": "flag"}] * 31, "at most 30"),
    ],
)
def test_it_says_what_is_wrong_with_a_question(
    project: Project, alice: User, questions: list[dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(ServiceError, match=sentence):
        services.publish_scheme(project, questions, alice)
    assert not project.rating_schemes.exists()


# Rewrites


def test_a_rewrite_leaves_its_original_alone(project: Project, bob: User) -> None:
    assignment = assigned(project, bob, Kind.REWRITE, texts=["a frog jump"])
    services.submit_rewrite(assignment, "a frog\r\njumps \u202e<b>")
    rewrite = Rewrite.objects.get()
    assert rewrite.original.text == "a frog jump"
    assert rewrite.completion.text == "a frog\njumps \u202e<b>"
    assert rewrite.completion.author == bob


@pytest.mark.parametrize("text", [*BAD_TEXTS, "haiku 0", " haiku 0\r\n"])
def test_it_refuses_a_rewrite_that_is_none(project: Project, bob: User, text: str) -> None:
    assignment = assigned(project, bob, Kind.REWRITE)
    with pytest.raises(ServiceError):
        services.submit_rewrite(assignment, text)
    assert not Annotation.objects.exists()


# Assemblies


def test_it_keeps_the_parts_in_their_order(project: Project, bob: User) -> None:
    assignment = assigned(project, bob, Kind.ASSEMBLY, texts=["one\ntwo", "three\nfour"])
    first, second = assignment.shown_order
    services.submit_assembly(assignment, [(second, 6, 10), (first, 0, 3)], "four, one")
    assembly = Assembly.objects.get()
    assert assembly.completion.text == "four, one"
    parts = [(p.source.text[p.start : p.end], p.position) for p in assembly.parts.all()]
    assert parts == [("four", 0), ("one", 1)]


@pytest.mark.parametrize(
    ("spans", "sentence"),
    [
        ([], "No part is chosen"),
        ([(0, 0, 3), (0, 2, 7)], "overlap"),
        ([(0, 0, 3), (0, 0, 3)], "overlap"),
        ([(0, 3, 4)], "blank"),
        ([(0, 0, 8)], "outside"),
        ([(0, -1, 3)], "outside"),
        ([(0, 3, 3)], "outside"),
        ([(99, 0, 3)], "did not show"),
        ([(0, n, n + 1) for n in range(600)], "At most 500"),
    ],
)
def test_it_refuses_parts_that_are_none_of_the_shown_texts(
    project: Project, bob: User, spans: list[tuple[int, int, int]], sentence: str
) -> None:
    assignment = assigned(project, bob, Kind.ASSEMBLY, texts=["one\ntwo", "three"])
    stranger = make_completion(assignment.item.prompt, "elsewhere").pk
    ids = dict(enumerate(assignment.shown_order)) | {99: stranger}
    with pytest.raises(ServiceError, match=sentence):
        services.submit_assembly(assignment, [(ids[s], a, z) for s, a, z in spans], "text")
    assert not Annotation.objects.exists()


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_it_refuses_an_empty_assembly(project: Project, bob: User, text: str) -> None:
    assignment = assigned(project, bob, Kind.ASSEMBLY)
    with pytest.raises(ServiceError):
        services.submit_assembly(assignment, [(assignment.shown_order[0], 0, 5)], text)
    assert not Annotation.objects.exists()


# Reviews


def test_a_fix_is_a_text_by_the_reviewer(project: Project, carol: User) -> None:
    assignment = assigned(project, carol, Kind.REVIEW)
    services.submit_review(assignment, "fix", "a frog\r\nsits")
    review = Review.objects.get()
    assert review.completion is not None
    assert (review.completion.text, review.completion.author) == ("a frog\nsits", carol)
    assert review.subject.demonstration.completion.text == "a frog\nleaps\nin"


@pytest.mark.parametrize(
    ("decision", "text", "reason", "sentence"),
    [
        ("", "", "", "Choose whether"),
        ("maybe", "", "", "Choose whether"),
        ("reject", "", " ", "Say why"),
        ("fix", "", "", "empty"),
        ("fix", "a frog\nleaps\nin\n", "", "did not change"),
        ("fix", "a\x00", "", "NUL"),
        ("fix", "x" * 5_000_000, "", "at most"),
        ("fix", "\ud800", "", "surrogate"),
    ],
)
def test_it_refuses_a_review_that_says_nothing(
    project: Project, carol: User, decision: str, text: str, reason: str, sentence: str
) -> None:
    assignment = assigned(project, carol, Kind.REVIEW)
    with pytest.raises(ServiceError, match=sentence):
        services.submit_review(assignment, decision, text, reason=reason)
    assert not Review.objects.exists()


def test_nobody_reviews_their_own_work(project: Project, bob: User) -> None:
    subject = make_demonstration(project, bob).annotation
    assignment = assigned(project, bob, Kind.REVIEW, subject=subject)
    with pytest.raises(ServiceError, match="your own work"):
        services.submit_review(assignment, "accept")


def test_nobody_reviews_what_was_changed_meanwhile(
    project: Project, bob: User, carol: User
) -> None:
    writing = assigned(project, bob, Kind.DEMONSTRATION)
    first = services.submit_demonstration(writing, "first")
    assignment = assigned(project, carol, Kind.REVIEW, subject=first)
    services.submit_demonstration(writing, "second", correcting=first.pk)
    with pytest.raises(ServiceError, match="nothing left to review"):
        services.submit_review(assignment, "accept")
    assert not Review.objects.exists()


def test_a_fix_may_not_undo_a_rewrite(project: Project, bob: User, carol: User) -> None:
    rewriting = assigned(project, bob, Kind.REWRITE, texts=["before"])
    subject = services.submit_rewrite(rewriting, "after")
    item = make_item(
        project, Kind.REVIEW, subject=subject, completions=[subject.rewrite.completion]
    )
    assignment = make_assignment(item, carol)
    with pytest.raises(ServiceError, match="before the rewrite"):
        services.submit_review(assignment, "fix", "before")
    services.submit_review(assignment, "fix", "even better")


# Which work is reviewed


def test_it_asks_for_a_review_of_each_written_text(project: Project, bob: User) -> None:
    project.review_percent = 100
    project.save()
    written = [
        services.submit_demonstration(assigned(project, bob, Kind.DEMONSTRATION), "one"),
        SUBMITS[Kind.REWRITE](assigned(project, bob, Kind.REWRITE)),
        SUBMITS[Kind.ASSEMBLY](assigned(project, bob, Kind.ASSEMBLY)),
    ]
    SUBMITS[Kind.RATING](assigned(project, bob, Kind.RATING))
    items = Item.objects.filter(kind=Kind.REVIEW)
    assert {item.subject for item in items} == set(written)
    assert [item.completions.get().author for item in items] == [bob] * 3
    assert ask_for_review(written[0]) in items
    assert items.count() == 3


def test_it_asks_for_no_review_unless_the_project_wants_some(project: Project, bob: User) -> None:
    annotation = make_demonstration(project, bob).annotation
    assert ask_for_review(annotation) is None
    assert not Item.objects.filter(kind=Kind.REVIEW).exists()


def test_the_share_of_reviews_is_about_what_was_asked_for() -> None:
    drawn = sum(is_drawn(number, 20) for number in range(5_000))
    assert 900 < drawn < 1_100


def test_a_withdrawn_review_is_handed_to_nobody(project: Project, bob: User) -> None:
    subject = make_demonstration(project, bob).annotation
    item = make_item(project, Kind.REVIEW, subject=subject)
    withdraw_review(subject)
    item.refresh_from_db()
    assert item.open_slots == 0
