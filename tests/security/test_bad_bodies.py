"""What Python would read and no database keeps: refused by the API in words, never an error."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from annotations.models import Project, Prompt, User
from annotations.tests.test_api import Program

BODIES = {
    "no JSON": b"{",
    "no object": b"[1]",
    "nothing": b"",
    "bad UTF-8": b'{"prompts": [{"prompt": "\xff"}]}',
    "UTF-16": '{"prompts": []}'.encode("utf-16"),
    "deep": b'{"prompts": ' + b"[" * 100_000,
    "deep and whole": b'{"prompts": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "no end": b'{"prompts": [{"prompt": "a", "id": 1e999}]}',
    "no number": b'{"prompts": [{"prompt": "a", "id": NaN}]}',
    "5,000 digits": b'{"prompts": [{"prompt": "a", "id": ' + b"9" * 5_000 + b"}]}",
    "a NUL": b'{"prompts": [{"prompt": "a\\u0000b"}]}',
    "half a character": b'{"prompts": [{"prompt": "a\\ud800"}]}',
    "in a tag": b'{"prompts": [{"prompt": "a", "tags": ["\\ud800"]}]}',
    "in an id": b'{"prompts": [{"prompt": "a", "id": "\\u0000"}]}',
    "in a key": b'{"prompts": [{"prompt": "a", "\\ud800": 1}]}',
    "a long text": b'{"prompts": [{"prompt": "' + b"x" * 30_000 + b'"}]}',
    "10 MB": b'{"prompts": [{"prompt": "' + b"x" * 10_000_000 + b'"}]}',
}


@pytest.fixture
def program(project: Project, alice: User) -> Program:
    return Program(alice, project)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_it_is_refused_in_words(program: Program, project: Project, body: bytes) -> None:
    response = program.client.post(
        f"/api/v1/projects/{project.pk}/prompts",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {program.secret}"},
    )
    assert 400 <= response.status_code < 500
    assert response["Content-Type"] == "application/problem+json"
    assert len(json.loads(response.content)["detail"]) > 10
    assert not Prompt.objects.exists()


def test_no_token_is_taken_from_an_address(client: Client, program: Program) -> None:
    for name in ("token", "access_token", "api_key", "key", "authorization"):
        assert client.get(f"/api/v1/me?{name}={program.secret}").status_code == 401
    assert program.get("me").status_code == 200


def test_a_nul_finds_nothing_wherever_it_stands(program: Program, project: Project) -> None:
    """PostgreSQL can't be asked for one, so it must not get that far."""
    assert program.get(f"projects/{project.pk}/qualification/%00").status_code == 404
    client = Client()
    client.force_login(project.created_by)
    for address in ("qualify/%00/", "guidelines/%00/", "guidelines/%00/scores/"):
        assert client.get(f"/projects/{project.pk}/{address}").status_code == 404
    cookie = 'session="\\000abcdefgh"'
    assert Client().get("/", headers={"cookie": cookie}).status_code == 302
