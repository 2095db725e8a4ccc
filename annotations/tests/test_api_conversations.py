"""Programs let a person converse with the model, by the steps and the rules of the page."""

from __future__ import annotations

from typing import Any

import pytest

from annotations import services
from annotations.models import Annotation, Assignment, ConversationChoice, Project, Turn, User
from annotations.tests.factories import make_assignment, make_item, make_prompt, make_replies
from annotations.tests.test_api import Program, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def labeller(project: Project, bob: User) -> Program:
    return Program(bob, project)


def test_a_person_begins_picks_goes_on_and_ends(labeller: Program, project: Project) -> None:
    begin = f"projects/{project.pk}/conversations"
    problem_of(labeller.post(begin, {"text": "Frogs?"}), 404, "not-found")
    Project.objects.update(own_conversations_allowed=True)
    begun = labeller.post(begin, {"text": "Frogs?"})
    assert (begun.status_code, begun.json()["step"]) == (201, "wait")
    path = f"assignments/{begun.json()['assignment']}/conversation"
    early = labeller.post(f"{path}/pick", {"turn": 0, "choice": "tie"})
    assert "not there yet" in problem_of(early, 409, "not-possible")["detail"]
    talk = Assignment.objects.get(id=begun.json()["assignment"])
    make_replies(talk, "They jump.", "They croak.")
    shown = labeller.get(path)
    assert shown.json()["turns"][0]["replies"] == [
        {"letter": "A", "text": "They jump."},
        {"letter": "B", "text": "They croak."},
    ]
    assert "checkpoint" not in shown.text
    picked = labeller.post(f"{path}/pick", {"turn": 0, "choice": "right-slightly"}).json()
    assert (picked["step"], picked["turn"], picked["can_end"]) == ("say", 1, True)
    for _ in range(2):
        said = labeller.post(f"{path}/say", {"turn": 1, "text": "And toads?"}).json()
    assert (said["step"], [one["message"] for one in said["turns"]]) == (
        "wait",
        ["Frogs?", "And toads?"],
    )
    assert (said["turns"][0]["choice"], said["turns"][0]["continued_with"]) == (
        "right-slightly",
        "B",
    )
    ended = [labeller.post(f"{path}/end", {"active_ms": 900}).json() for _ in range(2)]
    assert ended[0] == ended[1]
    assert Annotation.objects.get().pk == ended[0]["annotation"]
    assert ConversationChoice.objects.get().strength == "slightly"
    talk.refresh_from_db()
    assert 0 < talk.active_ms <= 900  # no more than the time that has passed
    assert labeller.get(path).json()["step"] == "over"


def test_a_pick_is_taken_back_and_a_turn_that_failed_is_asked_again(
    labeller: Program, project: Project, bob: User
) -> None:
    item = make_item(project, "conversation", prompt=make_prompt(project, "Frogs?"))
    talk = make_assignment(item, bob)
    path = f"assignments/{talk.pk}/conversation"
    (claimed,) = services.claim_waiting_turns(1)
    services.fail_turn(claimed.id, claimed.attempt, "The model is away. Ask again.")
    failed = labeller.get(path).json()
    assert (failed["step"], failed["error"]) == ("failed", "The model is away. Ask again.")
    assert labeller.post(f"{path}/ask-again", {"turn": 0}).json()["step"] == "wait"
    make_replies(talk)
    labeller.post(f"{path}/pick", {"turn": 0, "choice": "tie"})
    assert labeller.post(f"{path}/pick-again", {"turn": 0}).json()["step"] == "pick"
    anew = labeller.post(f"{path}/pick", {"turn": 0, "choice": "both_bad"}).json()
    assert (anew["step"], anew["turn"]) == ("wait", 1)
    assert Turn.objects.get(number=0).outcome == "both_bad"


def test_an_answer_to_a_conversation_is_told_the_way(
    labeller: Program, project: Project, bob: User
) -> None:
    talk = make_assignment(make_item(project, "conversation"), bob)
    answer: dict[str, Any] = {"answer": {"kind": "comparison", "choice": "tie"}}
    refused = labeller.post(f"assignments/{talk.pk}/submit", answer)
    assert "turn by turn" in problem_of(refused, 409, "not-possible")["detail"]
    other = make_assignment(make_item(project), bob)
    problem_of(labeller.get(f"assignments/{other.pk}/conversation"), 404, "not-found")
