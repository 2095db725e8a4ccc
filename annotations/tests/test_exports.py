"""One annotation, every trainer: what goes in comes out, and is accounted for."""

from __future__ import annotations

import itertools
from math import comb

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations import exports
from annotations.models import Annotation, Item, Kind
from annotations.tests.factories import (
    make_annotation,
    make_comparison,
    make_demonstration,
    make_item,
    make_prompt,
    make_ranking,
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


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
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
    assert queries() == one == 3
