"""Programs talk with checkpoints in the chats of the page, and have replies written."""

from __future__ import annotations

import pytest

from annotations.models import Project, User
from annotations.tests.test_api import Program, problem_of
from training.models import ChatMessage
from training.tests.factories import make_checkpoint
from training.tests.scripted_streaming import put_in_place

pytestmark = pytest.mark.django_db


def test_a_program_says_something_and_has_the_replies_written(
    project: Project, eve: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = put_in_place(monkeypatch)
    engineer = Program(eve, project)
    left, reward = make_checkpoint(project), make_checkpoint(project, kind="reward")
    path = f"projects/{project.pk}/chats"
    refused = engineer.post(path, {"text": "A frog?", "left": reward.pk})
    assert "Choose a policy" in problem_of(refused, 409, "not-possible")["detail"]
    begun = engineer.post(path, {"text": "A frog?", "left": left.pk, "seed": 11}).json()
    [turn] = begun["turns"]
    assert (turn["message"], turn["replies"][0]["state"], door.asked) == ("A frog?", "waiting", [])
    messages = f"chats/{begun['id']}/messages"
    early = engineer.post(messages, {"turn": 1, "text": "And a toad?"})
    assert "still being answered" in problem_of(early, 409, "not-possible")["detail"]
    reply = f"replies/{turn['replies'][0]['id']}"
    for _ in range(2):
        written = engineer.ask("PUT", reply).json()
        assert (written["text"], written["state"], written["seed"]) == ("old pond", "done", 11)
    gone_on = engineer.post(messages, {"turn": 1, "text": "And a toad?"}).json()
    second = gone_on["turns"][1]["replies"][0]["id"]
    assert engineer.post(f"replies/{second}/stop").json()["state"] == "stopped"
    assert [one.seed for one in door.asked] == [11]
    assert ChatMessage.objects.get(id=second).sampling == written["sampling"]
    assert engineer.get(path).json()["items"][0]["title"] == "A frog?"
