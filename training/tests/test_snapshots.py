"""A snapshot's hash is its content, and a snapshot lies whole in its folder or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from annotations import services as collecting
from annotations.models import (
    Annotation,
    Comparison,
    Completion,
    Demonstration,
    Item,
    Project,
    Prompt,
    Review,
    User,
)
from annotations.tests.factories import make_prompt
from training import artifacts, services, snapshots
from training.models import DatasetSnapshot

ServiceError = services.ServiceError


def demonstrate(prompt: Prompt, author: User, text: str) -> Annotation:
    """Record a demonstration as if somebody had submitted it."""
    item = Item.objects.create(
        project=prompt.project, kind="demonstration", prompt=prompt, open_slots=0
    )
    annotation = Annotation.objects.create(item=item, annotator=author, kind="demonstration")
    completion = Completion.objects.create(prompt=prompt, text=text, origin="human", author=author)
    Demonstration.objects.create(annotation=annotation, completion=completion)
    return annotation


def compare(prompt: Prompt, voter: User, outcome: str) -> Annotation:
    """Record a comparison of two new completions as if somebody had submitted it."""
    left, right = (
        Completion.objects.create(prompt=prompt, text=f"{side} one", origin="imported")
        for side in ("left", "right")
    )
    item = Item.objects.create(
        project=prompt.project, kind="comparison", prompt=prompt, open_slots=0
    )
    item.completions.set([left, right])
    annotation = Annotation.objects.create(item=item, annotator=voter, kind="comparison")
    Comparison.objects.create(annotation=annotation, left=left, right=right, outcome=outcome)
    return annotation


@pytest.fixture
def prompts(project: Project) -> list[Prompt]:
    return [make_prompt(project, text=f"prompt {n}") for n in range(40)]


@pytest.fixture
def demonstrations(prompts: list[Prompt], bob: User, bea: User) -> list[Annotation]:
    return [
        demonstrate(prompt, bob if n % 2 else bea, f"snow\n\u2028{n} «frog»\n")
        for n, prompt in enumerate(prompts)
    ]


def freeze(project: Project, content: str = "demonstrations", **options: Any) -> DatasetSnapshot:
    return services.freeze_snapshot(project, content, created_by=project.created_by, **options)


def read(snapshot: DatasetSnapshot) -> bytes:
    return artifacts.snapshot_rows(snapshot).read_bytes()


def test_its_hash_is_its_content(project: Project, demonstrations: list[Annotation]) -> None:
    first, second = freeze(project), freeze(project)
    assert first.pk != second.pk
    assert read(first) == read(second)
    assert first.sha256 == second.sha256 == hashlib.sha256(read(first)).hexdigest()


def test_one_annotation_more_gives_another_hash(
    project: Project, demonstrations: list[Annotation], prompts: list[Prompt], ben: User
) -> None:
    first = freeze(project)
    before = read(first)
    demonstrate(prompts[0], ben, "one more")
    assert freeze(project).sha256 != first.sha256
    assert read(first) == before


def test_every_row_leads_back_to_its_annotation(
    project: Project, demonstrations: list[Annotation]
) -> None:
    snapshot = freeze(project)
    rows = [json.loads(line) for line in read(snapshot).decode().split("\n") if line]
    assert {row["annotation_id"] for row in rows} == {a.pk for a in demonstrations}
    assert snapshot.annotation_ids == sorted(a.pk for a in demonstrations)
    assert rows[3]["completion"][0]["content"] == "snow\n\u2028" + "3 «frog»\n"


def test_it_counts_rows_and_prompts_of_each_split(
    project: Project, demonstrations: list[Annotation]
) -> None:
    snapshot = freeze(project)
    assert sum(snapshot.counts["rows"].values()) == 40
    assert set(snapshot.counts["rows"]) == {"train", "validation", "test"}
    assert snapshot.counts["rows"] == snapshot.counts["prompts"]
    assert snapshot.counts["annotations"] == 40
    assert snapshot.counts["annotators"] == 2


def test_prompts_bring_the_demonstrations_that_people_wrote_for_them(
    project: Project, demonstrations: list[Annotation], prompts: list[Prompt]
) -> None:
    extra = make_prompt(project, text="nobody wrote anything for this one")
    snapshot = freeze(project, "prompts")
    rows = [json.loads(line) for line in read(snapshot).decode().split("\n") if line]
    assert {row["prompt_id"] for row in rows if "completion" not in row} == {
        extra.pk, *(prompt.pk for prompt in prompts)
    }  # fmt: skip
    assert sum("completion" in row for row in rows) == len(demonstrations)
    assert sum(snapshot.counts["prompts"].values()) == 41
    assert snapshot.annotation_ids == sorted(a.pk for a in demonstrations)


def test_a_limit_draws_prompts_and_their_demonstrations_apart(
    project: Project, demonstrations: list[Annotation]
) -> None:
    snapshot = freeze(project, "prompts", filters={"limit": 3})
    rows = [json.loads(line) for line in read(snapshot).decode().split("\n") if line]
    train = [row for row in rows if row["split"] == "train"]
    assert ["completion" in row for row in train].count(True) == 3
    assert len(train) == 6


def test_it_counts_ties_and_both_bad_apart(
    project: Project, prompts: list[Prompt], bob: User
) -> None:
    for outcome in ("left", "right", "right", "tie", "both_bad", "both_bad"):
        compare(prompts[0], bob, outcome)
    counts = freeze(project, "preferences").counts
    assert sum(counts["rows"].values()) == 3
    assert (counts["ties"], counts["both_bad"]) == (1, 2)


def review(subject: Annotation, reviewer: User, decision: str, text: str = "") -> Annotation:
    """Record a review as if somebody had submitted it."""
    prompt = subject.item.prompt
    item = Item.objects.create(
        project=prompt.project, kind="review", prompt=prompt, subject=subject, open_slots=0
    )
    annotation = Annotation.objects.create(item=item, annotator=reviewer, kind="review")
    fixed = None
    if decision == "fix":
        fixed = Completion.objects.create(prompt=prompt, text=text, origin="human", author=reviewer)
    Review.objects.create(
        annotation=annotation, subject=subject, decision=decision, completion=fixed
    )
    return annotation


def test_it_freezes_judged_completions_with_how_many_are_good(
    project: Project, prompts: list[Prompt], bob: User
) -> None:
    for prompt, outcome in zip(prompts, ["left", "right", "tie", "both_bad"] * 10, strict=True):
        compare(prompt, bob, outcome)
    snapshot = freeze(project, "judgements")
    rows = [json.loads(line) for line in read(snapshot).decode().split("\n") if line]
    counts = snapshot.counts
    assert len(rows) == sum(counts["rows"].values()) == 60  # a tie gives none, the others two
    assert sum(counts["good"].values()) == sum(row["label"] for row in rows) == 20
    for split, good in counts["good"].items():
        assert good == sum(row["label"] for row in rows if row["split"] == split)
    assert (counts["ties"], counts["both_bad"]) == (10, 0)
    assert freeze(project, "judgements").sha256 == snapshot.sha256


def test_it_counts_what_reviews_left_out_and_knows_what_was_fixed(
    project: Project, demonstrations: list[Annotation], carol: User
) -> None:
    before = freeze(project)
    assert before.counts["left_out"] == {}
    rejected, fixed, *_ = demonstrations
    review(rejected, carol, "reject")
    fix = review(fixed, carol, "fix", "as it should be")
    after = freeze(project)
    assert after.counts["left_out"] == {"rejected in review": 1, "replaced by a reviewer": 1}
    assert sum(after.counts["rows"].values()) == sum(before.counts["rows"].values()) - 1
    assert rejected.pk not in after.annotation_ids
    assert {fixed.pk, fix.pk} <= set(after.annotation_ids)
    assert after.sha256 != before.sha256


def test_a_limit_draws_by_the_seed(project: Project, demonstrations: list[Annotation]) -> None:
    drawn = {seed: freeze(project, seed=seed, filters={"limit": 3}) for seed in (1, 2)}
    assert max(drawn[1].counts["rows"].values()) <= 3
    assert drawn[1].sha256 != drawn[2].sha256
    assert freeze(project, seed=1, filters={"limit": 3}).sha256 == drawn[1].sha256
    kept = sum(drawn[1].counts["rows"].values())
    assert drawn[1].counts["left_out"] == {"above the limit": 40 - kept}


def test_it_says_how_much_is_by_people_held_out(
    project: Project, demonstrations: list[Annotation], alice: User, bob: User
) -> None:
    collecting.hold_out(project, bob, alice)
    Annotation.objects.filter(annotator=bob).update(created_at=timezone.now())
    snapshot = freeze(project)
    assert snapshot.counts["left_out"] == {"annotations by people held out": 20}
    assert snapshot.counts["annotators"] == 1


def test_it_leaves_annotators_out(
    project: Project, demonstrations: list[Annotation], bob: User
) -> None:
    snapshot = freeze(project, filters={"leave_out_annotators": [f"annotator-{bob.pk}"]})
    assert snapshot.counts["left_out"] == {"annotators left out": 20}
    assert snapshot.counts["annotators"] == 1
    everybody = {f"annotator-{a.annotator_id}" for a in demonstrations}
    with pytest.raises(ServiceError, match="40 rows were left out as the form asks"):
        freeze(project, filters={"leave_out_annotators": sorted(everybody)})


def test_rows_with_personal_data_stay_out_where_that_is_wanted(
    project: Project, demonstrations: list[Annotation], prompts: list[Prompt], bob: User
) -> None:
    told = demonstrate(prompts[1], bob, "Ask ann@example.org.")
    asked = demonstrate(make_prompt(project, text="Call +44 20 7946 0958."), bob, "A call.")
    everything = freeze(project)
    assert {told.pk, asked.pk} < set(everything.annotation_ids)
    snapshot = freeze(project, filters={"no_personal_data": True})
    assert set(everything.annotation_ids) - set(snapshot.annotation_ids) == {told.pk, asked.pk}
    assert snapshot.counts["left_out"]["with personal data"] == 2


@pytest.mark.parametrize(
    "filters",
    [
        {"colour": "red"},
        {"no_personal_data": 1},
        {"limit": 0},
        {"limit": True},
        {"limit": "3"},
        {"leave_out_annotators": 5},
    ],
)
def test_it_refuses_filters_that_make_no_sense(
    project: Project, demonstrations: list[Annotation], filters: dict[str, Any]
) -> None:
    with pytest.raises(ServiceError):
        freeze(project, filters=filters)


@pytest.mark.parametrize("content", DatasetSnapshot.Content.values)
def test_it_refuses_to_freeze_nothing_and_says_what_to_do(project: Project, content: str) -> None:
    with pytest.raises(ServiceError, match="first"):
        freeze(project, content)
    assert not DatasetSnapshot.objects.exists()


def test_it_refuses_a_content_that_does_not_exist(project: Project) -> None:
    with pytest.raises(ServiceError, match="known"):
        freeze(project, "everything")


def test_a_snapshot_that_cannot_be_written_leaves_nothing(
    project: Project, demonstrations: list[Annotation], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifacts, "write_synced", full)
    with pytest.raises(ServiceError, match="No space left"):
        freeze(project)
    assert not DatasetSnapshot.objects.exists()
    assert list((artifacts.project_folder(project.pk) / "snapshots").iterdir()) == []


def test_a_leftover_folder_is_replaced(
    project: Project, demonstrations: list[Annotation], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = freeze(project)
    folder = artifacts.snapshot_folder(first)
    DatasetSnapshot.objects.all().delete()
    monkeypatch.setattr(artifacts, "snapshot_folder", lambda snapshot: folder)
    (folder / "rows.jsonl").write_text("torn")
    assert hashlib.sha256(read(freeze(project))).hexdigest() == first.sha256


def test_the_rows_do_not_depend_on_the_order_of_the_database(
    project: Project, demonstrations: list[Annotation], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = snapshots.collect(project.pk, "demonstrations", seed=0, filters={})
    rows = list(snapshots.exports.demonstrations(project.pk))
    monkeypatch.setattr(snapshots.exports, "demonstrations", lambda _: reversed(rows))
    assert snapshots.collect(project.pk, "demonstrations", seed=0, filters={}) == first


def test_annotations_of_another_project_stay_out(
    project: Project, demonstrations: list[Annotation], alice: User
) -> None:
    other = Project.objects.create(name="Limericks", created_by=alice)
    with pytest.raises(ServiceError):
        freeze(other)


def test_it_keeps_ties_as_rows_of_their_own_where_asked(
    project: Project, prompts: list[Prompt], bob: User
) -> None:
    for prompt, outcome in zip(prompts, ("left", "right", "tie", "tie", "both_bad"), strict=False):
        compare(prompt, bob, outcome)
    without, kept = (freeze(project, "preferences", filters=f) for f in ({}, {"ties": True}))
    assert kept.sha256 != without.sha256
    rows = [json.loads(line) for line in read(kept).decode().splitlines()]
    assert sum(bool(row.get("tie")) for row in rows) == kept.counts["tie_rows"] == 2
    assert kept.counts["rows"] == without.counts["rows"]
    assert "tie_rows" not in without.counts
    assert len(kept.annotation_ids) == 4


@pytest.mark.parametrize(
    ("content", "value"), [("demonstrations", True), ("prompts", True), ("preferences", "yes")]
)
def test_it_refuses_to_keep_ties_of_what_has_none(
    project: Project, demonstrations: list[Annotation], content: str, value: object
) -> None:
    with pytest.raises(ServiceError, match="Only preferences have ties"):
        freeze(project, content, filters={"ties": value})


def test_it_refuses_a_snapshot_of_nothing_but_ties(
    project: Project, prompts: list[Prompt], bob: User
) -> None:
    compare(prompts[0], bob, "tie")
    with pytest.raises(ServiceError, match="no preference pairs yet"):
        freeze(project, "preferences", filters={"ties": True})
