"""The arena through HTTP: ask, read two anonymous answers, vote, and see who wrote them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from annotations import exports
from annotations.models import (
    Annotation,
    Battle,
    Comparison,
    Membership,
    Project,
    User,
)
from annotations.services import update_project
from training import selectors, services
from training.models import Arena, Checkpoint, Promotion
from training.services import ServiceError
from training.streaming import Busy, Failed, Unavailable
from training.tests import scripted_door
from training.tests.factories import make_base, make_checkpoint
from training.tests.scripted_door import Door

SCRIPT = {"HX-Request": "true"}
STREAM = {"Accept": "text/event-stream"}
SECRETS = ("granite-1", "basalt-2", "checkpoint")


@pytest.fixture(autouse=True)
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    return scripted_door.install(monkeypatch)


@pytest.fixture
def pair(project: Project) -> list[Checkpoint]:
    """Two policies, whose names no page has by chance."""
    return [make_checkpoint(project, name=name) for name in ("granite-1", "basalt-2")]


@pytest.fixture
def bobs(client: Client, bob: User, project: Project, pair: list[Checkpoint]) -> Client:
    """Bob's browser, where the arena of his project is open to him."""
    services.set_arena(
        project,
        is_open=True,
        daily_limit=50,
        learns_from_arena=False,
        checkpoints=pair,
        changed_by=project.created_by,
    )
    client.force_login(bob)
    return client


def url(name: str, *args: int) -> str:
    return reverse(f"training:{name}", args=args)


def text_of(response: Any) -> str:
    return str(response.content.decode())


def ask(client: Client, project: Project, text: str = "A haiku, please.") -> Battle:
    """Ask as a script does: the answers wait for a reader."""
    response = client.post(url("arena", project.pk), {"text": text}, headers=SCRIPT)
    assert response.status_code == 204, text_of(response)
    return Battle.objects.latest("id")


def read(client: Client, battle: Battle) -> list[tuple[str, Any]]:
    """Read both answers as the page's script does."""
    response: Any = client.post(url("write_battle", battle.pk), headers=STREAM)
    stream = b"".join(response.streaming_content).decode()
    blocks = [block.split("\n") for block in stream.split("\n\n") if block.startswith("event")]
    return [(name[7:], json.loads(data[6:])) for name, data in blocks]


def answered(client: Client, project: Project, text: str = "A haiku, please.") -> Battle:
    battle = ask(client, project, text)
    read(client, battle)
    battle.refresh_from_db()
    return battle


def vote(client: Client, battle: Battle, outcome: str = "left") -> str:
    data = {"outcome": outcome}
    return text_of(client.post(url("vote", battle.pk), data, headers=SCRIPT))


def test_nothing_tells_who_writes_until_the_vote(
    bobs: Client, project: Project, pair: list[Checkpoint]
) -> None:
    battle = ask(bobs, project)
    page = bobs.get(url("battle", battle.pk))
    response: Any = bobs.post(url("write_battle", battle.pk), headers=STREAM)
    stream = b"".join(response.streaming_content).decode()
    after = bobs.get(url("battle", battle.pk))
    for source in (text_of(page), stream, text_of(after), str(after.headers)):
        assert not [secret for secret in SECRETS if secret in source]
    revealed = vote(bobs, battle, "right")
    assert all(name in revealed for name in ("granite-1", "basalt-2"))
    assert Comparison.objects.get().outcome == "right"


