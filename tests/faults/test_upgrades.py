"""An upgrade without a pause: a worker of the version before meets messages of the next."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from django.apps import apps
from django.db import OperationalError, connection, models
from django.db.migrations import Migration, operations
from django.db.migrations.state import ProjectState

from annotations import queue, services
from annotations.models import Annotation, Item, Project, User
from annotations.services.many_rows import insert_rows
from annotations.tests.factories import make_item, make_prompt
from labelstudio_llm import rollout
from tests.faults.machine import STARTED_S, Machine, wait_until
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
    wait_until(lambda: Run.objects.get(id=run.pk).hinted_at, STARTED_S)
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


LONGEST_PAUSE_S = 5
MOST_TRIES = 5


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_people_label_on_while_a_full_database_is_migrated_there_and_back(
    project: Project, bob: User
) -> None:
    """The code that works meanwhile is the old one: it knows nothing of what is added.

    SQLite makes a table anew for a column: there the pause is as long as that takes.
    """
    fill(project, 1_000_000 if connection.vendor == "postgresql" else 1_000)
    for number in range(200):
        make_item(project, prompt=make_prompt(project, text=f"Frog {number}"), priority=1)
    add = operations.AddField
    migration = Migration("0099_later", "annotations")
    migration.operations = [
        add("item", "colour", models.TextField(null=True)),
        add("item", "shade", models.SmallIntegerField(db_default=0)),
        operations.AddIndex("item", models.Index(fields=["project", "shade"], name="by_shade")),
        operations.CreateModel("Colour", [("id", models.BigAutoField(primary_key=True))]),
    ]
    assert not rollout.why_not_live(migration)

    pauses: list[float] = []
    done = threading.Event()

    def label() -> None:
        try:
            while len(pauses) < 10 or (not done.is_set() and len(pauses) < 200):
                begun = time.monotonic()
                try:
                    assignment = queue.lease_next(bob, project)
                    assert assignment is not None
                    services.submit_comparison(assignment, "tie")
                except OperationalError:
                    if connection.vendor == "postgresql":
                        raise
                    continue  # on a slow machine a table takes longer than SQLite lets people wait
                pauses.append(time.monotonic() - begun)
                time.sleep(0.05)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        person = pool.submit(label)
        try:
            for move in (migration.apply, migration.unapply, migration.apply):
                carry_out(move)
            assert {"colour", "shade"} < columns()
            assert "by_shade" in indexes()
        finally:
            done.set()
            wait([person])
            if "colour" in columns():
                carry_out(migration.unapply)
        person.result()  # raises what stopped it
    assert not {"colour", "shade"} & columns()
    assert "by_shade" not in indexes()
    assert Annotation.objects.filter(annotator=bob).count() == len(pauses) >= 10
    if connection.vendor == "postgresql":
        assert max(pauses) < LONGEST_PAUSE_S


def fill(project: Project, count: int) -> None:
    """Give a project so many items that are waiting."""
    prompt = make_prompt(project)
    names = ("project_id", "kind", "prompt_id", "fingerprint")
    for begin in range(0, count, 50_000):
        insert_rows(
            Item,
            names,
            [
                (project.pk, "comparison", prompt.pk, f"{number:064}")
                for number in range(begin, min(begin + 50_000, count))
            ],
        )


def carry_out(move: Callable[[ProjectState, Any], object]) -> None:
    """Migrate as an operator does: what gave up waiting for a lock changed nothing, so again."""
    for number in range(MOST_TRIES):
        try:
            with connection.schema_editor(atomic=True) as editor:
                move(ProjectState.from_apps(apps), editor)
            return
        except OperationalError:
            if number == MOST_TRIES - 1:
                raise


def columns() -> set[str]:
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(cursor, Item._meta.db_table)
    return {column.name for column in described}


def indexes() -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, Item._meta.db_table))
