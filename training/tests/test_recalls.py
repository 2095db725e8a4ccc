"""Recalling annotations: nothing that learnt from them stays unmarked, and a clean line replaces
it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations import exports
from annotations import services as collected
from annotations.models import Annotation, Membership, Project, Recall, Review, User
from annotations.selectors import agreement_overview, queue_counts
from annotations.tests.factories import (
    make_annotation,
    make_comparison,
    make_demonstration,
    make_item,
)
from training import selectors, services
from training.models import AuditEntry, Checkpoint, DatasetSnapshot, Run
from training.pipeline.config import CONFIGS
from training.services import ServiceError
from training.tests.battles import cast_votes, make_players
from training.tests.factories import make_base, make_checkpoint, make_run

STATE = {"state": Run.State.SUCCEEDED, "ended_at": "2026-01-01T00:00Z"}
LENIENT = {"min_rows": 1, "min_pairs": 1}


def freeze(project: Project, content: str) -> DatasetSnapshot:
    return services.freeze_snapshot(project, content, created_by=project.created_by)


def lenient(stage: str) -> dict[str, Any]:
    """Return settings of a stage that are content with a handful of rows."""
    config = CONFIGS[stage]().to_dict()
    return {name: LENIENT.get(name, value) for name, value in config.items()}


def made_by(project: Project, stage: str, **run: Any) -> Checkpoint:
    done = make_run(project, stage, **STATE, **{"config": lenient(stage), **run})
    kind = "reward" if stage == "reward" else "policy"
    name = f"{stage}-{done.pk}"
    return make_checkpoint(project, name=name, run=done, parent=done.parent, kind=kind)


@pytest.fixture
def said(project: Project, bob: User, bea: User) -> list[Annotation]:
    """Return what Bob (who will be recalled) and Bea have said about the same things."""
    found = []
    for number in range(4):
        for person in (bob, bea):
            found.append(make_demonstration(project, person, f"{person} {number}").annotation)
        item = make_item(project, overlap=2, open_slots=0)
        found.append(make_comparison(item, bob, "left").annotation)
        found.append(make_comparison(item, bea, "right").annotation)
    return found


@pytest.fixture
def line(project: Project, said: list[Annotation]) -> dict[str, Checkpoint]:
    """Return a base, what was fine-tuned on it, a reward model and what PPO made with both."""
    base = make_base(project)
    sft = made_by(project, "sft", parent=base, snapshot=freeze(project, "demonstrations"))
    reward = made_by(project, "reward", parent=sft, snapshot=freeze(project, "preferences"))
    ppo = made_by(
        project, "ppo", parent=sft, reward_checkpoint=reward, snapshot=freeze(project, "prompts")
    )
    return {"base": base, "sft": sft, "reward": reward, "ppo": ppo}


def scope(project: Project, **what: Any) -> Recall:
    return Recall(project=project, **what)


def recall(project: Project, **what: Any) -> Recall:
    return services.recall_annotations(
        scope(project, **what), recalled_by=project.created_by, reason="He answered at random."
    )


def judged_twice(project: Project) -> int:
    overview = agreement_overview(project)
    assert overview is not None
    return sum(line.things for line in overview.lines)


def url(name: str, *args: Any) -> str:
    return reverse(f"training:{name}", args=args)


def page_of(client: Client, name: str, *args: Any) -> str:
    return client.get(url(name, *args)).content.decode()


def test_it_leaves_no_descendant_of_a_banned_annotator_unmarked(
    client: Client, project: Project, line: dict[str, Checkpoint], bob: User, alice: User
) -> None:
    apart = made_by(project, "sft", parent=line["base"], snapshot=None)
    sample = make_run(project, "sample", parent=line["ppo"])
    rival = {"rival_checkpoint_id": line["sft"].pk}
    against = make_run(project, "sample", parent=line["base"], request=rival)
    client.force_login(alice)
    before = client.get(url("recalls", project.pk), {"annotator": bob.pk}).content.decode()
    assert Recall.objects.count() == 0
    recall(project, annotator=bob)
    marked = selectors.reach(project)
    learnt = {line[name].pk for name in ("sft", "reward", "ppo")}
    assert marked.checkpoints == learnt
    assert marked.snapshots == {one.pk: 4 for one in project.snapshots.all()}
    of_line = {one.run_id for one in line.values() if one.run_id}
    assert marked.runs == of_line | {sample.pk, against.pk}
    for name in ("sft", "reward", "ppo"):
        assert url("checkpoint", line[name].pk) in before
        page = page_of(client, "checkpoint", line[name].pk)
        assert 'id="recalled"' in page
        assert "He answered at random." in page
    assert 'id="recalled"' not in page_of(client, "checkpoint", apart.pk)
    for run in marked.runs:
        assert url("run", run) in before
        assert 'id="recalled"' in page_of(client, "run", run)
    for snapshot in marked.snapshots:
        assert url("snapshot", snapshot) in before
        assert 'id="recalled"' in page_of(client, "snapshot", snapshot)
    for name, count in (("checkpoints", 3), ("snapshots", 3), ("runs", 5)):
        assert page_of(client, name, project.pk).count(">recalled</span>") == count


def test_nothing_recalled_enters_a_new_snapshot(
    project: Project, said: list[Annotation], bob: User, bea: User
) -> None:
    recall(project, annotator=bob)
    names = {exports.pseudonym(bea.pk)}
    for content in ("demonstrations", "preferences", "judgements", "prompts"):
        frozen = freeze(project, content)
        held = Annotation.objects.filter(id__in=frozen.annotation_ids)
        assert set(held.values_list("annotator", flat=True)) == {bea.pk}
        assert frozen.counts["left_out"]["recalled annotations"] == 4
    assert {row["annotator"] for row in exports.preferences(project.pk)} == names
    later = make_comparison(make_item(project), bob).annotation
    assert later.pk not in freeze(project, "preferences").annotation_ids


def test_figures_are_reckoned_without_it_and_come_back_when_it_is_lifted(
    client: Client, project: Project, said: list[Annotation], bob: User, bea: User, alice: User
) -> None:
    first, second = make_players(project, "one", "two")
    cast_votes(project, [(first.pk, second.pk, "left", bob)] * 6)
    cast_votes(project, [(first.pk, second.pk, "right", bea)] * 4)
    board = selectors.leaderboard(project, selectors.Wish())
    assert board.votes == 10
    assert judged_twice(project) == 4
    done = queue_counts(project)["comparison"].annotations
    made = recall(project, annotator=bob)
    assert selectors.leaderboard(project, selectors.Wish()).votes == 4
    assert judged_twice(project) == 0
    assert queue_counts(project)["comparison"].annotations == done - 10
    client.force_login(alice)
    assert 'id="recalled"' in page_of(client, "leaderboard", project.pk)
    services.lift_recall(made, lifted_by=alice, reason="It was his sister's account.")
    assert selectors.leaderboard(project, selectors.Wish()).votes == 10
    assert judged_twice(project) == 4
    assert not selectors.reach(project)
    actions = AuditEntry.objects.order_by("id").values_list("action", "reason")
    assert list(actions) == [
        ("made", "He answered at random."),
        ("lifted", "It was his sister's account."),
    ]


def test_a_recalled_reviewer_rejects_nothing(project: Project, bob: User, carol: User) -> None:
    subject = make_demonstration(project, bob).annotation
    review = make_annotation(make_item(project, "review", subject=subject), carol)
    Review.objects.create(annotation=review, subject=subject, decision="reject")
    assert list(exports.demonstrations(project.pk)) == []
    recall(project, annotator=carol)
    assert [row["annotation_id"] for row in exports.demonstrations(project.pk)] == [subject.pk]


def test_guidelines_batches_and_times_can_be_recalled(project: Project, bob: User) -> None:
    version = project.guideline_versions.get(kind="comparison")
    old = make_comparison(make_item(project, batch="run-1"), bob, guideline_version=version)
    new = make_comparison(make_item(project, batch="run-2"), bob)
    moment = new.annotation.created_at
    for what, left in (
        ({"guideline_version": version}, [new.pk]),
        ({"batch": "run-2"}, [old.pk]),
        ({"until": moment}, [new.pk]),
        ({"since": moment}, [old.pk]),
        ({"batch": "run-2", "until": moment}, [old.pk, new.pk]),
    ):
        made = recall(project, **what)
        assert [row["annotation_id"] for row in exports.preferences(project.pk)] == left, what
        services.lift_recall(made, lifted_by=project.created_by, reason="Next.")


def test_the_gate_closes_and_nothing_new_learns_from_what_holds_it(
    project: Project, line: dict[str, Checkpoint], bob: User, eve: User
) -> None:
    recall(project, annotator=bob)
    with pytest.raises(ServiceError, match="12 annotations that were recalled"):
        services.promote_checkpoint(line["ppo"], promoted_by=eve, reason="It is better.")
    run = line["sft"].run
    assert run is not None
    settings = {"parent": line["base"], "snapshot": run.snapshot, "started_by": eve}
    with pytest.raises(ServiceError, match="Freeze a new one"):
        services.start_run(project, "sft", lenient("sft"), **settings)
    recall(project, since=datetime(2020, 1, 1, tzinfo=UTC))  # and now everything
    assert judged_twice(project) == 0
    with pytest.raises(ServiceError, match="Without what was recalled: There are no demonstration"):
        services.retrain_clean(line["ppo"], started_by=eve)


def test_a_snapshot_that_nothing_learnt_from_is_frozen_clean_with_a_click(
    client: Client, project: Project, line: dict[str, Checkpoint], bob: User, eve: User
) -> None:
    run = line["sft"].run
    assert run is not None
    old = run.snapshot
    assert old is not None
    client.force_login(eve)
    page = client.get(url("snapshot", old.pk)).content.decode()
    assert "Train on it" in page
    assert "Freeze clean" not in page
    refused = client.post(url("freeze_clean", old.pk), follow=True).content.decode()
    assert "it needs no other" in refused
    recall(project, annotator=bob)
    page = client.get(url("snapshot", old.pk)).content.decode()
    assert "Train on it" not in page
    assert url("freeze_clean", old.pk) in page
    for _ in range(2):  # the second click finds the one that is there
        answer = client.post(url("freeze_clean", old.pk), follow=True)
        assert "Frozen by the recipe of" in answer.content.decode()
    assert old.replacements.count() == 1


def test_a_clean_line_is_made_stage_by_stage_with_the_same_settings(
    client: Client, project: Project, line: dict[str, Checkpoint], bob: User, eve: User
) -> None:
    recall(project, annotator=bob)
    client.force_login(eve)

    def start() -> Run:
        services.retrain_clean(line["ppo"], started_by=eve)
        return project.runs.latest("id")

    def click() -> Run:
        answer = client.post(url("retrain_clean", line["ppo"].pk), follow=True)
        assert "Started without what was recalled" in answer.content.decode()
        return project.runs.latest("id")

    clean = {"base": line["base"]}
    for stage, parent in (("sft", "base"), ("reward", "sft"), ("ppo", "sft")):
        old = line[stage].run
        run = click() if stage == "sft" else start()
        assert old is not None
        assert (run.stage, run.parent, run.config) == (stage, clean[parent], old.config)
        assert run.snapshot is not None
        assert run.snapshot.replaces == old.snapshot
        assert run.snapshot.sha256 != old.snapshot.sha256  # type: ignore[union-attr]  # it has one
        assert run.pk not in selectors.reach(project).runs
        with pytest.raises(ServiceError, match=f"Wait for Run {run.pk}"):
            services.retrain_clean(line["ppo"], started_by=eve)
        Run.objects.filter(id=run.pk).update(**STATE)
        kind = "reward" if stage == "reward" else "policy"
        name = f"clean-{stage}"
        clean[stage] = make_checkpoint(project, name=name, run=run, parent=run.parent, kind=kind)
    assert run.reward_checkpoint == clean["reward"]
    with pytest.raises(ServiceError, match="There is a clean one already: clean-ppo"):
        services.retrain_clean(line["ppo"], started_by=eve)
    with pytest.raises(ServiceError, match="needs no other"):
        services.retrain_clean(clean["ppo"], started_by=eve)


def test_an_owner_previews_confirms_and_lifts(
    client: Client, project: Project, line: dict[str, Checkpoint], bob: User, alice: User
) -> None:
    client.force_login(alice)
    address = f"{url('recalls', project.pk)}?annotator={bob.pk}"
    assert "Recall 8 annotations" in client.get(address).content.decode()
    assert client.post(address, {"reason": " "}).status_code == 422
    answer = client.post(address, {"reason": "<b>random</b>", "pause": "on"}, follow=True)
    assert "&lt;b&gt;random&lt;/b&gt;" in answer.content.decode()
    made = Recall.objects.get()
    assert Membership.objects.get(user=bob).state == "paused"
    assert client.post(address, {"reason": "again"}).status_code == 422
    gone = client.post(f"{url('recalls', project.pk)}?batch=gone", {"reason": "So <i>long</i>"})
    assert (gone.status_code, "So &lt;i&gt;long&lt;/i&gt;" in gone.text) == (422, True)
    entry = AuditEntry.objects.get()
    assert entry.facts["checkpoints"] == [one.name for one in project.checkpoints.all()][:3]
    assert client.post(url("lift_recall", made.pk), {"reason": ""}).status_code == 422
    client.post(url("lift_recall", made.pk), {"reason": "An error."})
    made.refresh_from_db()
    assert not made.is_in_force
    assert client.post(url("lift_recall", made.pk), {"reason": "Twice."}).status_code == 422


def test_a_choice_of_nothing_or_nonsense_is_refused(
    client: Client, project: Project, alice: User
) -> None:
    client.force_login(alice)
    for query, words in (
        ("annotator=", "Choose whom or what"),
        ("annotator=999999", "nothing of this to recall"),
        ("since=yesterday", "Give a date"),
    ):
        answer = client.get(f"{url('recalls', project.pk)}?{query}")
        assert (answer.status_code, words in answer.content.decode()) == (422, True), query
    backwards = f"{url('recalls', project.pk)}?since=2026-02-01T00:00&until=2026-01-01T00:00"
    answer = client.post(backwards, {"reason": "x"})
    assert "ends before it begins" in answer.content.decode()
    assert not Recall.objects.exists()


def test_owners_recall_engineers_see_it_without_names_and_others_nothing(
    client: Client, project: Project, said: list[Annotation], bob: User, carol: User,
    charlie: User, eve: User,
) -> None:  # fmt: skip
    made = recall(project, annotator=bob)
    pages = [url("recalls", project.pk), url("recall", made.pk)]
    client.force_login(eve)
    for page in pages:
        answer = client.get(page).content.decode()
        assert f"annotator-{bob.pk}" in answer
        assert "Bob" not in answer
    assert client.post(f"{pages[0]}?annotator={bob.pk}", {"reason": "x"}).status_code == 404
    assert client.post(url("lift_recall", made.pk), {"reason": "x"}).status_code == 404
    assert client.get(url("lift_recall", made.pk)).status_code == 405
    for outsider in (carol, bob, charlie):
        client.force_login(outsider)
        assert [client.get(page).status_code for page in pages] == [404, 404]


def test_what_can_be_chosen_of_a_large_project_is_counted_in_the_background(
    client: Client, project: Project, said: list[Annotation], alice: User, bob: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    choices, as_of = exports.recallable(project)
    people, counted_at = exports.annotators(project)
    assert (as_of, counted_at) == (None, None)
    monkeypatch.setattr("annotations.selectors.sizes.SMALL", 0)
    collected.keep_up_counts()
    make_comparison(make_item(project), bob, "left")
    client.force_login(alice)
    page = page_of(client, "recalls", project.pk)
    assert "counted in the background" in page
    assert "8 annotations" in page
    assert "Counted at" in page_of(client, "snapshots", project.pk)
    kept, as_of = exports.recallable(project)
    assert (kept, exports.annotators(project)[0]) == (choices, people)
    assert as_of is not None
    preview = client.get(url("recalls", project.pk), {"annotator": bob.pk}).text
    assert "9" in preview