def test_both_answers_begin_together_and_are_told_in_step(
    bobs: Client, project: Project, pair: list[Checkpoint], door: Door
) -> None:
    door.texts = {pair[0].pk: "one two three four", pair[1].pk: "I"}
    battle = ask(bobs, project)
    assert door.begun == []
    news = read(bobs, battle)
    assert {one.checkpoint_id for one in door.begun} == {one.pk for one in pair}
    assert news[0] == ("place", {"place": 2, "seconds": 5})
    pieces = [value for name, value in news if name == "pieces"]
    assert all(len(left) == len(right) for left, right in pieces[:-1])
    battle.refresh_from_db()
    assert battle.left is not None
    assert battle.right is not None
    shown = tuple("".join(piece[side] for piece in pieces) for side in range(2))
    assert shown == (battle.left.text, battle.right.text)
    assert news[-1] == ("end", "")
    assert battle.left.checkpoint_id == battle.left_checkpoint_id
    assert battle.left.sampling["seed"] == 7


def test_it_works_without_scripts(bobs: Client, project: Project) -> None:
    response = bobs.post(url("arena", project.pk), {"text": "A haiku"}, follow=True)
    battle = Battle.objects.get()
    assert text_of(response).count("a frog by the pond") == 2
    response = bobs.post(url("vote", battle.pk), {"outcome": "tie"}, follow=True)
    assert "You found neither better." in text_of(response)
    response = bobs.post(url("say_in_battle", battle.pk), {"text": "Shorter."}, follow=True)
    assert "Shorter." in text_of(response)
    assert Battle.objects.count() == 2


def test_a_reload_reads_the_same_answers_again(bobs: Client, project: Project, door: Door) -> None:
    battle = ask(bobs, project)
    reading = services.write_battle(battle)
    next(reading)
    reading.close()
    read(bobs, battle)
    assert len(door.begun) == 2
    battle.refresh_from_db()
    assert battle.state == "answered"
    assert read(bobs, battle) == [("end", "")]


def test_answers_that_nobody_read_for_long_are_written_anew(
    bobs: Client, project: Project, door: Door
) -> None:
    battle = ask(bobs, project)
    late = services.write_battle(battle)
    next(late)
    Battle.objects.update(read_at=Now() - timedelta(seconds=30))
    door.texts = dict.fromkeys((one.checkpoint_id for one in door.begun), "anew")
    read(bobs, battle)
    assert len(door.begun) == 4
    assert {"g1", "g2"} <= set(door.stopped)
    for _ in late:
        pass
    battle.refresh_from_db()
    assert battle.left is not None
    assert battle.left.text.strip() == "anew"


def test_an_answer_that_fails_ends_the_battle_in_words(
    bobs: Client, project: Project, pair: list[Checkpoint], door: Door
) -> None:
    message = "This is longer than the model can read. Shorten it."
    door.ends = {pair[1].pk: Failed(message, is_refusal=True)}
    battle = answered(bobs, project, "Too long")
    assert (battle.state, battle.marks) == ("failed", ["failed"])
    assert set(door.stopped) == {"g1", "g2"}
    page = text_of(bobs.get(url("battle", battle.pk)))
    assert message in page
    assert 'name="outcome"' not in page
    assert message in vote(bobs, battle)
    assert not Annotation.objects.exists()
    again = bobs.get(url("arena", project.pk), {"again": battle.pk})
    assert "Too long</textarea>" in text_of(again)


@pytest.mark.parametrize("refusal", [Busy(9), Unavailable("The broker is away. Try again.")])
def test_a_battle_waits_while_nobody_can_write(
    bobs: Client, project: Project, door: Door, refusal: Exception
) -> None:
    battle = ask(bobs, project)
    door.refusal = refusal
    assert read(bobs, battle) == [("problem", str(refusal))]
    door.refusal = None
    assert read(bobs, battle)[-1] == ("end", "")


def test_a_second_vote_and_one_too_early_change_nothing(bobs: Client, project: Project) -> None:
    battle = ask(bobs, project)
    assert "not there yet" in vote(bobs, battle)
    read(bobs, battle)
    assert "Choose which answer" in vote(bobs, battle, "best")
    assert "You found A better." in vote(bobs, battle, "left")
    assert "You found A better." in vote(bobs, battle, "right")
    assert [one.outcome for one in Comparison.objects.all()] == ["left"]


