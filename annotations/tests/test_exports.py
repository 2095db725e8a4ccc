"""One annotation, every trainer: what goes in comes out, and is accounted for."""

from __future__ import annotations

import itertools
from math import comb

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations import exports, services
from annotations.models import Annotation, Item, Kind, Retraction
from annotations.services.review_items import text_of
from annotations.tests.factories import (
    make_annotation,
    make_assignment,
    make_comparison,
    make_demonstration,
    make_item,
    make_prompt,
    make_ranking,
    make_replies,
)

NUMBERS = itertools.count(1)


def test_it_exports_a_demonstration_with_where_it_came_from(project, bob):
    guideline = project.guideline_versions.get(kind=Kind.DEMONSTRATION)
    made = make_demonstration(project, bob, "a\n\nb \u202e", guideline_version=guideline)
    prompt = made.completion.prompt
    assert list(exports.demonstrations(project.pk)) == [
        {
            "split": prompt.split,
            "prompt_id": prompt.pk,
            "annotation_id": made.pk,
            "annotator": f"annotator-{bob.pk}",
            "guideline_version": 1,
            "prompt": prompt.messages,
            "completion": [{"role": "assistant", "content": "a\n\nb \u202e"}],
            "kind": "demonstration",
            "fixes": None,
        }
    ]


def test_it_exports_a_comparison_as_chosen_and_rejected(project, bob):
    comparison = make_comparison(make_item(project), bob, "right", "slightly")
    (row,) = exports.preferences(project.pk)
    assert (row["chosen_id"], row["rejected_id"]) == (comparison.right_id, comparison.left_id)
    assert row["chosen"] == [{"role": "assistant", "content": comparison.right.text}]
    assert (row["strength"], row["margin"]) == ("slightly", pytest.approx(1 / 3))
    assert row["guideline_version"] is None


def test_it_gives_no_pair_for_ties_but_counts_them(project, bob):
    for outcome in ("left", "right", "tie", "tie", "both_bad"):
        make_comparison(make_item(project), bob, outcome)
    counts = exports.preference_counts(project.pk)
    assert (counts.comparisons, counts.ties, counts.both_bad) == (5, 2, 1)
    assert counts.pairs == len(list(exports.preferences(project.pk))) == 2


def judged(project, annotation) -> list[tuple[int, bool]]:
    """Return (completion, whether it is good) of each row that the annotation gives."""
    rows = exports.judgements(project.pk)
    return sorted(
        (row["completion_id"], row["label"]) for row in rows if row["annotation_id"] == annotation
    )


def test_it_judges_both_sides_of_a_comparison_and_two_bad_ones_bad(project, bob):
    made = {
        outcome: make_comparison(make_item(project), bob, outcome)
        for outcome in ("left", "right", "tie", "both_bad")
    }
    expected = {"left": [True, False], "right": [False, True], "both_bad": [False, False]}
    for outcome, comparison in made.items():
        sides = [comparison.left_id, comparison.right_id]
        labels = expected.get(outcome, [])
        assert judged(project, comparison.pk) == sorted(zip(sides, labels, strict=False))
    counts = exports.preference_counts(project.pk)
    assert counts.judged == len(list(exports.judgements(project.pk))) == 6


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(tiers=st.lists(st.integers(1, 3), min_size=1, max_size=4).filter(lambda t: sum(t) > 1))
def test_it_judges_the_ends_of_a_ranking(project, bob, tiers):
    before = exports.preference_counts(project.pk)
    prompt = make_prompt(project, f"judged {next(NUMBERS)}")
    texts = [f"haiku {number}" for number in range(sum(tiers))]
    item = make_item(project, Kind.RANKING, prompt=prompt, texts=texts)
    ids = iter(item.completions.order_by("id").values_list("id", flat=True))
    ranked = [[next(ids) for _ in range(size)] for size in tiers]
    ranking = make_ranking(item, bob, ranked)
    good, bad = (ranked[0], ranked[-1]) if len(ranked) > 1 else ([], [])
    expected = [*((one, True) for one in good), *((one, False) for one in bad)]
    assert judged(project, ranking.pk) == sorted(expected)
    after = exports.preference_counts(project.pk)
    assert after.judged == before.judged + len(expected)
    assert after.ranked_between == before.ranked_between + sum(tiers[1:-1])


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(tiers=st.lists(st.integers(1, 3), min_size=1, max_size=4).filter(lambda t: sum(t) > 1))
def test_it_gives_all_pairs_of_a_ranking_but_the_tied(project, bob, tiers):
    before = exports.preference_counts(project.pk)
    prompt = make_prompt(project, f"ranking {next(NUMBERS)}")
    texts = [f"haiku {number}" for number in range(sum(tiers))]
    item = make_item(project, Kind.RANKING, prompt=prompt, texts=texts)
    ids = iter(item.completions.order_by("id").values_list("id", flat=True))
    ranking = make_ranking(item, bob, [[next(ids) for _ in range(size)] for size in tiers])
    rows = [row for row in exports.preferences(project.pk) if row["annotation_id"] == ranking.pk]
    expected = comb(sum(tiers), 2) - sum(comb(size, 2) for size in tiers)
    assert len(rows) == len({(row["chosen_id"], row["rejected_id"]) for row in rows}) == expected
    assert exports.preference_counts(project.pk).pairs == before.pairs + expected


