"""Programs decide about models as engineers do: gates, promotions, suites, recalls, files."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Assignment, Item, Project, User
from annotations.services import submit_comparison
from annotations.tests.factories import (
    make_assignment,
    make_demonstration,
    make_item,
    make_prompt_in,
)
from annotations.tests.test_api import Program, problem_of
from training import artifacts, services, supervisor, tasks
from training.models import Checkpoint, DatasetSnapshot, Endpoint, RadarLook, Run
from training.pipeline.config import PPOConfig
from training.tests.factories import (
    make_base,
    make_checkpoint,
    make_run,
    make_snapshot,
    of_known_size,
)
from training.tests.test_pages_suites import RESULTS
from training.tests.test_recalls import freeze, made_by
from training.tests.test_regressions import rewritten_ticket

pytestmark = pytest.mark.django_db


@pytest.fixture
def engineer(project: Project, eve: User) -> Program:
    return Program(eve, project)


@pytest.fixture
def owner(project: Project, alice: User) -> Program:
    return Program(alice, project)


def text_of(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


def promote(checkpoint: Checkpoint, by: User) -> None:
    services.promote_checkpoint(checkpoint, promoted_by=by, reason="So.", override=True)


def test_owners_set_the_gate_and_programs_read_why_it_is_closed(
    engineer: Program, owner: Program, project: Project, alice: User
) -> None:
    path = f"projects/{project.pk}/gate"
    wanted = {"least_rate": 0.55, "least_votes": 40, "least_voters": 2, "largest_kl": 12.5}
    problem_of(engineer.ask("PUT", path, wanted), 404, "not-found")
    assert owner.ask("PUT", path, wanted).json() == engineer.get(path).json() == wanted
    below = owner.ask("PUT", path, wanted | {"least_rate": 0.4})
    problem_of(below, 422, "wrong-body")
    first, second = make_checkpoint(project), make_checkpoint(project)
    assert engineer.get(f"checkpoints/{first.pk}/gate").json()["is_open"]
    promote(first, alice)
    closed = engineer.get(f"checkpoints/{second.pk}/gate").json()
    assert (closed["is_open"], closed["evaluation"]) == (False, None)
    assert "needs a blind evaluation" in closed["refusal"]


def test_a_promotion_is_taken_back(engineer: Program, project: Project, alice: User) -> None:
    first, second = make_checkpoint(project), make_checkpoint(project)
    for one in (first, second):
        promote(one, alice)
    back = engineer.post(f"projects/{project.pk}/demote", {"reason": "It rhymes."}).json()
    assert (back["checkpoint"], back["reason"]) == (first.pk, "It rhymes.")
    newest, undone, oldest = engineer.get(f"projects/{project.pk}/promotions").json()["items"]
    assert (newest, newest["restores"], undone["checkpoint"]) == (back, oldest["id"], second.pk)
    path = f"promotions/{undone['id']}/roll-back"
    assert engineer.post(path, {"reason": "No."}).json()["checkpoint"] == second.pk
    audit = engineer.get(f"projects/{project.pk}/audit?action=demoted").json()["items"]
    assert [one["subject_id"] for one in audit] == [first.pk, second.pk]


def test_a_suite_is_started_and_read(engineer: Program, project: Project) -> None:
    make_prompt_in(project, "test")
    parent = make_checkpoint(project, name="parent")
    child = make_checkpoint(project, name="child", parent=parent)
    path = f"checkpoints/{child.pk}/suites"
    wrong = engineer.post(path, {"against": parent.pk, "config": {"seed": "x"}})
    problem_of(wrong, 409, "not-possible")
    started = engineer.post(path, {"against": parent.pk, "limit": 5}).json()
    assert (started["stage"], started["state"]) == ("suite", "queued")
    Run.objects.filter(id=started["id"]).update(results=RESULTS)
    found = engineer.get(f"suites/{started['id']}").json()
    assert (found["child"], found["parent"], found["split"]) == (child.pk, parent.pk, "test")
    assert found["results"]["win_rate"]["rate"] == 0.7
    listed = engineer.get(f"projects/{project.pk}/suites?checkpoint={child.pk}").json()["items"]
    assert [one["run"] for one in listed] == [started["id"]]
    problem_of(engineer.get(f"suites/{make_run(project).pk}"), 404, "not-found")


def test_a_ticket_is_followed_into_the_models(
    engineer: Program, project: Project, alice: User, bob: User
) -> None:
    make_base(project)
    parent = make_checkpoint(project, name="parent")
    promote(parent, alice)
    rules = {"kind": "pattern", "parameters": {"pattern": "frogs frogs"}}
    ticket = rewritten_ticket(project, parent, bob, **rules)
    [case] = engineer.get(f"checkpoints/{parent.pk}/regressions").json()["cases"]
    assert (case["ticket"], case["result"]) == (ticket.pk, None)
    run = engineer.post(f"checkpoints/{parent.pk}/regressions").json()
    assert (run["stage"], run["state"]) == ("sample", "queued")
    parent.regression_results.create(
        case=ticket.case, case_version=1, passed=False, text="It has “frogs frogs”.", answers=["x"]
    )
    way = engineer.get(f"tickets/{ticket.pk}/way").json()
    assert [(one["checkpoint"], one["passed"]) for one in way["results"]] == [(parent.pk, False)]
    seen = engineer.get(f"checkpoints/{parent.pk}/regressions").json()["cases"][0]["result"]
    assert seen == way["results"][0]


def test_an_owner_recalls_and_a_clean_line_is_made(
    engineer: Program, owner: Program, project: Project, bob: User, bea: User
) -> None:
    for number in range(3):
        for person in (bob, bea):
            make_demonstration(project, person, f"{person} {number}")
    snapshot = freeze(project, DatasetSnapshot.Content.DEMONSTRATIONS)
    learnt = made_by(project, "sft", snapshot=snapshot, parent=make_base(project))
    path, name = f"projects/{project.pk}/recalls", f"annotator-{bob.pk}"
    problem_of(engineer.post(f"{path}/preview", {"annotator": name}), 404, "not-found")
    for nothing in ({}, {"annotator": "annotator-999"}, {"batch": "none"}):
        problem_of(owner.post(f"{path}/preview", nothing), 409, "not-possible")
    seen = owner.post(f"{path}/preview", {"annotator": name}).json()
    assert (seen["annotations"], seen["checkpoints"]) == (3, [learnt.pk])
    assert engineer.get(path).json()["items"] == []
    made = owner.post(path, {"annotator": name, "reason": "By a machine."}).json()
    assert made["marked"] == seen
    assert (made["annotator"], str(bob) in json.dumps(made)) == (name, False)
    shown = engineer.get(f"recalls/{made['id']}").json()
    assert shown == made
    [step] = engineer.get(f"checkpoints/{learnt.pk}/clean").json()["steps"]
    assert (step["original"], step["state"]) == (learnt.pk, "ready")
    problem_of(engineer.post(f"recalls/{made['id']}/lift", {"reason": "No."}), 404, "not-found")
    assert owner.post(f"recalls/{made['id']}/lift", {"reason": "No."}).json()["lifted_at"]
    assert engineer.get(f"checkpoints/{learnt.pk}/clean").json()["steps"] == []


def test_what_a_checkpoint_learnt_from_is_downloaded(
    engineer: Program, project: Project, bob: User
) -> None:
    said = make_demonstration(project, bob, "=1+1").annotation
    snapshot = freeze(project, DatasetSnapshot.Content.DEMONSTRATIONS)
    base = make_base(project)
    learnt = made_by(project, "sft", snapshot=snapshot, parent=base)
    lineage = engineer.get(f"checkpoints/{learnt.pk}/lineage").json()
    [source] = lineage["sources"]
    assert lineage["ancestors"] == [base.pk, learnt.pk]
    assert (source["snapshot"], source["annotations"]) == (snapshot.pk, 1)
    path = f"checkpoints/{learnt.pk}/annotations"
    row = json.loads(text_of(engineer.get(path)))
    assert (row["annotation_id"], row["annotator"]) == (said.pk, f"annotator-{bob.pk}")
    assert text_of(engineer.get(f"{path}?form=csv")).startswith("annotation_id,")
    problem_of(engineer.get(f"{path}?snapshot=999"), 409, "not-possible")
    rows = text_of(engineer.get(f"snapshots/{snapshot.pk}/rows.jsonl"))
    assert rows == artifacts.snapshot_rows(snapshot).read_text()
    assert "# " in engineer.get(f"checkpoints/{learnt.pk}/card").json()["text"]
    used = engineer.get(f"items/{said.item_id}/lineage").json()["annotations"][0]["uses"]
    assert used == [{"snapshot": snapshot.pk, "learners": [learnt.pk], "heirs": []}]
    depends = engineer.post(f"snapshots/{snapshot.pk}/delete", {"reason": "Old."})
    assert "runs on it" in problem_of(depends, 409, "not-possible")["detail"]
    assert engineer.post(f"checkpoints/{learnt.pk}/delete", {"reason": "Old."}).status_code == 204
    assert not Checkpoint.objects.filter(id=learnt.pk).exists()


def test_who_wrote_what_is_hidden_from_who_may_still_be_asked(
    engineer: Program, project: Project, eve: User, client: Client
) -> None:
    client.force_login(eve)
    item = make_item(project, overlap=3)
    item.completions.update(source_name="secret-9")

    def seen() -> tuple[bool, int, bool]:
        shown = engineer.get(f"items/{item.pk}/lineage").json()
        page = client.get(reverse("training:item", args=[item.pk])).text
        return shown["is_hidden"], len(shown["completions"]), "secret-9" in page

    assert seen() == (True, 0, False)
    assignment = make_assignment(item, eve)
    Item.objects.update(open_slots=0)
    assert seen() == (True, 0, False)
    submit_comparison(assignment, "tie", "")
    assert seen() == (False, 2, True)
    Item.objects.update(open_slots=2)  # others are still asked; they read no lineage of it
    assert seen() == (False, 2, True)
    Assignment.objects.update(state="skipped", skip_reason="other")
    assert seen() == (True, 0, False)


def test_runs_are_reckoned_compared_and_taken_away(engineer: Program, project: Project) -> None:
    base, snapshot = of_known_size(project), make_snapshot(project)
    wanted = {"stage": "sft", "parent": base.pk, "snapshot": snapshot.pk}
    path = f"projects/{project.pk}/runs"
    needs = engineer.post(f"{path}/estimate", wanted).json()
    assert (needs["refusal"], needs["peak"] != "", "weights" in needs["parts"]) == ("", True, True)
    assert not Run.objects.exists()
    first = engineer.post(path, wanted).json()
    second = engineer.post(path, wanted | {"config": {"epochs": 2.0}}).json()
    line = engineer.get(f"{path}/line").json()["runs"]
    assert [one["run"] for one in line] == [first["id"], second["id"]]
    beside = engineer.get(f"{path}/comparison?runs={first['id']},{second['id']}").json()
    assert beside == engineer.get(f"{path}/comparison").json()
    [epochs] = [one for one in beside["settings"] if one["name"] == "epochs"]
    assert (epochs["values"][1], epochs["differs"]) == (2.0, True)
    problem_of(engineer.get(f"{path}/comparison?runs=1;2"), 400, "wrong-filter")
    job = json.loads(text_of(engineer.get(f"runs/{second['id']}/job.json")))
    assert job["config"]["epochs"] == 2.0
    problem_of(engineer.get(f"runs/{second['id']}/tensorboard.zip"), 409, "not-possible")
    folder = artifacts.work_folder(Run.objects.get(id=second["id"]))
    for file in (supervisor.LOG, "tensorboard/events.1"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("a frog")
    packed = b"".join(engineer.get(f"runs/{second['id']}/tensorboard.zip").streaming_content)
    assert zipfile.ZipFile(io.BytesIO(packed)).namelist() == [f"run-{second['id']}/events.1"]
    assert text_of(engineer.get(f"runs/{second['id']}/log.txt")) == "a frog"


def test_a_run_shows_its_radar(engineer: Program, project: Project) -> None:
    without = engineer.get(f"runs/{make_run(project).pk}/radar")
    assert "radar_kl" in problem_of(without, 409, "not-possible")["detail"]
    run = make_run(project, "ppo", config=PPOConfig(radar_kl="1 4").to_dict())
    answers = [{"prompt_id": 1, "policy_score": 2.0, "start_score": 0.5, "certain": 1.0}]
    RadarLook.objects.create(
        run=run, number=0, distance=1, kl=1.1, step=3, answers=answers, batch="x"
    )
    radar = engineer.get(f"runs/{run.pk}/radar").json()
    [look] = radar["looks"]
    assert (look["gain"]["value"], look["certain"], radar["ahead"]) == (1.5, 1, [4.0])
    assert (radar["parted_at"], radar["why"]) == (None, "")


def test_an_endpoint_keeps_its_key_to_itself(
    engineer: Program, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "send_try", lambda _: None)
    path, key = f"projects/{project.pk}/endpoints", "sk-very-secret"
    new = {"name": "llama", "url": "https://example.org/v1", "model": "llama-9", "key": key}
    problem_of(engineer.post(path, new | {"url": "http://10.0.0.1/v1"}), 409, "not-possible")
    added = engineer.post(path, new)
    number = added.json()["id"]
    changes = engineer.ask("PATCH", f"endpoints/{number}", {"timeout_s": 9})
    moved = engineer.ask("PATCH", f"endpoints/{number}", {"url": "https://elsewhere.org/v1"})
    assert "another host" in problem_of(moved, 409, "not-possible")["detail"]
    tried = engineer.post(f"endpoints/{number}/try")
    assert tried.json()["try_state"] == "asked"
    for answer in (added, changes, moved, tried, engineer.get(path)):
        assert key not in answer.content.decode()
    assert (changes.json()["has_key"], changes.json()["timeout_s"]) == (True, 9)
    forgotten = engineer.ask("PATCH", f"endpoints/{number}", {"key": ""}).json()
    assert (forgotten["has_key"], Endpoint.objects.get().encrypted_key) == (False, "")


def test_a_round_is_switched_to_going_by_itself(
    engineer: Program, project: Project, alice: User
) -> None:
    start = engineer.get(f"projects/{project.pk}/loop").json()
    assert (start["round"], start["steps"][0]["next"]) == (None, "Register a base model")
    promote(make_checkpoint(project), alice)
    path = f"projects/{project.pk}/loop"
    running = engineer.post(f"{path}/run").json()
    assert (running["goes_on"], running["round"]["number"]) == (True, 1)
    assert engineer.post(f"{path}/by-hand").json()["driver"] == ""
    problem_of(engineer.post(f"{path}/retry"), 409, "not-possible")
    wanted = {"mode": "until", "new_comparisons": 9, "settings_from": "quick"}
    kept = engineer.ask("PUT", f"projects/{project.pk}/automation", wanted).json()
    assert kept.pop("by")
    assert kept == wanted
    engineer.post(f"projects/{project.pk}/rounds/close", {"decision": "A try."})
    [ended] = engineer.get(f"projects/{project.pk}/rounds/figures").json()["rounds"]
    assert (ended["number"], ended["wins"]) == (1, None)
