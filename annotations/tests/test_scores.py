"""Scores from elsewhere: they come in whole or not at all, and labellers never see them."""

from __future__ import annotations

import io
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from annotations import selectors, services
from annotations.models import Completion, CompletionScore, Kind, Project, User
from annotations.score_files import read_scores
from annotations.tests.factories import (
    make_assignment,
    make_comparison,
    make_completion,
    make_item,
    make_prompt,
)


@pytest.fixture
def pair(project: Project) -> tuple[Completion, Completion]:
    """Return two answers to a prompt of another system, each of its model."""
    prompt = make_prompt(project, "Write a haiku about frogs.", external_id="frogs")
    return (
        make_completion(prompt, "old pond", origin="imported", source_name="basho-7b"),
        make_completion(prompt, "new pond", origin="imported", source_name="issa-7b"),
    )


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def read(content: bytes, name: str = "scores.jsonl") -> Any:
    return read_scores(io.BytesIO(content), name)


def imported(project: Project, user: User, *rows: dict[str, Any]) -> services.ImportedScores:
    found, errors = read(lines(*rows))
    assert not errors
    return services.import_scores(project, found, user)


def score(completion: Completion, value: float, scorer: str = "judge") -> dict[str, Any]:
    return {"completion_id": completion.pk, "scorer": scorer, "score": value}


def kept() -> dict[tuple[int, str], float]:
    return {(one.completion_id, one.scorer): one.score for one in CompletionScore.objects.all()}


def test_completions_are_named_by_number_or_by_prompt_and_model(
    project: Project, pair: tuple[Completion, Completion], eve: User
) -> None:
    by_name = {"prompt_id": "frogs", "model": "issa-7b", "scorer": "judge", "score": -1}
    done = imported(project, eve, score(pair[0], 0.5), by_name)
    assert (done.created, done.bad) == (2, ())
    assert kept() == {(pair[0].pk, "judge"): 0.5, (pair[1].pk, "judge"): -1}


def test_the_same_file_twice_changes_nothing_and_a_newer_score_replaces_its_older_one(
    project: Project, pair: tuple[Completion, Completion], eve: User
) -> None:
    rows = [score(pair[0], 0.5), score(pair[1], 0.25), score(pair[0], 9, "filter")]
    assert imported(project, eve, *rows).created == 3
    again = imported(project, eve, *rows)
    assert (again.created, again.changed, again.same) == (0, 0, 3)
    newer = imported(project, eve, score(pair[0], 0.75), score(pair[1], 0.25))
    assert (newer.created, newer.changed, newer.same) == (0, 1, 1)
    assert kept()[pair[0].pk, "judge"] == 0.75


def test_a_row_that_fits_nothing_or_two_things_leaves_everything_out(
    project: Project, pair: tuple[Completion, Completion], eve: User, charlie: User
) -> None:
    other = Project.objects.create(name="Other", created_by=charlie)
    elsewhere = make_completion(make_prompt(other), "theirs")
    make_completion(pair[0].prompt, "again", origin="imported", source_name="basho-7b")
    named = {"prompt_id": "frogs", "scorer": "judge", "score": 1}
    done = imported(
        project,
        eve,
        score(pair[0], 1),
        score(elsewhere, 1),
        {**named, "model": "basho-7b"},
        {**named, "model": "nobody"},
        score(pair[0], 2),
    )
    assert [line for line, _ in done.bad] == [2, 3, 4, 5]
    assert kept() == {}


@pytest.mark.parametrize(
    "row",
    [
        b"nonsense",
        b"[1]",
        b'{"completion_id": 1, "scorer": "judge"}',
        b'{"completion_id": 1, "scorer": "judge", "score": NaN}',
        b'{"completion_id": 1, "scorer": "judge", "score": true}',
        b'{"completion_id": 1, "scorer": "judge", "score": "much"}',
        b'{"completion_id": 1, "score": 1}',
        b'{"completion_id": "1; drop", "scorer": "judge", "score": 1}',
        b'{"completion_id": 99999999999999999999, "scorer": "judge", "score": 1}',
        b'{"completion_id": 1, "scorer": "a\\u0000b", "score": 1}',
        b'{"prompt_id": "frogs", "scorer": "judge", "score": 1}',
        b'{"completion_id": 1, "scorer": "' + b"j" * 101 + b'", "score": 1}',
        b"\xff\xfe",
    ],
)
def test_bad_lines_are_told_with_their_numbers(row: bytes) -> None:
    _, errors = read(b'{"completion_id": 1, "scorer": "judge", "score": 1}\n\n' + row + b"\n")
    assert len(errors) == 1
    assert errors[0].line in (1, 3)  # a file in another encoding has no lines


