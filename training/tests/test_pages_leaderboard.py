"""The page of the leaderboard: who sees it, what it says, what it starts, what it gives away."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from celery import current_app
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from annotations.models import Project, User
from annotations.tests.factories import make_prompt_in
from training import services
from training.models import Checkpoint, Evaluation
from training.tasks import keep_up_boards
from training.tests.battles import cast_votes, make_players
from training.tests.factories import make_checkpoint

PAGES = ["leaderboard", "board_as_csv", "board_as_json", "votes_as_csv", "votes_as_jsonl"]


@pytest.fixture
def fought(project: Project, bob: User, bea: User) -> list[Checkpoint]:
    """Return two checkpoints that fought three battles."""
    a, b = make_players(project, "<b>one</b>", "two")
    votes = [(a.pk, b.pk, "left", bob), (a.pk, b.pk, "tie", bea), (b.pk, a.pk, "left", bob)]
    cast_votes(project, votes)
    return [a, b]


@pytest.fixture
def engineer(client: Client, eve: User) -> Client:
    client.force_login(eve)
    return client


def page(client: Client, project: Project, **query: str) -> str:
    response = client.get(reverse("training:leaderboard", args=[project.pk]), query)
    assert response.status_code == 200
    return str(response.content.decode())


def body(response: Any) -> str:
    return b"".join(response).decode()


@pytest.mark.parametrize(
    ("name", "status"),
    [("alice", 200), ("eve", 200), ("carol", 200), ("bob", 404), ("charlie", 404)],
)
def test_it_is_seen_by_those_whom_it_does_not_make_less_blind(
    client: Client, project: Project, fought: list[Checkpoint], name: str, status: int
) -> None:
    client.force_login(User.objects.get(username=name))
    for page in PAGES:
        url = reverse(f"training:{page}", args=[project.pk])
        assert client.get(url).status_code == status
        assert client.post(url).status_code == 405


def test_it_asks_who_is_there(client: Client, project: Project) -> None:
    for name in [*PAGES, "ask_people"]:
        assert client.get(reverse(f"training:{name}", args=[project.pk])).status_code == 302


@pytest.mark.parametrize("name", ["carol", "bob", "charlie"])
def test_only_those_who_train_ask_people(
    client: Client, project: Project, fought: list[Checkpoint], name: str
) -> None:
    client.force_login(User.objects.get(username=name))
    asked = {"first": fought[0].pk, "second": fought[1].pk}
    response = client.post(reverse("training:ask_people", args=[project.pk]), asked)
    assert response.status_code == 404
    assert not Evaluation.objects.exists()


def test_it_shows_ratings_pictures_and_names_as_text(
    engineer: Client, project: Project, fought: list[Checkpoint]
) -> None:
    text = page(engineer, project, bootstrap="on", more="on", style="on")
    assert "&lt;b&gt;one&lt;/b&gt;" in text
    assert "<b>one</b>" not in text
    assert text.count("<svg") >= 2
    assert "against two: 50% of 3" in text
    assert reverse("training:checkpoint", args=[fought[0].pk]) in text
    assert "PageRank" in text
    assert "What looks are worth" in text
    assert "it is counted here and in no rating" in text


def test_it_leads_reviewers_nowhere_they_may_not_go(
    client: Client, project: Project, fought: list[Checkpoint], carol: User
) -> None:
    client.force_login(carol)
    text = page(client, project)
    assert reverse("training:checkpoint", args=[fought[0].pk]) not in text
    assert "Ask people" not in text
    assert f'href="{reverse("training:leaderboard", args=[project.pk])}"' in text


def test_it_says_what_is_missing(engineer: Client, project: Project, bob: User) -> None:
    assert "It takes two checkpoints" in page(engineer, project)
    a, b = make_players(project, "a", "b")
    without = page(engineer, project)
    assert "No battles yet" in without
    assert "so no run can ask two of them" in without  # each is a base of its own
    cast_votes(project, [(a.pk, b.pk, "both_bad", bob)])
    assert "Every vote says that both answers are bad" in page(engineer, project)
    cast_votes(project, [(a.pk, b.pk, "tie", bob)])
    assert "Every vote is a tie" in page(engineer, project)
    assert "No votes on these prompts" in page(engineer, project, tag="<i>")
    c, d = make_players(project, "c", "d")
    cast_votes(project, [(c.pk, d.pk, "left", bob)] * 5)
    text = page(engineer, project, more="on", anchor="9" * 18)
    assert "2 groups of checkpoints never met" in text
    assert "won everything" in text
    assert "lost everything" in text
    assert "Newman&#x27;s ratings are not defined" in text
    assert "has no vote" in text
    assert "has no vote" not in page(engineer, project, anchor="9" * 5000, tag="\0")


def test_it_says_which_votes_are_marked(
    engineer: Client, project: Project, fought: list[Checkpoint], bob: User
) -> None:
    a, b = (one.pk for one in fought)
    cast_votes(project, [(a, b, "left", bob)], texts=("As an AI by OpenAI", "frog"))
    assert "1 of 4 votes is marked and left out" in page(engineer, project)
    assert "1 of 4 votes is marked and counted" in page(engineer, project, marked="in")


def test_it_gives_the_board_and_the_votes_away_under_pseudonyms(
    engineer: Client, project: Project, bob: User
) -> None:
    a, b = make_players(project, "=one", "two")
    cast_votes(project, [(a.pk, b.pk, "left", bob)], texts=("Qwen here", "frog"))
    cast_votes(project, [(a.pk, b.pk, "left", bob)] * 2)
    board = engineer.get(reverse("training:board_as_csv", args=[project.pk]), {"bootstrap": "on"})
    first, second = csv.DictReader(io.StringIO(body(board)))
    assert (first["checkpoint"], first["battles"], second["losses"]) == ("'=one", "2", "2")
    assert float(first["bootstrap_low"]) <= float(first["bootstrap_high"])
    data = json.loads(engineer.get(reverse("training:board_as_json", args=[project.pk])).content)
    assert [row["checkpoint"] for row in data["board"]] == ["=one", "two"]
    votes = engineer.get(reverse("training:votes_as_csv", args=[project.pk]))
    rows = list(csv.DictReader(io.StringIO(body(votes))))
    assert [row["marks"] for row in rows] == ["identity", "", ""]
    lines = body(engineer.get(reverse("training:votes_as_jsonl", args=[project.pk]))).splitlines()
    assert [json.loads(line)["annotator"] for line in lines] == [f"annotator-{bob.pk}"] * 3
    assert "bob" not in "".join(lines)
    assert "frog" not in "".join(lines)


def test_it_asks_people_about_a_pair(engineer: Client, project: Project) -> None:
    older, newer = make_checkpoint(project), make_checkpoint(project)
    make_prompt_in(project, "test")
    asked = {"first": newer.pk, "second": older.pk}
    assert f'value="{newer.pk}"' in page(engineer, project)
    response = engineer.post(reverse("training:ask_people", args=[project.pk]), asked)
    evaluation = Evaluation.objects.get()
    assert response.url == reverse("training:evaluation", args=[evaluation.pk])
    assert (evaluation.child, evaluation.parent) == (newer, older)


def test_it_holds_a_policy_against_a_server_elsewhere_and_not_the_other_way_round(
    engineer: Client, project: Project, eve: User, settings: Any
) -> None:
    settings.ALLOWED_PRIVATE_ENDPOINTS = ("127.0.0.1",)
    policy = make_checkpoint(project)
    server = services.Server("http://127.0.0.1:9/v1", "llama-9")
    elsewhere = services.add_endpoint(project, "llama", server, key="", created_by=eve).checkpoint
    make_prompt_in(project, "test")
    assert f'value="{elsewhere.pk}"' in page(engineer, project)
    asked = {"first": elsewhere.pk, "second": policy.pk}
    engineer.post(reverse("training:ask_people", args=[project.pk]), asked)
    evaluation = Evaluation.objects.get()
    assert (evaluation.child, evaluation.parent) == (policy, elsewhere)


def test_it_says_why_people_cannot_be_asked(engineer: Client, project: Project) -> None:
    one, two = make_checkpoint(project), make_checkpoint(project)
    url = reverse("training:ask_people", args=[project.pk])
    response = engineer.post(url, {"first": one.pk, "second": two.pk}, follow=True)
    assert "no prompts in the test split" in response.content.decode()
    for wrong in ({}, {"first": "x", "second": two.pk}, {"first": 10**30, "second": two.pk}):
        assert engineer.post(url, wrong).status_code == 404


def test_nobody_waits_while_many_votes_are_read(
    engineer: Client, project: Project, fought: list[Checkpoint], monkeypatch: Any
) -> None:
    cache.clear()
    monkeypatch.setattr("training.selectors.board.SLOW_FROM", 3)
    monkeypatch.setattr(current_app.conf, "broker_url", "memory://")
    text = page(engineer, project, style="on")
    assert "The votes are being read" in text
    assert 'href="?style=on&amp;wait=on"' in text
    address = reverse("training:leaderboard", args=[project.pk])
    assert engineer.get(address, headers={"HX-Request": "true"}).status_code == 204
    assert "against two" in page(engineer, project, style="on", wait="on")
    cache.clear()
    keep_up_boards()
    assert "against two" in page(engineer, project)
    cache.clear()
    monkeypatch.setattr(current_app.conf, "broker_url", "redis+socket:///nowhere/valkey.sock")
    assert "against two" in page(engineer, project), "nobody can be asked, so it is read here"
