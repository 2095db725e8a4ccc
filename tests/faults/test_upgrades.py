"""An upgrade without a pause: a worker of the version before meets messages of the next."""

from __future__ import annotations

import json

import pytest
from django.db import models
from django.db.migrations import Migration, operations

from annotations.models import Project
from labelstudio_llm import rollout
from tests.faults.machine import Machine, wait_until
from training import tasks, tracing
from training.models import Run
from training.tests.factories import make_run


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_an_old_worker_leaves_what_it_does_not_know_and_goes_on(
    machine: Machine, project: Project
) -> None:
    run = make_run(project)
    machine.start_worker("default")
    app = tasks.execute_run.app
    with tracing.belonging_to(request_id="of-the-new-web"):
        app.send_task("training.task_of_the_next_version", [run.pk], queue="default")
        app.send_task("training.dispatch_queued_runs", [1, 2, 3], queue="default")
        app.send_task("training.dispatch_queued_runs", kwargs={"new": 1}, queue="default")
    wait_until(lambda: Run.objects.get(id=run.pk).hinted_at, 30)
    lines = (machine.folder / "process-1.log").read_text().splitlines()
    said = [json.loads(line) for line in lines if line.startswith("{")]
    assert any("task_of_the_next_version" in line["message"] for line in said)
    assert any(line.get("request_id") == "of-the-new-web" for line in said)


def field(operation: type, column: models.Field) -> Migration:  # type: ignore[type-arg]  # any
    migration = Migration("0099_later", "training")
    migration.operations = [operation("run", "colour", column)]
    return migration


def test_a_new_column_must_be_one_that_old_code_may_leave_out() -> None:
    add = operations.AddField
    [why] = rollout.why_not_live(field(add, models.TextField(default="")))
    assert "give it null=True or a db_default" in why
    assert not rollout.why_not_live(field(add, models.TextField(null=True)))
    assert not rollout.why_not_live(field(add, models.TextField(default="", db_default="")))


def test_what_old_code_reads_must_not_go() -> None:
    migration = Migration("0099_later", "training")
    migration.operations = [
        operations.RemoveField("run", "step"),
        operations.RenameModel("Run", "Job"),
        operations.CreateModel("Colour", []),
        operations.AddIndex("run", models.Index(fields=["step"], name="by_step")),
    ]
    assert rollout.why_not_live(migration) == [
        "takes a column of run away, which old code reads",
        "takes a table away, which old code reads",
    ]