def test_it_gives_ties_apart_from_pairs_for_who_can_learn_from_them(project, bob):
    for outcome in ("left", "tie", "both_bad"):
        compared = make_comparison(make_item(project), bob, outcome)
    tied = Annotation.objects.get(comparison__outcome="tie")
    item = make_item(project, Kind.RANKING)
    ids = list(item.completions.order_by("id").values_list("id", flat=True))
    ranking = make_ranking(item, bob, [ids[:1], ids[1:]])
    rows = list(exports.ties(project.pk))
    counts = exports.preference_counts(project.pk)
    assert len(rows) == counts.ties + counts.ranking_ties
    assert {row["annotation_id"] for row in rows} == {tied.pk, ranking.pk}
    assert compared.pk not in {row["annotation_id"] for row in rows}
    assert all(row["tie"] and row["margin"] == 0 for row in rows)
    assert not any("tie" in row for row in exports.preferences(project.pk))


def test_it_orders_rows_by_annotation_whatever_their_kind(project, bob):
    for _ in range(3):
        item = make_item(project, Kind.RANKING)
        ids = list(item.completions.values_list("id", flat=True))
        make_ranking(item, bob, [ids[2:], ids[:2]])
        make_comparison(make_item(project), bob)
    rows = list(exports.preferences(project.pk))
    assert [row["annotation_id"] for row in rows] == sorted(row["annotation_id"] for row in rows)
    assert len(rows) == 3 * (4 + 1)
    assert rows == list(exports.preferences(project.pk))


def test_it_leaves_out_what_was_superseded(project, bob):
    item = make_item(project)
    old = make_comparison(item, bob, "left")
    new = make_comparison(item, bob, "right", supersedes=old.annotation)
    assert [row["annotation_id"] for row in exports.preferences(project.pk)] == [new.pk]
    first = make_demonstration(project, bob)
    make_annotation(first.annotation.item, bob, supersedes=first.annotation)
    assert list(exports.demonstrations(project.pk)) == []
    assert Annotation.objects.count() == 4


def test_it_keeps_evaluations_out_of_the_training_data(project, bob):
    item = make_item(project, purpose=Item.Purpose.EVALUATION, batch="evaluation-1")
    made = make_comparison(item, bob, "left")
    make_comparison(make_item(project, batch="evaluation-1"), bob, "left")
    (battle,) = exports.battles(project.pk, "evaluation-1")
    assert (battle["annotation_id"], battle["outcome"]) == (made.pk, "left")
    assert len(list(exports.preferences(project.pk))) == 1
    assert list(exports.battles(project.pk, "evaluation-2")) == []


def test_it_exports_no_other_project(project, bob, alice):
    from annotations.services import create_project

    other = create_project(name="Other", description="", created_by=alice)
    make_demonstration(other, bob)
    make_comparison(make_item(other), bob)
    assert list(exports.demonstrations(project.pk)) == list(exports.preferences(project.pk)) == []
    assert list(exports.prompts(project.pk)) == []
    assert len(list(exports.prompts(other.pk))) == 2


def test_it_needs_as_many_queries_for_many_rows_as_for_one(project, bob):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            list(exports.preferences(project.pk))
            list(exports.demonstrations(project.pk))
        return len(captured)

    make_comparison(make_item(project), bob)
    make_demonstration(project, bob)
    one = queries()
    for _ in range(20):
        make_comparison(make_item(project), bob)
        make_demonstration(project, bob)
    assert queries() == one <= 50


# Rewrites, assemblies, reviews, ratings


def assigned(project, user, kind, **changes):
    return make_assignment(make_item(project, kind, **changes), user)


