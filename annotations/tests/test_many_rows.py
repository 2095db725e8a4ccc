"""Rows that are written by the thousand are those that would be saved one by one."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from annotations.models import Item, Project, Prompt
from annotations.selectors import prompts_of
from annotations.services.growth import MANY_ROWS, analyse_what_grew
from annotations.services.many_rows import insert_rows
from annotations.tests.factories import make_item, make_prompt

ODD = ("tab\tand\nline\r\n", "\\N", "\\.", "", " a 'quote' and \"two\" ", "蛙 🐸 \u2028 \u202e")


def prompt(text: str, project: Project, digest: str) -> dict[str, Any]:
    return {
        "project_id": project.pk,
        "messages": [{"role": "user", "content": text}],
        "text": text,
        "content_hash": digest,
        "split": "train",
        "created_by_id": None if text else project.created_by_id,
    }


def test_they_are_those_that_would_be_saved(project: Project) -> None:
    rows = [prompt(text, project, f"a{number}") for number, text in enumerate(ODD)]
    numbers = insert_rows(Prompt, list(rows[0]), [list(row.values()) for row in rows])
    saved = [
        Prompt.objects.create(**prompt(text, project, f"b{number}"))
        for number, text in enumerate(ODD)
    ]
    differ = ("id", "content_hash", "created_at")
    written = {row["id"]: row for row in Prompt.objects.values()}
    for number, one in zip(numbers, saved, strict=True):
        first, second = written[number], written[one.pk]
        assert first["created_at"] <= second["created_at"]
        assert {k: v for k, v in first.items() if k not in differ} == {
            k: v for k, v in second.items() if k not in differ
        }


def test_they_are_numbered_in_order_between_those_that_are_saved(project: Project) -> None:
    asked = make_prompt(project)
    before = make_item(project, prompt=asked).pk
    names = ("project_id", "kind", "prompt_id")
    numbers = insert_rows(Item, names, [(project.pk, "comparison", asked.pk)] * 1000)
    after = make_item(project, prompt=asked).pk
    assert [before, *numbers, after] == sorted({before, *numbers, after})
    lots = Item.objects.filter(id__in=numbers).values_list("lot", flat=True)
    assert len(set(lots)) == 1000, "each has a default of its own"


def test_without_rows_nothing_happens(project: Project) -> None:
    assert list(insert_rows(Item, ("project_id",), [])) == []


def test_one_that_breaks_a_rule_lets_none_in(project: Project) -> None:
    rows = [prompt("frog", project, digest) for digest in ("a", "b", "a")]
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_rows(Prompt, list(rows[0]), [list(row.values()) for row in rows])
    assert not Prompt.objects.exists()


@pytest.mark.parametrize("wanted", ["SHOWER", "shower", "müde", "100%", "_"])
def test_a_search_finds_what_contains_it_whatever_its_case(project: Project, wanted: str) -> None:
    """Plain letters are looked for in another way on PostgreSQL, and find the same."""
    texts = ["An April Shower", "Müde bin ich, 100% MÜDE", "snake_case", "nothing"]
    for text in texts:
        make_prompt(project, text)
    found = {prompt.text for prompt in prompts_of(project, search=wanted)}
    assert found == {text for text in texts if wanted.lower() in text.lower()}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans without counting")
@pytest.mark.django_db(transaction=True)
def test_postgresql_hears_of_a_table_that_grew(project: Project) -> None:
    table = Prompt._meta.db_table

    def write(count: int, batch: str) -> None:
        rows = [
            list(prompt(f"{batch} {number}", project, f"{batch}{number}").values())
            for number in range(count)
        ]
        insert_rows(Prompt, list(prompt("", project, "")), rows)
        with connection.cursor() as cursor:  # what it counts it tells others now and then
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute("SELECT 1")

    def analysed() -> bool:
        return table in analyse_what_grew()

    def analysed_by_another() -> bool:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("CREATE ROLE only_uses")
            cursor.execute("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO only_uses")
            cursor.execute("SET LOCAL ROLE only_uses")
            try:
                return analysed()
            finally:
                transaction.set_rollback(True)

    def known() -> float:
        with connection.cursor() as cursor:
            cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [table])
            return float(cursor.fetchone()[0])

    write(1, "what tests before this one wrote is known, too:")
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table}")
    write(MANY_ROWS - 1, "a")
    assert not analysed()
    write(MANY_ROWS, "b")
    assert not analysed_by_another(), "who may only use a table leaves it to the server"
    assert analysed()
    assert known() == 2 * MANY_ROWS
    write(MANY_ROWS - 1, "c")
    assert not analysed(), "what was analysed is left alone until it grows again"
