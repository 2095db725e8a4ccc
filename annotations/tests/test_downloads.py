"""What goes out: as other tools take it, and back in without a trace."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pyarrow import parquet

from annotations import exports, services
from annotations.exports.state import one_state
from annotations.models import (
    Annotation,
    Assembly,
    Comparison,
    Completion,
    Import,
    Item,
    Kind,
    Project,
    Prompt,
    RankedCompletion,
    RatingAnswer,
    Retraction,
    Rewrite,
    User,
)
from annotations.services.ratings import write_rating
from annotations.tests.factories import (
    make_annotation,
    make_comparison,
    make_completion,
    make_demonstration,
    make_item,
    make_prompt,
    make_ranking,
)

TABLES = [name for name, one in exports.EXPORTS.items() if "parquet" in one.formats]
FORMULA = '=HYPERLINK("http://example.org")\n,"'


def written(project: Project, name: str, format: str = "jsonl") -> bytes:
    return b"".join(exports.write_export(project, name, format))


def rows_of(project: Project, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(project, name).decode().split("\n") if line]


def make_one_of_each(project: Project, bob: User, bea: User) -> None:
    make_demonstration(project, bob, FORMULA)
    for outcome, strength in (("left", "slightly"), ("right", ""), ("tie", ""), ("both_bad", "")):
        make_comparison(make_item(project), bob, outcome, strength, reason="why\nnot")
    shared = make_item(project)
    left, right = shared.completions.order_by("id")
    make_comparison(shared, bob, "left")
    annotation = make_annotation(shared, bea)
    Comparison.objects.create(annotation=annotation, left=right, right=left, outcome="left")
    ranked = make_item(project, Kind.RANKING)
    ids = list(ranked.completions.order_by("id").values_list("id", flat=True))
    make_ranking(ranked, bob, [ids[2:3], ids[:2], ids[3:]])
    rated = make_item(project, Kind.RATING)
    ids = sorted(rated.completions.values_list("id", flat=True))
    answers = {one: {"overall": 3 + place, "harmful": place} for place, one in enumerate(ids)}
    rating = make_annotation(rated, bob, shown_order=ids)
    write_rating(rating, rated.rating_scheme, answers)
    rewritten = make_item(project, Kind.REWRITE)
    Rewrite.objects.create(
        annotation=make_annotation(rewritten, bob),
        original=rewritten.completions.get(),
        completion=make_completion(rewritten.prompt, "better\nby far", author=bob),
    )
    assembled = make_item(project, Kind.ASSEMBLY)
    Assembly.objects.create(
        annotation=make_annotation(assembled, bob),
        completion=make_completion(assembled.prompt, "put together", author=bob),
    )


def counts() -> list[int]:
    models = (Prompt, Completion, Item, Annotation, RankedCompletion, RatingAnswer, User)
    return [model.objects.count() for model in models]


def bring(project: Project, content: bytes) -> Import:
    brought = services.bring_file(project, "tasks.json", [content], project.created_by)
    services.start_import(brought)
    return services.run_import(brought)


def test_label_studio_tasks_come_back_without_a_trace(project, bob, bea):
    make_one_of_each(project, bob, bea)
    before = counts()
    brought = bring(project, written(project, "label-studio", "json"))
    assert brought.state == Import.State.DONE, brought.bad or brought.problem
    assert brought.found["comparisons"] == 6
    assert counts() == before
    assert brought.written["duplicates"] == Annotation.objects.count()


def test_label_studio_tasks_say_the_same_in_another_project(project, bob, bea, alice):
    make_one_of_each(project, bob, bea)
    prompt = make_prompt(project, "Nothing", tags=["spring"])
    same = [
        Completion.objects.create(prompt=prompt, text="", origin="imported", source_name=name)
        for name in ("one", "two")
    ]
    make_comparison(make_item(project, prompt=prompt, completions=same), bob, "left")
    ranked = make_item(project, Kind.RANKING, prompt=prompt, completions=same)
    make_ranking(ranked, bob, [[one.pk] for one in same])
    other = services.create_project(name="Other", description="", created_by=alice)
    brought = bring(other, written(project, "label-studio", "json"))
    assert brought.state == Import.State.DONE, brought.bad or brought.problem

    def said(one: Project) -> list[Any]:
        pairs = sorted(
            (row["chosen"][0]["content"], row["rejected"][0]["content"], row["strength"])
            for row in exports.preferences(one.pk)
        )
        texts = sorted(row["completion"][0]["content"] for row in exports.demonstrations(one.pk))
        rated = sorted(
            (row["completion"][0]["content"], sorted(row["answers"].items()))
            for row in exports.ratings(one.pk)
        )
        counted = exports.preference_counts(one.pk)
        tagged = one.prompts.filter(tags=["spring"], completions__text="")
        models = sorted(tagged.values_list("completions__source_name", flat=True))
        sums = [counted.ties, counted.both_bad, counted.ranking_ties]
        return [pairs, texts, rated, models, sums]

    assert said(other) == said(project)
    assert set(other.items.values_list("annotations__annotator__username", flat=True)) == {
        f"imported-{other.pk}-annotator-{person.pk}" for person in (bob, bea)
    }


def test_label_studio_gets_its_documented_results_and_no_names(project, bob, bea):
    make_one_of_each(project, bob, bea)
    content = written(project, "label-studio", "json")
    assert b"bob" not in content.lower()
    tasks = json.loads(content)
    shared = next(task for task in tasks if len(task["annotations"]) == 2)
    selected = [one["result"][0]["value"]["selected"] for one in shared["annotations"]]
    assert selected == ["left", "right"], "sides are those of the task, not of who saw them"
    for task in tasks:
        assert {"data", "annotations", "predictions", "meta"} <= task.keys()
        for annotation in task["annotations"]:
            # Label Studio refuses what people did whom it does not know.
            assert "completed_by" not in annotation
            for result in annotation["result"]:
                assert {"id", "from_name", "to_name", "type", "value"} == result.keys()


def test_each_kind_goes_to_label_studio_with_the_configuration_that_shows_it(project, bob, bea):
    make_one_of_each(project, bob, bea)
    turns = [("system", "Be short."), ("user", "A haiku?"), ("assistant", "No."), ("user", "Why?")]
    messages = [{"role": role, "content": text} for role, text in turns]
    talk = make_prompt(project, "Why?", messages=messages)
    make_comparison(make_item(project, prompt=talk), bob)
    whole = json.loads(written(project, "label-studio", "json"))
    parts = []
    for name in (name for name, one in exports.EXPORTS.items() if one.kind):
        tasks = json.loads(written(project, name, "json"))
        parts += tasks
        config = ElementTree.fromstring(written(project, name, "xml"))
        there = {one.get("name"): one for one in config}
        for task in tasks:
            assert {task["meta"]["kind"]} == {exports.EXPORTS[name].kind}
            shown = [one.get("value", "") for one in config if one.get("name")]
            fields = {value.strip("$").split("[")[0] for value in shown if value}
            assert fields <= task["data"].keys()
            assert all({"role", "content"} == turn.keys() for turn in task["data"]["prompt"])
            for result in (one for said in task["annotations"] for one in said["result"]):
                control = there[result["from_name"]]
                assert control.tag.lower() == result["type"]
                assert result["to_name"] in (control.get("toName"), control.get("name"))
                assert result["to_name"] in there
                choices = {one.get("value") or one.get("name") for one in control}
                assert choices >= set(result["value"].get("choices", ()))
                assert choices >= set(result["value"].get("ranker", ()))
                assert int(control.get("maxRating", 10)) >= result["value"].get("rating", 0)
    assert sorted(task["id"] for task in parts) == [task["id"] for task in whole]


def test_kinds_that_nobody_works_at_are_not_offered(client, project, bob):
    make_comparison(make_item(project), bob)
    client.force_login(project.created_by)
    page = client.get(reverse("annotations:downloads", args=[project.pk])).text
    assert ("label-studio-comparison" in page, "label-studio-rating" in page) == (True, False)


def test_everything_has_what_counts_no_longer_and_says_so(project, bob, bea):
    make_one_of_each(project, bob, bea)
    taken_back = make_comparison(make_item(project), bob)
    Retraction.objects.create(annotation_id=taken_back.pk)
    rows = rows_of(project, "annotations")
    assert len(rows) == Annotation.objects.count()
    (row,) = [row for row in rows if row["taken_back_at"]]
    assert row["annotation_id"] == taken_back.pk
    assert row["said"]["outcome"] == "left"
    assert {one["id"] for one in row["completions"]} == {taken_back.left_id, taken_back.right_id}
    ranked = next(row for row in rows if row["kind"] == "ranking")
    assert [len(tier) for tier in ranked["said"]["tiers"]] == [1, 2, 1]
    assert FORMULA in [row["said"].get("text") for row in rows], "a text is no formula in JSON"


@pytest.mark.parametrize(
    "name", [n for n, one in exports.EXPORTS.items() if "parquet" in one.formats]
)
def test_parquet_holds_the_rows_of_jsonl(project, bob, bea, name):
    empty = parquet.read_table(io.BytesIO(written(project, name, "parquet")))
    make_one_of_each(project, bob, bea)
    table = parquet.read_table(io.BytesIO(written(project, name, "parquet")))
    assert table.to_pylist() == rows_of(project, name)
    assert not any(None in row.values() for row in table.to_pylist()), "stops datasets"
    assert table.num_rows > empty.num_rows == 0
    assert table.schema == empty.schema


def test_an_export_needs_as_many_queries_for_many_as_for_one(project, bob, bea):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            for name, one in exports.EXPORTS.items():
                written(project, name, one.formats[0])
        return len(captured)

    make_one_of_each(project, bob, bea)
    few = queries()
    for _ in range(5):
        make_one_of_each(project, bob, bea)
    assert queries() == few


@pytest.mark.django_db(transaction=True)
def test_an_export_is_of_one_state_and_leaves_none_behind(project, bob):
    make_comparison(make_item(project), bob)

    def first_and_rest() -> Iterator[bytes]:
        return exports.write_export(project, "preference", "jsonl")

    pieces = first_and_rest()
    assert next(pieces)
    pieces.close()  # the reader went away
    assert not connection.in_atomic_block
    with one_state():
        assert Comparison.objects.count() == 1
    make_comparison(make_item(project), bob)
    assert len(rows_of(project, "preference")) == 2


def test_owners_and_engineers_download_and_nobody_else(client, project, bob, bea):
    make_one_of_each(project, bob, bea)
    page = reverse("annotations:downloads", args=[project.pk])
    addresses = [
        reverse("annotations:download", args=[project.pk, name, one.formats[-1]])
        for name, one in exports.EXPORTS.items()
    ]
    for username, status in (("eve", 200), ("alice", 200), ("carol", 404), ("charlie", 404)):
        client.force_login(User.objects.get(username=username))
        assert client.get(page).status_code == status
        for address in addresses if username in ("eve", "carol") else addresses[:1]:
            response = client.get(address)
            assert response.status_code == status
            if status == 200:
                assert len(response.getvalue()) > 20
                assert "attachment" in response["Content-Disposition"]
    client.force_login(User.objects.get(username="eve"))
    assert client.post(page).status_code == 405
    unknown = reverse("annotations:download", args=[project.pk, "annotations", "parquet"])
    assert client.get(unknown).status_code == 404


def test_a_command_writes_an_export_whole(project, bob, tmp_path):
    make_comparison(make_item(project), bob)
    path = tmp_path / "pairs.jsonl"
    call_command("export_project", "Haiku", "preference", str(path), stdout=io.StringIO())
    assert path.read_bytes() == written(project, "preference")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(CommandError, match="jsonl or parquet"):
        call_command("export_project", "Haiku", "preference", str(tmp_path / "pairs.csv"))