def rewrite(project, user, text="after", **changes):
    return services.submit_rewrite(
        assigned(project, user, Kind.REWRITE, texts=["before"], **changes), text
    )


def review(subject, user, decision, text="", reason="because"):
    completion = text_of(subject)
    item = make_item(subject.item.project, Kind.REVIEW, subject=subject, completions=[completion])
    return services.submit_review(make_assignment(item, user), decision, text, reason=reason)


def texts_of(rows):
    return [row["completion"][0]["content"] for row in rows]


def test_a_rewrite_beats_its_original_and_is_one_text_to_imitate(project, bob):
    annotation = rewrite(project, bob)
    (pair,) = exports.preferences(project.pk)
    assert (pair["chosen_id"], pair["rejected_id"]) == (
        annotation.rewrite.completion_id,
        annotation.rewrite.original_id,
    )
    assert (pair["margin"], pair["strength"]) == (pytest.approx(1 / 3), "")
    (row,) = exports.demonstrations(project.pk)
    assert (row["kind"], row["annotation_id"], texts_of([row])) == (
        "rewrite",
        annotation.pk,
        ["after"],
    )
    counts = exports.preference_counts(project.pk)
    assert (counts.rewrites, counts.rejected_rewrites, counts.pairs) == (1, 0, 1)


def test_an_assembly_is_one_text_to_imitate_and_no_preference(project, bob):
    assignment = assigned(project, bob, Kind.ASSEMBLY)
    services.submit_assembly(assignment, [(assignment.shown_order[0], 0, 5)], "the whole")
    (row,) = exports.demonstrations(project.pk)
    assert (row["kind"], texts_of([row])) == ("assembly", ["the whole"])
    assert list(exports.preferences(project.pk)) == []


def test_ratings_are_rows_of_their_own_and_no_preferences(project, bob):
    assignment = assigned(project, bob, Kind.RATING, texts=["a", "b"])
    first, second = assignment.shown_order
    answers = {first: {"overall": 7, "harmful": 1}, second: {"overall": 1}}
    annotation = services.submit_rating(assignment, answers)
    rows = list(exports.ratings(project.pk))
    assert [row["completion_id"] for row in rows] == [first, second]
    assert [row["answers"] for row in rows] == [
        {"overall": 7, "harmful": 1},
        {"overall": 1, "harmful": 0},
    ]
    assert {(row["annotation_id"], row["kind"], row["questions_version"]) for row in rows} == {
        (annotation.pk, "rating", 1)
    }
    assert list(exports.preferences(project.pk)) == []
    assert list(exports.demonstrations(project.pk)) == []


def converse(project, user, *choices, **changes):
    """Have a conversation in which the choices are made; return its annotation."""
    assignment = assigned(project, user, Kind.CONVERSATION, texts=[], **changes)
    for number, choice in enumerate(choices):
        make_replies(assignment, f"A {number}", f"B {number}")
        outcome, _, strength = choice.partition("-")
        services.pick(assignment, number, outcome, strength)
        if outcome != "both_bad" and number + 1 < len(choices):
            services.say(assignment, number + 1, f"Message {number + 1}")
    return services.submit_conversation(assignment)


def test_each_choice_in_a_conversation_is_a_pair_on_what_had_been_said(project, bob):
    annotation = converse(project, bob, "right-better", "left-negligibly")
    first, second = exports.preferences(project.pk)
    choices = list(annotation.conversation.choices.all())
    assert [row["prompt"] for row in (first, second)] == [one.prompt.messages for one in choices]
    assert texts_of([{"completion": row["chosen"]} for row in (first, second)]) == ["B 0", "A 1"]
    assert second["prompt"][1:] == [
        {"role": "assistant", "content": "B 0"},
        {"role": "user", "content": "Message 1"},
    ]
    assert (first["margin"], second["margin"]) == (pytest.approx(2 / 3), 0)
    for row in (first, second):
        assert row["split"] == annotation.item.prompt.split
        assert row["annotation_id"] == annotation.pk
        assert (row["annotator"], row["guideline_version"]) == (f"annotator-{bob.pk}", 1)
    assert (first["prompt_id"], second["prompt_id"]) == tuple(one.prompt_id for one in choices)
    assert list(exports.demonstrations(project.pk)) == []
    assert list(exports.ratings(project.pk)) == []


