"""The newest rows of a project are found, and quickly, wherever they lie in their table."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotations.models import Annotation, Item, Project, User
from annotations.selectors.newest import newest
from annotations.tests.factories import make_comparison, make_item
from annotations.tests.test_api import Program

pytestmark = pytest.mark.django_db

ON_POSTGRESQL = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite begins with the project"
)


@pytest.fixture
def other(alice: User) -> Project:
    return Project.objects.create(name="Other", created_by=alice)


@pytest.mark.parametrize("near", [1, 3, 100])
def test_it_finds_the_newest_rows_of_one_project(
    project: Project, other: Project, near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotations.selectors.newest.NEAR", near)
    for whose in (project, other, project, project, other, other, project, other):
        make_item(whose)
    for whose in (project, other):
        there = sorted(whose.items.values_list("pk", flat=True), reverse=True)
        for before in (None, *there):
            for number in (1, 2, 4, 9):
                found = newest(whose.items.all(), number, before=before)
                older = [pk for pk in there if before is None or pk < before]
                assert [one.pk for one in found] == older[:number]


@pytest.fixture
def behind(
    project: Project, other: Project, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """Return a project with one answer, behind a thousand to another."""
    monkeypatch.setattr("annotations.selectors.newest.NEAR", 10)
    for whose in (project, other):
        make_comparison(make_item(whose), bob)
    prompt = other.prompts.get()
    items = Item.objects.bulk_create(
        Item(project=other, kind="comparison", prompt=prompt) for _ in range(1000)
    )
    Annotation.objects.bulk_create(
        Annotation(item=item, annotator=bob, kind="comparison") for item in items
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE annotations_annotation, annotations_item")
            # As it plans where it takes one project for as large as another.
            cursor.execute("SET LOCAL enable_sort = off")
    return project


def rows_read(table: str) -> int:
    """Return how many rows of a table PostgreSQL has read in this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = %s",
            [table],
        )
        return int(cursor.fetchone()[0])


@ON_POSTGRESQL
def test_answers_are_shown_without_reading_those_to_another_project(
    client: Client, behind: Project, alice: User
) -> None:
    client.force_login(alice)
    before = rows_read("annotations_annotation")
    shown = client.get(reverse("annotations:answers", args=[behind.pk]))
    assert len(shown.context["answers"]) == 1
    assert rows_read("annotations_annotation") - before < 100


@ON_POSTGRESQL
def test_programs_list_answers_without_reading_those_to_another_project(
    behind: Project, alice: User
) -> None:
    program = Program(alice, behind)
    before = rows_read("annotations_annotation")
    assert len(program.get(f"projects/{behind.pk}/annotations").json()["items"]) == 1
    assert rows_read("annotations_annotation") - before < 100


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL plans by how many there are")
def test_the_newest_answers_are_read_without_putting_all_in_order(
    client: Client, project: Project, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotations.selectors.newest.NEAR", 2)
    monkeypatch.setattr("annotations.views.history.PAGE_SIZE", 1)
    for _each in range(3):
        make_comparison(make_item(project), bob)
    client.force_login(alice)
    with CaptureQueriesContext(connection) as captured:
        client.get(reverse("annotations:answers", args=[project.pk]))
    asked = 'SELECT "annotations_annotation"."id"'
    plans = [plan_of(one["sql"]) for one in captured if one["sql"].startswith(asked)]
    assert plans
    assert not [plan for plan in plans if "FOR ORDER BY" in plan]


def plan_of(statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
        return "\n".join(row[-1] for row in cursor.fetchall())