def test_a_vote_is_taken_back_and_given_again_marked(bobs: Client, project: Project) -> None:
    battle = answered(bobs, project)
    vote(bobs, battle)
    page = text_of(bobs.post(url("take_back_vote", battle.pk), headers=SCRIPT))
    assert "You have seen who wrote these" in page
    assert "granite-1" not in page
    assert "the names were shown" in vote(bobs, battle, "right")
    assert [row["marks"] for row in exports.arena_votes(project.pk)] == [["after_reveal"]]


def test_a_conversation_goes_on_with_another_anonymous_pair(bobs: Client, project: Project) -> None:
    first = answered(bobs, project)
    vote(bobs, first)
    data = {"text": "Shorter."}
    response = bobs.post(url("say_in_battle", first.pk), data, headers=SCRIPT)
    second = Battle.objects.latest("id")
    assert response.headers["HX-Redirect"] == url("battle", second.pk)
    read(bobs, second)
    page = text_of(bobs.get(url("battle", second.pk)))
    assert "A haiku, please." in page
    assert "granite-1" not in page
    refused = bobs.post(url("say_in_battle", second.pk), data, headers=SCRIPT)
    assert refused.status_code == 422
    assert "no answer to go on with" in text_of(refused)


@pytest.mark.parametrize("text", ["", " ", "a\x00b", "x" * 20_001])
@pytest.mark.parametrize("scripted", [True, False])
def test_a_question_that_cannot_be_asked_is_refused_in_words(
    bobs: Client, project: Project, text: str, scripted: bool
) -> None:
    headers = SCRIPT if scripted else {}
    response = bobs.post(url("arena", project.pk), {"text": text}, headers=headers)
    assert response.status_code == 422
    assert "Your question" in text_of(response)
    assert not Battle.objects.exists()


def test_it_takes_two_to_fight(client: Client, bob: User, eve: User, project: Project) -> None:
    make_checkpoint(project, name="alone-1", parent=None)
    Checkpoint.objects.exclude(name="alone-1").delete()
    client.force_login(eve)
    assert "Add a base model" in text_of(client.get(url("arena", project.pk)))
    response = client.post(url("arena", project.pk), {"text": "A haiku"})
    assert "It takes two" in text_of(response)
    assert not Battle.objects.exists()


def test_a_day_has_so_many_questions(bobs: Client, project: Project) -> None:
    Arena.objects.update(daily_limit=1)
    ask(bobs, project)
    response = bobs.post(url("arena", project.pk), {"text": "Again"}, headers=SCRIPT)
    assert response.status_code == 422
    assert "Come back tomorrow" in text_of(response)


def test_a_battle_is_its_voters_alone(
    bobs: Client, project: Project, bea: User, eve: User, charlie: User
) -> None:
    battle = answered(bobs, project)
    for user in (bea, eve, charlie):
        other = Client()
        other.force_login(user)
        assert other.get(url("battle", battle.pk)).status_code == 404
        for name in ("write_battle", "vote", "take_back_vote", "say_in_battle"):
            assert other.post(url(name, battle.pk), {"outcome": "left"}).status_code == 404
    assert not Annotation.objects.exists()


def test_the_arena_is_for_engineers_until_it_is_opened(
    bobs: Client, project: Project, bob: User, eve: User, charlie: User
) -> None:
    Arena.objects.update(is_open=False)
    expected = {bob: 404, charlie: 404, eve: 200}
    for user, status in expected.items():
        bobs.force_login(user)
        assert bobs.get(url("arena", project.pk)).status_code == status
        assert bobs.get(url("arena_settings", project.pk)).status_code == status
    bobs.logout()
    assert bobs.get(url("arena", project.pk)).status_code == 302


@pytest.mark.parametrize("name", ["write_battle", "vote", "take_back_vote", "say_in_battle"])
def test_buttons_are_no_pages(bobs: Client, project: Project, name: str) -> None:
    assert bobs.get(url(name, ask(bobs, project).pk)).status_code == 405


