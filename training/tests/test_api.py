"""Programs freeze, train, compare and promote, as engineers do on the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from annotations.models import ApiAnswer, Project, User
from annotations.tests.factories import make_demonstration
from annotations.tests.test_api import Program, problem_of
from training import artifacts, services, tasks
from training.api import runs
from training.models import Metric, Run, Webhook, WebhookMessage
from training.tests.factories import (
    make_base,
    make_base_folder,
    make_checkpoint,
    make_run,
    make_snapshot,
    of_known_size,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def engineer(project: Project, eve: User) -> Program:
    return Program(eve, project)


def test_it_belongs_to_owners_and_engineers(project: Project, carol: User, bob: User) -> None:
    run, checkpoint = make_run(project), make_checkpoint(project)
    for person in (carol, bob):
        program = Program(person, project, scopes=("read", "train"))
        for path in (
            *(f"projects/{project.pk}/{what}" for what in ("runs", "snapshots", "rounds")),
            *(f"projects/{project.pk}/{what}" for what in ("checkpoints", "evaluations")),
            f"runs/{run.pk}",
            f"checkpoints/{checkpoint.pk}",
        ):
            problem_of(program.get(path), 404, "not-found")
        problem_of(program.post(f"runs/{run.pk}/cancel"), 404, "not-found")
    reviewer = Program(carol, project).get(f"projects/{project.pk}/leaderboard")
    assert (reviewer.json()["is_read"], reviewer.json()["lines"]) == (True, [])
    problem_of(Program(bob, project).get(f"projects/{project.pk}/leaderboard"), 404, "not-found")
    run.refresh_from_db()
    assert run.state == "queued"


def test_a_program_freezes_what_people_said_and_reads_the_rows(
    engineer: Program, project: Project, bob: User, bea: User
) -> None:
    path = f"projects/{project.pk}/snapshots"
    refused = engineer.post(path, {"content": "demonstrations"})
    assert "Let people write some" in problem_of(refused, 409, "not-possible")["detail"]
    for person in (bob, bea):
        make_demonstration(project, person)
    frozen = engineer.post(path, {"content": "demonstrations", "filters": {"limit": 9}}).json()
    assert frozen["filters"] == {"limit": 9}
    rows, start = [], 0
    while start is not None:
        answer = engineer.get(f"snapshots/{frozen['id']}/rows?limit=1&start={start}").json()
        rows += answer["rows"]
        start = answer["next"]
    assert {row["annotator"] for row in rows} == {f"annotator-{bob.pk}", f"annotator-{bea.pk}"}
    for start in (3, 2**62):
        nowhere = engineer.get(f"snapshots/{frozen['id']}/rows?start={start}")
        problem_of(nowhere, 409, "not-possible")
    assert engineer.get(path).json()["items"] == [frozen]


def test_a_program_starts_a_run_and_stops_it(engineer: Program, project: Project) -> None:
    body = {
        "stage": "sft",
        "parent": of_known_size(project).pk,
        "snapshot": make_snapshot(project).pk,
        "config": {"epochs": 2.0, "batch_size": 8.0},
    }
    path = f"projects/{project.pk}/runs"
    for wrong in ({"epochs": "many"}, {"epoch": 2.0}, {"epochs": -1}):
        problem_of(engineer.post(path, body | {"config": wrong}), 409, "not-possible")
    key = {"Idempotency-Key": "run-1"}
    started, again = (engineer.post(path, body, **key) for _ in range(2))
    assert started.status_code == 201, started.content
    assert started.json() == again.json()
    assert (started.json()["state"], started.json()["config"]["epochs"]) == ("queued", 2.0)
    assert isinstance(started.json()["config"]["batch_size"], int)
    run = started.json()["id"]
    assert engineer.ask("PUT", f"runs/{run}/priority", {"priority": 1}).json()["priority"] == 1
    problem_of(engineer.post(f"runs/{run}/resume"), 409, "not-possible")
    assert engineer.post(f"runs/{run}/cancel").json()["state"] == "cancelled"
    resumed = engineer.post(f"runs/{run}/resume", {"config": {"epochs": 1.0}}).json()
    assert (resumed["id"], resumed["config"]["epochs"]) != (run, 2.0)
    assert [one["id"] for one in engineer.get(f"{path}?state=cancelled").json()["items"]] == [run]
    assert Run.objects.count() == 2


def test_metrics_are_read_step_by_step(engineer: Program, project: Project) -> None:
    run = make_run(project)
    Metric.objects.bulk_create(
        Metric(run=run, step=step, name=name, value=step / 2)
        for step in (1, 2, 3)
        for name in ("loss", "eval_loss")
    )
    path = f"runs/{run.pk}/metrics"
    first = engineer.get(f"{path}?limit=2").json()
    assert [one["step"] for one in first["steps"]] == [1, 2]
    assert first["steps"][0]["values"] == {"loss": 0.5, "eval_loss": 0.5}
    rest = engineer.get(f"{path}?limit=2&after={first['next']}&name=loss").json()
    assert rest == {"steps": [{"step": 3, "values": {"loss": 1.5}}], "next": None}


def test_a_program_promotes_through_the_gate_alone(
    engineer: Program, project: Project, alice: User
) -> None:
    first, second = make_checkpoint(project), make_checkpoint(project)
    reason = {"reason": "The first one."}
    assert engineer.post(f"checkpoints/{first.pk}/promote", reason).json()["is_promoted"]
    closed = engineer.post(f"checkpoints/{second.pk}/promote", reason)
    problem_of(closed, 409, "not-possible")
    problem_of(
        engineer.post(f"checkpoints/{second.pk}/promote", reason | {"override": True}),
        409,
        "not-possible",
    )
    listed = engineer.get(f"projects/{project.pk}/checkpoints").json()["items"]
    assert {one["id"] for one in listed if one["is_promoted"]} == {first.pk}
    opened = engineer.post(f"projects/{project.pk}/rounds").json()
    assert (opened["number"], opened["policy"]) == (1, first.pk)
    said = {"decision": "A try."}
    closed_round = engineer.post(f"projects/{project.pk}/rounds/close", said).json()
    assert closed_round["ended_at"]


def test_nothing_of_another_project_is_taken(
    engineer: Program, project: Project, charlie: User
) -> None:
    other = Project.objects.create(name="Other", created_by=charlie)
    body = {"stage": "sft", "parent": make_base(other).pk, "snapshot": make_snapshot(project).pk}
    problem_of(engineer.post(f"projects/{project.pk}/runs", body), 404, "not-found")
    assert not Run.objects.exists()


def test_an_ended_run_says_what_it_made_and_why_it_failed(
    engineer: Program, project: Project
) -> None:
    ended: dict[str, Any] = {"started_at": timezone.now(), "ended_at": timezone.now()}
    run = make_run(project, state="failed", error="The disk is full. Free some.", **ended)
    assert engineer.get(f"runs/{run.pk}").json()["error"] == "The disk is full. Free some."
    assert services.MODELS in engineer.token.scopes


def test_a_log_is_read_in_parts_that_tear_no_line(
    engineer: Program, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(project)
    path = f"runs/{run.pk}/log"
    assert engineer.get(f"{path}?start=5").json() == {"text": "", "next": 5}
    log = artifacts.work_folder(run) / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("first ☔\nsecond\nthi", encoding="utf-8")
    monkeypatch.setattr(runs, "LOG_PART", 14)
    first = engineer.get(path).json()
    assert first == {"text": "first ☔\n", "next": 10}
    second = engineer.get(f"{path}?start={first['next']}").json()
    assert second == {"text": "second\n", "next": 17}  # its third line is still being written
    Run.objects.filter(pk=run.pk).update(state="cancelled", ended_at=timezone.now())
    assert engineer.get(f"{path}?start=17").json() == {"text": "thi", "next": 20}
    assert engineer.get(f"{path}?start={2**53}").json() == {"text": "", "next": 2**53}
    log.write_text("0123456789ab☔☔", encoding="utf-8")
    first = engineer.get(path).json()
    assert first == {"text": "0123456789ab", "next": 12}  # no character is torn either
    assert engineer.get(f"{path}?start=12").json() == {"text": "☔☔", "next": 18}


def test_a_program_adds_a_base_model_that_is_on_the_site(
    engineer: Program, project: Project, settings: Any, tmp_path: Path
) -> None:
    settings.BASE_MODEL_PATH = tmp_path / "demo"
    make_base_folder(tmp_path / "tiny")
    (make_base_folder(tmp_path / "pickled") / "model.safetensors").rename(tmp_path / "model.bin")
    path = f"projects/{project.pk}/base-models"
    for folder, words in (
        ("pickled", "safetensors"),
        ("../tiny", "There are: pickled, tiny"),
        (str(tmp_path / "tiny"), "There are: pickled, tiny"),
    ):
        refused = engineer.post(path, {"folder": folder})
        assert words in problem_of(refused, 409, "not-possible")["detail"]
    assert engineer.post(path, {"folder": "tiny"}).status_code == 201
    added = engineer.post(path, {"folder": "tiny"}).json()
    assert (added["kind"], added["name"]) == ("base", "tiny")
    models = {one["folder"]: one["checkpoint"] for one in engineer.get(path).json()["models"]}
    assert models == {"pickled": None, "tiny": added["id"]}
    assert project.checkpoints.count() == 1


def test_a_program_copies_what_was_made_elsewhere_and_follows_it(
    engineer: Program, project: Project, settings: Any, tmp_path: Path
) -> None:
    settings.PUSH_TARGETS = [str(tmp_path)]
    path = f"checkpoints/{make_checkpoint(project).pk}/pushes"
    refused = engineer.post(path, {"url": "/etc/x"})
    assert str(tmp_path) in problem_of(refused, 409, "not-possible")["detail"]
    push = engineer.post(path, {"url": f"{tmp_path}/first"}).json()
    assert (push["state"], push["address"], push["files"]) == ("queued", "", {})
    tasks.push(push["id"])
    engineer.post(f"pushes/{push['id']}/cancel")
    found = engineer.get(f"pushes/{push['id']}").json()
    assert (found["state"], found["is_stopping"]) == ("succeeded", False)
    assert set(found["files"]) == {file.name for file in Path(found["address"]).iterdir()}
    snapshot = make_snapshot(project).pk
    other = engineer.post(f"snapshots/{snapshot}/pushes", {"url": f"{tmp_path}/rows"}).json()
    assert engineer.post(f"pushes/{other['id']}/cancel").json()["state"] == "cancelled"
    listed = engineer.get(f"projects/{project.pk}/pushes?snapshot={snapshot}").json()["items"]
    assert [one["id"] for one in listed] == [other["id"]]


def test_a_program_has_a_webhook_told(engineer: Program, project: Project) -> None:
    path = f"projects/{project.pk}/webhooks"
    body = {"url": "https://hooks.example.org/x", "kinds": ["run.failed"]}
    problem_of(engineer.post(path, body | {"kinds": ["flag.raised"]}), 409, "not-possible")
    problem_of(engineer.post(path, body | {"kinds": ["run.flew"]}), 422, "wrong-body")
    problem_of(engineer.post(path, body | {"url": "http://127.0.0.1/x"}), 409, "not-possible")
    key = {"Idempotency-Key": "hook-1"}
    added = engineer.post(path, body, **key)
    assert added.status_code == 201, added.content
    hook, secret = added.json()["webhook"], added.json()["secret"]
    assert secret.startswith("whsec_")
    assert engineer.get(path).json()["items"] == [hook]
    assert secret not in engineer.get(path).content.decode()
    assert secret not in str(ApiAnswer.objects.values_list("body"))
    repeated = problem_of(engineer.post(path, body, **key), 409, "not-possible")
    assert "done before" in repeated["detail"]
    assert Webhook.objects.count() == 1

    here = f"webhooks/{hook['id']}"
    sent = engineer.post(f"{here}/test").json()
    assert (sent["kind"], sent["state"], sent["attempts"]) == ("webhook.test", "waiting", 0)
    assert engineer.get(f"{here}/messages?state=waiting").json()["items"] == [sent]
    assert engineer.get(f"{here}/messages?state=delivered").json()["items"] == []
    WebhookMessage.objects.filter(pk=sent["id"]).update(state="given up", ended_at=timezone.now())
    again = engineer.post(f"webhook-messages/{sent['id']}/send").json()
    assert (again["uid"], again["state"]) == (sent["uid"], "waiting")

    assert engineer.post(f"{here}/secret").json()["secret"] != secret
    changed = engineer.ask("PATCH", here, {"kinds": ["run.succeeded"], "is_active": False}).json()
    assert (changed["url"], changed["kinds"]) == (hook["url"], ["run.succeeded"])
    assert not changed["is_active"]
    problem_of(engineer.post(f"{here}/test"), 409, "not-possible")
    assert engineer.ask("PATCH", here, {"is_active": True}).json()["is_active"]
    assert engineer.ask("DELETE", here).status_code == 204
    problem_of(engineer.get(here), 404, "not-found")