def test_a_table_is_read_too() -> None:
    table = "\ufeffcompletion_id,scorer,score,prompt_id,model\n7,judge,0.5,,\n,judge,1,frogs,issa\n"
    for content in (table, table.replace(",", ";")):
        rows, errors = read(content.encode(), "Scores.CSV")
        assert errors == []
        assert [(one.completion_id, one.prompt_id, one.model) for one in rows] == [
            (7, "", ""),
            (None, "frogs", "issa"),
        ]


def test_it_says_how_often_a_scorer_prefers_what_people_prefer(
    project: Project, eve: User, bob: User, bea: User
) -> None:
    for number, outcome in enumerate(["left", "left", "right", "tie", "left"]):
        item = make_item(project, kind=Kind.COMPARISON)
        left, right = item.completions.order_by("id")
        make_comparison(item, bob, outcome)
        low = 1 if number == 4 else 0  # it tells the last two apart not at all
        imported(project, eve, score(left, 1), score(right, low))
    [scorer] = selectors.scorers(project)
    assert (scorer.agreement.count, scorer.agreement.n) == (2, 3)
    assert sum(one.n for one in scorer.models) == scorer.n == 10


def url(name: str, project: Project) -> str:
    return reverse(f"annotations:{name}", args=[project.pk])


def test_an_engineer_imports_a_file_reads_the_page_and_takes_it_away(
    client: Client, project: Project, pair: tuple[Completion, Completion], eve: User
) -> None:
    client.force_login(eve)
    page = url("scores", project)
    bad = SimpleUploadedFile("scores.jsonl", lines(score(pair[0], 1), {"score": 2}))
    refused = client.post(page, {"file": bad})
    assert refused.status_code == 422
    assert "“scorer”" in refused.content.decode()
    assert kept() == {}
    good = SimpleUploadedFile("scores.jsonl", lines(score(pair[0], 1, "=<b>1</b>")))
    assert client.post(page, {"file": good}).status_code == 302
    shown = client.get(page).content.decode()
    assert "=&lt;b&gt;1&lt;/b&gt;" in shown
    assert "basho-7b" in shown
    table = b"".join(client.get(url("scores_file", project)).streaming_content)  # type: ignore[attr-defined]  # a streaming response
    assert table.decode().splitlines()[1].endswith(",basho-7b,'=<b>1</b>,1.0")


def test_labellers_see_nothing_of_it(
    client: Client, project: Project, bob: User, eve: User
) -> None:
    item = make_item(project, kind=Kind.COMPARISON)
    for one in item.completions.all():
        imported(project, eve, score(one, 0.123456, "secret-judge"))
    make_assignment(item, bob)
    client.force_login(bob)
    for address in (url("start", project), url("project", project)):
        shown = client.post(address, follow=True) if "start" in address else client.get(address)
        assert "secret-judge" not in shown.content.decode()
        assert "0.123456" not in shown.content.decode()
    assert client.get(url("scores", project)).status_code == 404


def test_the_command_imports_for_those_who_may(
    project: Project, pair: tuple[Completion, Completion], tmp_path: Path, eve: User, bob: User
) -> None:
    file, said = tmp_path / "scores.jsonl", StringIO()
    file.write_bytes(lines(score(pair[0], 1)))
    call_command("import_scores", str(project.pk), str(file), "--as", "eve", stdout=said)
    assert "1 scores added" in said.getvalue()
    with pytest.raises(CommandError, match="owns and engineers"):
        call_command("import_scores", str(project.pk), str(file), "--as", "bob")
    file.write_bytes(lines({"score": 1}))
    with pytest.raises(CommandError, match="Nothing was imported"):
        call_command("import_scores", str(project.pk), str(file), "--as", "eve", stderr=said)
    assert "Line 1" in said.getvalue()