def test_an_engineer_chooses_who_fights(
    client: Client, eve: User, project: Project, pair: list[Checkpoint]
) -> None:
    client.force_login(eve)
    data = {"daily_limit": "7", "checkpoints": [str(one.pk) for one in pair], "is_open": "on"}
    response = client.post(url("arena_settings", project.pk), data)
    assert response.headers["Location"] == url("arena", project.pk)
    arena = Arena.objects.get()
    assert (arena.is_open, arena.daily_limit) == (True, 7)
    assert set(selectors.fighters(project)) == set(pair)
    data |= {"checkpoints": [str(pair[0].pk)]}
    response = client.post(url("arena_settings", project.pk), data)
    assert response.status_code == 422
    assert "It takes two" in text_of(response)
    data |= {"checkpoints": [], "daily_limit": "0", "learns_from_arena": "on"}
    assert client.post(url("arena_settings", project.pk), data).status_code == 422
    assert set(selectors.fighters(project)) == set(pair)


def test_by_default_the_promoted_its_parent_and_the_newest_fight(
    project: Project, alice: User
) -> None:
    base = make_base(project)
    policies = [make_checkpoint(project, name=f"policy-{n}", parent=base) for n in range(8)]
    make_checkpoint(project, name="reward-9", kind="reward", parent=base)
    Promotion.objects.create(
        project=project, checkpoint=policies[0], promoted_by=alice, reason="first"
    )
    assert selectors.fighters(project) == [policies[0], base, *reversed(policies[4:])]


def test_it_refuses_a_checkpoint_that_is_no_policy_or_of_another_project(
    client: Client, eve: User, project: Project, pair: list[Checkpoint]
) -> None:
    reward = make_checkpoint(project, name="reward-9", kind="reward")
    client.force_login(eve)
    data = {"daily_limit": "7", "checkpoints": [str(pair[0].pk), str(reward.pk)]}
    assert client.post(url("arena_settings", project.pk), data).status_code == 422
    assert not Arena.objects.exists()


def test_links_lead_engineers_to_the_checkpoints(
    client: Client, eve: User, project: Project, pair: list[Checkpoint]
) -> None:
    client.force_login(eve)
    battle = answered(client, project)
    page = vote(client, battle)
    assert url("checkpoint", battle.left_checkpoint_id) in page


def test_the_history_leads_to_the_battle(bobs: Client, project: Project) -> None:
    battle = answered(bobs, project)
    vote(bobs, battle)
    history = bobs.get(reverse("annotations:history", args=[project.pk]))
    assert url("battle", battle.pk) in text_of(history)
    assert battle.pk
    battle.refresh_from_db()
    assert battle.assignment is not None
    assert (
        bobs.get(reverse("annotations:assignment", args=[battle.assignment.pk])).status_code == 404
    )
    overview = bobs.get(reverse("annotations:project", args=[project.pk]))
    assert url("arena", project.pk) in text_of(overview)


def test_what_people_write_is_shown_as_text(
    bobs: Client, project: Project, pair: list[Checkpoint], door: Door
) -> None:
    door.texts = {one.pk: f"<b>frog</b> {one.pk}" for one in pair}
    battle = answered(bobs, project, "<script>alert(1)</script>")
    page = text_of(bobs.get(url("battle", battle.pk)))
    assert "<script>alert" not in page
    assert "<b>frog" not in page


def test_a_paused_project_or_member_asks_nothing(bobs: Client, bob: User, project: Project) -> None:
    update_project(project, is_paused=True)
    with pytest.raises(ServiceError, match="paused"):
        services.ask_in_arena(project, bob, "A haiku")
    Membership.objects.filter(user=bob).update(state=Membership.State.PAUSED)
    assert bobs.get(url("arena", project.pk)).status_code == 404
