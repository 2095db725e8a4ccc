"""Several votes on a pair become one opinion: of training rows alone, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Comparison, Item, Project, Prompt, User
from annotations.tests.factories import make_annotation, make_item, make_prompt
from training import artifacts, services
from training.aggregation import MAJORITY, WEIGHTED, aggregated
from training.models import DatasetSnapshot

Votes = Sequence[tuple[str, str]]
"""Who, and what they find better: one, two or a tie."""


def row(
    prompt: int, annotation: int, who: str, better: str, split: str = "train"
) -> dict[str, Any]:
    chosen, rejected = ("two", "one") if better == "two" else ("one", "two")
    number = {"one": 2 * prompt, "two": 2 * prompt + 1}
    found = {
        "split": split,
        "prompt_id": prompt,
        "annotation_id": annotation,
        "annotator": who,
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "chosen_id": number[chosen],
        "rejected_id": number[rejected],
        "margin": 0.0,
        "strength": "",
    }
    return {**found, "tie": True} if better == "tie" else found


def votes(*pairs: Votes, split: str = "train") -> tuple[list[Any], list[Any]]:
    """Return the rows and the ties of votes on one pair after another."""
    said = [
        row(prompt, 100 * prompt + number, who, better, split)
        for prompt, pair in enumerate(pairs)
        for number, (who, better) in enumerate(pair)
    ]
    return [one for one in said if not one.get("tie")], [one for one in said if one.get("tie")]


CROWD = [("ada", "one"), ("bob", "one"), ("mal", "two")]


def reliable(pairs: int) -> list[Votes]:
    """Return pairs on which ada and bob agree and mal says the opposite."""
    better = ["one" if number % 3 else "two" for number in range(pairs)]
    other = {"one": "two", "two": "one"}
    return [[("ada", one), ("bob", one), ("mal", other[one])] for one in better]


def test_the_majority_leaves_out_who_was_outvoted() -> None:
    rows, ties = votes(CROWD, [("ada", "one"), ("bob", "two")], [("ada", "two")])
    found = aggregated(rows, ties, {}, MAJORITY)
    assert [one["annotation_id"] for one in found.rows] == [0, 1, 200]
    assert found.report == {"way": "majority", "pairs": 3, "split_evenly": 1, "outvoted": 3}


def test_a_majority_of_ties_is_no_side() -> None:
    rows, ties = votes([("ada", "one"), ("bob", "tie"), ("mal", "tie")], [("ada", "one")])
    found = aggregated(rows, ties, {}, MAJORITY)
    assert [one["annotation_id"] for one in found.rows] == [100]
    assert found.annotation_ids == {1, 2}


def test_weighing_turns_what_somebody_unreliable_says() -> None:
    rows, ties = votes(*reliable(40), [("mal", "one")])
    found = aggregated(rows, ties, {}, WEIGHTED)
    last = found.rows[-1]
    assert (last["chosen"][0]["content"], last["turned"]) == ("two", True)
    assert (last["chosen_id"], last["rejected_id"]) == (81, 80)
    assert 0.5 < last["target"] < 1
    assert found.report["turned"] == 1
    people = {one["annotator"]: one for one in found.report["people"]}
    assert people["ada"]["right"] > 0.7 > 0.4 > people["mal"]["right"]
    assert len(found.rows) == len(rows)


def test_all_votes_on_a_pair_get_one_opinion() -> None:
    rows, ties = votes(*reliable(10))
    found = aggregated(rows, ties, {}, WEIGHTED).rows
    for prompt in range(10):
        mine = [one for one in found if one["prompt_id"] == prompt]
        assert len({(one["chosen_id"], one["target"], one["weight"]) for one in mine}) == 1


@pytest.mark.parametrize("way", [MAJORITY, WEIGHTED])
def test_what_is_held_out_stays_as_people_said_it(way: str) -> None:
    rows, ties = votes(*reliable(10), split="test")
    training, _ = votes(*reliable(10))
    found = aggregated(training + rows, ties, {}, way).rows
    assert [one for one in found if one["split"] == "test"] == rows
    alone = aggregated(training, [], {}, way).rows
    assert [one for one in found if one["split"] == "train"] == alone


def test_who_always_takes_the_left_is_seen_through() -> None:
    pairs = reliable(60)
    said = [[*pair[:2], ("lea", "one")] for pair in pairs]
    rows, ties = votes(*said)
    lefts = {(one["annotation_id"], 2 * one["prompt_id"] + 1): 2 * one["prompt_id"] for one in rows}
    people = aggregated(rows, ties, lefts, WEIGHTED).report["people"]
    assert people[-1]["annotator"] == "lea"
    assert people[-1]["left_low"] > 0.5


@pytest.mark.parametrize("pairs", [[[("ada", "one")]], [CROWD[:1], [("ada", "two")]]])
def test_one_person_alone_is_turned_nowhere(pairs: list[Votes]) -> None:
    rows, ties = votes(*pairs)
    found = aggregated(rows, ties, {}, WEIGHTED)
    assert found.report["turned"] == 0
    assert all(one["target"] > 0.5 and one["weight"] > 0 for one in found.rows)


def test_votes_that_are_split_evenly_are_a_target_of_one_half() -> None:
    rows, ties = votes([("ada", "one"), ("bob", "two")], [("ada", "two"), ("bob", "one")])
    found = aggregated(rows, ties, {}, WEIGHTED)
    assert {one["target"] for one in found.rows} == {0.5}
    assert found.report["decided"] == 2


def judge(item: Item, person: User, outcome: str) -> None:
    left, right = item.completions.order_by("id")
    annotation = make_annotation(item, person)
    Comparison.objects.create(annotation=annotation, left=left, right=right, outcome=outcome)


@pytest.fixture
def judged(project: Project, bob: User, bea: User, ben: User) -> list[Prompt]:
    """Ten training prompts and a test one; ben contradicts, and ties the last."""
    splits = ["train"] * 10 + ["test"]
    prompts = [make_prompt(project, f"{n}", split=split) for n, split in enumerate(splits)]
    for number, prompt in enumerate(prompts):
        item = make_item(project, prompt=prompt, texts=["one", "two"])
        good, bad = ("left", "right") if number % 2 else ("right", "left")
        for person, outcome in ((bob, good), (bea, good), (ben, "tie" if number == 9 else bad)):
            judge(item, person, outcome)
    return prompts


def freeze(project: Project, **filters: Any) -> DatasetSnapshot:
    return services.freeze_snapshot(
        project, "preferences", created_by=project.created_by, filters=filters
    )


def rows_of(snapshot: DatasetSnapshot) -> list[dict[str, Any]]:
    return list(map(json.loads, artifacts.snapshot_rows(snapshot).read_text().splitlines()))


def test_each_vote_as_it_is_stays_the_default(project: Project, judged: list[Prompt]) -> None:
    snapshot = freeze(project)
    assert "votes" not in snapshot.counts
    assert len(rows_of(snapshot)) == 32
    assert not any("target" in one for one in rows_of(snapshot))


def test_a_weighted_snapshot_is_the_same_twice_and_knows_its_people(
    project: Project, judged: list[Prompt], ben: User
) -> None:
    first, second = freeze(project, votes="weighted"), freeze(project, votes="weighted")
    assert first.sha256 == second.sha256 != freeze(project).sha256
    assert first.counts == second.counts
    names = [one["annotator"] for one in first.counts["votes"]["people"]]
    assert f"annotator-{ben.pk}" in names
    assert len(first.annotation_ids) == 33  # ben's tie had a say
    assert sum("target" in one for one in rows_of(first)) == 29


def test_who_is_left_out_shapes_nothing(project: Project, judged: list[Prompt], ben: User) -> None:
    name = f"annotator-{ben.pk}"
    snapshot = freeze(project, votes="weighted", leave_out_annotators=[name])
    assert name not in [one["annotator"] for one in snapshot.counts["votes"]["people"]]
    assert len(snapshot.annotation_ids) == 22


@pytest.mark.parametrize(
    ("content", "way"), [("preferences", "loudest"), ("demonstrations", "majority")]
)
def test_it_refuses_other_ways(project: Project, content: str, way: str) -> None:
    with pytest.raises(services.ServiceError, match="majority or weighted"):
        services.freeze_snapshot(
            project, content, created_by=project.created_by, filters={"votes": way}
        )


def test_the_page_says_what_weighing_did(
    client: Client, project: Project, eve: User, judged: list[Prompt]
) -> None:
    client.force_login(eve)
    data = {"content": "preferences", "seed": 0, "votes": "weighted"}
    response = client.post(reverse("training:freeze_snapshot", args=[project.pk]), data)
    html = client.get(response.url).text
    assert "Votes were weighted" in html
    assert "worth as much as" in html
    assert "annotator-" in html
    freeze(project, votes="majority")
    newest = DatasetSnapshot.objects.first()
    html = client.get(reverse("training:snapshot", args=[newest.pk])).text
    assert "The majority decides" in html