CHOICES = st.sampled_from(["left-better", "right-slightly", "tie", "both_bad"])


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(choices=st.lists(CHOICES, min_size=1, max_size=5))
def test_nothing_of_a_conversation_is_lost_or_made_up(project, bob, choices):
    before = exports.preference_counts(project.pk)
    prompt = make_prompt(project, f"conversation {next(NUMBERS)}")
    annotation = converse(project, bob, *choices, prompt=prompt)
    rows = [row for row in exports.preferences(project.pk) if row["annotation_id"] == annotation.pk]
    counts = exports.preference_counts(project.pk)
    ties, both_bad = choices.count("tie"), choices.count("both_bad")
    assert len(rows) == len(choices) - ties - both_bad
    assert counts.choices == before.choices + len(choices)
    assert (counts.ties, counts.both_bad) == (before.ties + ties, before.both_bad + both_bad)
    assert counts.pairs == before.pairs + len(rows) == len(list(exports.preferences(project.pk)))
    labels = [label for _, label in judged(project, annotation.pk)]
    assert (labels.count(True), labels.count(False)) == (len(rows), len(rows) + 2 * both_bad)
    assert counts.judged == before.judged + len(labels)


def test_a_conversation_that_goes_on_or_was_taken_back_is_in_no_row(project, bob):
    annotation = converse(project, bob, "left-better")
    services.undo(annotation.assignment)
    assert list(exports.preferences(project.pk)) == []
    assert exports.preference_counts(project.pk).choices == 0
    services.submit_conversation(annotation.assignment)
    assert len(list(exports.preferences(project.pk))) == 1


def test_what_was_rejected_is_left_out_and_counted(project, bob, carol):
    written = make_demonstration(project, bob, "poor").annotation
    rewritten = rewrite(project, bob)
    make_demonstration(project, bob, "fine")
    review(written, carol, "reject")
    review(rewritten, carol, "reject")
    assert texts_of(exports.demonstrations(project.pk)) == ["fine"]
    assert list(exports.preferences(project.pk)) == []
    counts = exports.review_counts(project.pk)
    assert (counts.written, counts.reviewed, counts.rejected, counts.fixed) == (3, 2, 2, 0)
    assert exports.preference_counts(project.pk).pairs == 0


def test_a_fix_takes_the_place_of_what_it_fixes(project, bob, carol):
    written = make_demonstration(project, bob, "nearly").annotation
    rewritten = rewrite(project, bob)
    fix = review(written, carol, "fix", "quite")
    fixed_rewrite = review(rewritten, carol, "fix", "after all")
    rows = list(exports.demonstrations(project.pk))
    assert texts_of(rows) == ["quite", "after all"]
    assert [(row["annotation_id"], row["fixes"], row["kind"]) for row in rows] == [
        (fix.pk, written.pk, "demonstration"),
        (fixed_rewrite.pk, rewritten.pk, "rewrite"),
    ]
    assert {row["annotator"] for row in rows} == {f"annotator-{carol.pk}"}
    (pair,) = exports.preferences(project.pk)
    assert (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == (
        "after all",
        "before",
    )
    assert pair["annotation_id"] == fixed_rewrite.pk
    sides = [(pair["chosen_id"], True), (pair["rejected_id"], False)]
    assert judged(project, fixed_rewrite.pk) == sorted(sides)
    assert exports.preference_counts(project.pk).pairs == 1
    assert exports.preference_counts(project.pk).judged == 2
    assert exports.review_counts(project.pk).fixed == 2


def test_an_accepted_text_stays_as_it_is(project, bob, carol):
    written = make_demonstration(project, bob, "good").annotation
    review(written, carol, "accept")
    (row,) = exports.demonstrations(project.pk)
    assert (row["annotation_id"], row["fixes"]) == (written.pk, None)


def test_only_the_review_in_force_counts(project, bob, carol):
    written = make_demonstration(project, bob, "good").annotation
    item = make_item(
        project, Kind.REVIEW, subject=written, completions=[written.demonstration.completion]
    )
    assignment = make_assignment(item, carol)
    first = services.submit_review(assignment, "reject", reason="no")
    assert list(exports.demonstrations(project.pk)) == []
    services.submit_review(assignment, "accept", correcting=first.pk)
    assert texts_of(exports.demonstrations(project.pk)) == ["good"]
    Retraction.objects.create(annotation=written)
    assert list(exports.demonstrations(project.pk)) == []


def test_a_rejection_weighs_more_than_a_fix(project, bob, carol, eve):
    written = make_demonstration(project, bob, "doubtful").annotation
    review(written, carol, "fix", "mended")
    review(written, eve, "reject")
    assert list(exports.demonstrations(project.pk)) == []
    counts = exports.review_counts(project.pk)
    assert (counts.rejected, counts.fixed) == (1, 0)
