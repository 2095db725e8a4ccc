"""Programs download what the pages download, and bring scores."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from pyarrow import parquet

from annotations import exports, services
from annotations.exports import EXPORTS
from annotations.models import Completion, CompletionScore, Kind, Project, User
from annotations.tests.factories import (
    make_comparison,
    make_completion,
    make_demonstration,
    make_item,
    make_prompt,
)
from annotations.tests.test_api import Program, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def engineer(project: Project, eve: User) -> Program:
    return Program(eve, project)


def content_of(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def test_every_export_of_the_page_can_be_downloaded(
    engineer: Program, project: Project, bob: User
) -> None:
    make_demonstration(project, bob, "An old pond")
    make_comparison(make_item(project), bob)
    listed = engineer.get(f"projects/{project.pk}/exports").json()["exports"]
    assert {one["content"]: tuple(one["formats"]) for one in listed} == {
        name: one.formats
        for name, one in EXPORTS.items()
        if one.kind in ("", Kind.DEMONSTRATION, Kind.COMPARISON)
    }
    for one in listed:
        for format in one["formats"]:
            asked = f"content={one['content']}&format={format}"
            response = engineer.get(f"projects/{project.pk}/export?{asked}")
            content = content_of(response)
            assert response["Content-Type"] == exports.MEDIA_TYPES[format]
            assert b"annotator-" in content or one["content"] != "annotations"
            assert b"bob" not in content
            if format == "parquet":
                assert parquet.read_table(io.BytesIO(content)).num_rows >= 0
            elif format == "xml":
                assert content.startswith(b"<View>")
            else:
                assert json.loads(content if format == "json" else content.splitlines()[0])


def test_an_export_is_sent_while_it_is_written(
    engineer: Program, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotations.exports.files.ROWS_AT_ONCE", 1)
    for number in range(3):
        make_prompt(project, f"Prompt {number}")
    response = engineer.get(f"projects/{project.pk}/export?content=prompts&format=jsonl")
    make_prompt(project, "Written before anything was read")
    assert len(list(response.streaming_content)) == 4


def test_a_format_that_there_is_not_is_told_with_those_there_are(
    engineer: Program, project: Project
) -> None:
    response = engineer.get(f"projects/{project.pk}/export?content=label-studio&format=parquet")
    assert "but as json" in problem_of(response, 404, "not-found")["detail"]
    response = engineer.get(f"projects/{project.pk}/export?content=all&format=json")
    assert problem_of(response, 400, "wrong-filter")["allowed"] == ["content", "format"]


def test_scores_are_kept_beside_their_completions_all_or_none(
    engineer: Program, project: Project
) -> None:
    prompt = make_prompt(project, external_id="p-1")
    good = make_completion(prompt, "good", source_name="m")
    bad = make_completion(prompt, "bad", source_name="n")
    path = f"projects/{project.pk}/scores"
    scores = [
        {"completion": good.pk, "scorer": "judge", "score": 2},
        {"prompt": "p-1", "model": "n", "scorer": "judge", "score": 0.5},
    ]
    assert engineer.post(path, {"scores": scores}).json() == {"created": 2, "changed": 0, "same": 0}
    assert engineer.post(path, {"scores": scores}).json() == {"created": 0, "changed": 0, "same": 2}
    missing = [{"completion": 10**9, "scorer": "judge", "score": 1}]
    refused = engineer.post(path, {"scores": [{**scores[0], "score": 9}, *missing]})
    (error,) = problem_of(refused, 409, "not-possible")["errors"]
    assert error["field"] == "scores.1"
    assert CompletionScore.objects.get(completion=good).score == 2
    (listed,) = engineer.get(f"{path}?completion={bad.pk}").json()["items"]
    assert (listed["scorer"], listed["score"]) == ("judge", 0.5)
    (scorer,) = engineer.get(f"projects/{project.pk}/scorers").json()["scorers"]
    assert [one["model"] for one in scorer["models"]] == ["m", "n"]


def test_ones_own_data_is_for_a_token_that_reaches_all_of_ones_projects(
    project: Project, alice: User, bob: User
) -> None:
    make_demonstration(project, bob, "An old pond")
    whole = json.loads(content_of(Program(bob, project).get("me/data")))
    assert whole["account"]["username"] == "bob"
    assert whole["annotations"][0]["demonstration"] == "An old pond"
    other = services.create_project(name="Other", description="", created_by=alice)
    services.add_member(other, bob, "annotator")
    problem_of(Program(bob, project).get("me/data"), 404, "not-found")
    assert Program(bob, project, other).get("me/data").status_code == 200
    assert Completion.objects.count() == 1
