"""A person makes a token, is shown it once, and revokes it."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import ApiToken, Project, User
from training import services

PAGE = "/tokens/"


def make(client: Client, *projects: Project, **changes: object) -> str:
    values = {
        "name": "A <b>program</b>",
        "scopes": ["models"],
        "projects": [p.pk for p in projects],
        "days": 30,
    }
    return client.post(PAGE, {**values, **changes}).content.decode()


def test_it_shows_a_token_once_and_keeps_its_hash(
    client: Client, project: Project, carol: User
) -> None:
    client.force_login(carol)
    page = make(client, project)
    found = re.search(r'value="(lsl-[\w-]{43})"', page)
    assert found
    token = ApiToken.objects.get()
    assert found[1] not in client.get(PAGE).content.decode()
    assert found[1] not in str(ApiToken.objects.values().get())
    assert found[1].startswith(token.prefix)
    assert "A &lt;b&gt;program&lt;/b&gt;" in page
    assert list(token.projects.all()) == [project]


def test_it_revokes_a_token(client: Client, project: Project, eve: User) -> None:
    token, _ = services.create_api_token(eve, name="x", projects=[project], days=7)
    client.force_login(eve)
    address = reverse("training:revoke_api_token", args=[token.pk])
    assert client.get(address).status_code == 405
    assert client.post(address, follow=True).status_code == 200
    token.refresh_from_db()
    revoked = token.revoked_at
    assert revoked
    client.post(address)
    token.refresh_from_db()
    assert token.revoked_at == revoked


def test_nobody_sees_or_revokes_the_token_of_another(
    client: Client, project: Project, eve: User, alice: User
) -> None:
    token, _ = services.create_api_token(eve, name="eve's own", projects=[project], days=7)
    client.force_login(alice)
    assert "eve's own" not in client.get(PAGE).content.decode()
    address = reverse("training:revoke_api_token", args=[token.pk])
    assert client.post(address).status_code == 404
    client.logout()
    assert client.get(PAGE).status_code == 302


def test_a_labellers_program_labels_and_talks_with_no_model(
    client: Client, project: Project, bob: User
) -> None:
    client.force_login(bob)
    assert "own, engineer or review" in make(client, project)
    assert not ApiToken.objects.exists()
    assert "Copy it now" in make(client, project, scopes=["read", "label"])
    assert ApiToken.objects.get().scopes == ["read", "label"]


def test_who_is_in_no_project_is_told_whom_to_ask(
    client: Client, project: Project, charlie: User
) -> None:
    client.force_login(charlie)
    assert "Tokens are for members" in client.get(PAGE).content.decode()
    make(client, project)
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"days": 10_000}, {"projects": [999]}, {"scopes": ["all"]}]
)
def test_it_refuses_what_makes_no_token(
    client: Client, project: Project, eve: User, wrong: dict[str, object]
) -> None:
    client.force_login(eve)
    assert 'class="error"' in make(client, project, **wrong)
    assert not ApiToken.objects.exists()


def test_it_refuses_more_tokens_than_anybody_needs(
    client: Client, project: Project, eve: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotations.services.api_tokens.MOST_TOKENS", 1)
    client.force_login(eve)
    make(client, project)
    assert "Revoke one" in make(client, project)
    assert ApiToken.objects.count() == 1
