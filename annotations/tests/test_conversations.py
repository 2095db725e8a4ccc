"""Conversations: what their services keep, and what they refuse."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from django.db.models import F
from django.db.models.functions import Now

from annotations import queue, services
from annotations.models import (
    Annotation,
    Assignment,
    Completion,
    Conversation,
    ConversationChoice,
    Item,
    Kind,
    Project,
    Prompt,
    Turn,
    User,
)
from annotations.services import MAX_TURNS, Reply, ServiceError
from annotations.services.conversations import CLAIM_SECONDS
from annotations.signals import replies_wanted
from annotations.tests.factories import (
    make_assignment,
    make_base,
    make_item,
    make_prompt,
    make_prompt_in,
    make_replies,
    run_out,
)

State = Turn.State


@pytest.fixture
def conversation(project: Project, bob: User) -> Assignment:
    """Bob's, about a frog. It waits for its first replies."""
    prompt = make_prompt(project, "Tell me about frogs.")
    return make_assignment(make_item(project, Kind.CONVERSATION, prompt=prompt), bob)


def go_on(assignment: Assignment, text: str = "And then?") -> Turn:
    """Answer what waits, pick A and say something. Return the turn that waits now."""
    turn = make_replies(assignment, f"A to {text}", f"B to {text}")
    services.pick(assignment, turn.number, "left", "better")
    return services.say(assignment, turn.number + 1, text)


def replies(project: Project, *texts: str) -> list[Reply]:
    checkpoint = make_base(project)
    return [Reply(text, checkpoint, {"seed": n}) for n, text in enumerate(texts)]


# Those who answer


def test_a_turn_is_claimed_once(conversation: Assignment, project: Project) -> None:
    assert services.has_waiting_turns()
    (claimed,) = services.claim_waiting_turns(5)
    assert claimed.messages == [{"role": "user", "content": "Tell me about frogs."}]
    assert (claimed.attempt, claimed.project_id) == (1, project.pk)
    assert services.claim_waiting_turns(5) == []
    assert not services.has_waiting_turns()


def test_those_that_were_asked_first_are_claimed_first(
    project: Project, bob: User, bea: User, ben: User
) -> None:
    turns = [
        make_assignment(make_item(project, Kind.CONVERSATION), user).turns.get()
        for user in (bob, bea, ben)
    ]
    Turn.objects.filter(id=turns[2].pk).update(asked_at=Now() - timedelta(minutes=1))
    claimed = services.claim_waiting_turns(2) + services.claim_waiting_turns(2)
    assert [one.id for one in claimed] == [turns[2].pk, turns[0].pk, turns[1].pk]


def test_it_keeps_two_replies_in_a_random_order(project: Project, conversation: Assignment) -> None:
    (claimed,) = services.claim_waiting_turns(1)
    assert services.report_turn_progress(claimed.id, claimed.attempt, 40)
    assert Turn.objects.get().progress == 40
    both = replies(project, "one", "two")
    assert services.answer_turn(claimed.id, claimed.attempt, both, rng=random.Random(1))
    turn = Turn.objects.get()
    assert turn.state == State.ANSWERED
    assert turn.first
    assert turn.second
    assert turn.answered_at
    assert {turn.first.text, turn.second.text} == {"one", "two"}
    assert {turn.first.prompt, turn.second.prompt} == {conversation.item.prompt}
    assert turn.first.origin == Completion.Origin.CHECKPOINT


def test_the_order_of_the_replies_is_drawn(project: Project, bob: User) -> None:
    shown_first = set()
    for seed in range(10):
        make_assignment(make_item(project, Kind.CONVERSATION), bob)
        (claimed,) = services.claim_waiting_turns(1)
        both = replies(project, "one", "two")
        services.answer_turn(claimed.id, claimed.attempt, both, rng=random.Random(seed))
        first = Turn.objects.get(id=claimed.id).first
        assert first is not None
        shown_first.add(first.text)
    assert shown_first == {"one", "two"}


@pytest.mark.parametrize("texts", [("same", "same"), ("", ""), ("", "<b>two</b>\u202e")])
def test_it_keeps_replies_as_they_are(
    project: Project, conversation: Assignment, texts: tuple[str, str]
) -> None:
    (claimed,) = services.claim_waiting_turns(1)
    assert services.answer_turn(claimed.id, claimed.attempt, replies(project, *texts))
    kept = Completion.objects.filter(prompt=conversation.item.prompt)
    assert sorted(one.text for one in kept) == sorted(texts)


@pytest.mark.parametrize("text", ["a\x00b", "half \ud800", "x" * 20_001])
def test_replies_that_cannot_be_kept_fail_the_turn(
    project: Project, conversation: Assignment, text: str
) -> None:
    (claimed,) = services.claim_waiting_turns(1)
    assert services.answer_turn(claimed.id, claimed.attempt, replies(project, "good", text))
    turn = Turn.objects.get()
    assert turn.state == State.FAILED
    assert "Ask again" in turn.error
    assert not Completion.objects.exists()


def test_a_turn_gets_exactly_two_replies(project: Project, conversation: Assignment) -> None:
    (claimed,) = services.claim_waiting_turns(1)
    with pytest.raises(ValueError, match="2 replies"):
        services.answer_turn(claimed.id, claimed.attempt, replies(project, "one"))
    with pytest.raises(ValueError, match="Say why"):
        services.fail_turn(claimed.id, claimed.attempt, " ")


def test_a_silent_claim_is_taken_over_and_the_first_attempt_can_do_nothing(
    project: Project, conversation: Assignment
) -> None:
    (first,) = services.claim_waiting_turns(1)
    silent = Now() - timedelta(seconds=CLAIM_SECONDS + 1)
    Turn.objects.update(claimed_at=silent)
    assert services.has_waiting_turns()
    (second,) = services.claim_waiting_turns(1)
    assert second.attempt == first.attempt + 1
    both = replies(project, "one", "two")
    assert not services.report_turn_progress(first.id, first.attempt, 50)
    assert not services.answer_turn(first.id, first.attempt, both)
    assert not services.fail_turn(first.id, first.attempt, "Too late.")
    services.release_turn(first.id, first.attempt)
    assert not services.has_waiting_turns()
    assert not Completion.objects.exists()
    assert services.answer_turn(second.id, second.attempt, both)
    assert not services.answer_turn(second.id, second.attempt, both)
    assert Completion.objects.count() == 2


def test_progress_keeps_a_claim_alive(conversation: Assignment) -> None:
    (claimed,) = services.claim_waiting_turns(1)
    Turn.objects.update(claimed_at=Now() - timedelta(seconds=CLAIM_SECONDS + 1))
    assert services.report_turn_progress(claimed.id, claimed.attempt, 250)
    assert not services.has_waiting_turns()
    assert Turn.objects.get().progress == 100


def test_a_released_turn_can_be_claimed_at_once(conversation: Assignment) -> None:
    (claimed,) = services.claim_waiting_turns(1)
    services.release_turn(claimed.id, claimed.attempt)
    assert not services.report_turn_progress(claimed.id, claimed.attempt, 1)
    assert [one.attempt for one in services.claim_waiting_turns(1)] == [2]


def test_nothing_can_be_done_to_a_turn_that_is_not_there(project: Project) -> None:
    assert not services.report_turn_progress(17, 1, 5)
    assert not services.answer_turn(17, 1, replies(project, "one", "two"))
    assert not services.fail_turn(17, 1, "Gone.")
    services.release_turn(17, 1)


def test_a_failed_turn_says_why_and_can_be_asked_again(conversation: Assignment) -> None:
    (claimed,) = services.claim_waiting_turns(1)
    assert services.fail_turn(claimed.id, claimed.attempt, "No checkpoint. Ask an engineer.")
    assert Turn.objects.get().error == "No checkpoint. Ask an engineer."
    services.ask_again(conversation, 0)
    services.ask_again(conversation, 0)
    turn = Turn.objects.get()
    assert (turn.state, turn.error, turn.progress) == (State.WAITING, "", 0)
    assert not services.fail_turn(claimed.id, claimed.attempt, "Late.")
    assert [one.attempt for one in services.claim_waiting_turns(1)] == [2]


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Do all of these at the same moment. Return what they returned."""
    barrier = threading.Barrier(len(acts))

    def act(this: Callable[[], Any]) -> Any:
        try:
            barrier.wait(timeout=60)
            return this()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(act, acts))


@pytest.mark.django_db(transaction=True)
def test_those_who_answer_at_once_claim_no_turn_twice(
    project: Project, bob: User, bea: User, ben: User
) -> None:
    for user in (bob, bea, ben):
        for _ in range(3):
            make_assignment(make_item(project, Kind.CONVERSATION), user)
    found = at_once(*[lambda: services.claim_waiting_turns(9) for _ in range(4)])
    claimed = [turn.id for turns in found for turn in turns]
    assert sorted(claimed) == sorted(Turn.objects.values_list("id", flat=True))


@pytest.mark.django_db(transaction=True)
def test_replies_that_come_as_it_ends_are_kept_whole_or_not_at_all(
    project: Project, bob: User
) -> None:
    for number in range(5):
        assignment = make_assignment(make_item(project, Kind.CONVERSATION), bob)
        waiting = go_on(assignment, f"Message {number}")
        (claimed,) = services.claim_waiting_turns(1)
        both = replies(project, "late one", "late two")
        answered, _ = at_once(
            partial(services.answer_turn, claimed.id, claimed.attempt, both),
            partial(services.submit_conversation, assignment),
        )
        waiting.refresh_from_db()
        assert waiting.state == (State.ANSWERED if answered else State.DROPPED)
        assert waiting.prompt.completions.count() == (2 if answered else 0)


@pytest.mark.django_db(transaction=True)
def test_a_message_that_is_sent_twice_at_once_is_asked_once(project: Project, bob: User) -> None:
    assignment = make_assignment(make_item(project, Kind.CONVERSATION), bob)
    make_replies(assignment)
    services.pick(assignment, 0, "tie")
    turns = at_once(*[lambda: services.say(assignment, 1, "And then?") for _ in range(4)])
    assert len({turn.pk for turn in turns}) == 1
    assert assignment.turns.count() == 2


@pytest.mark.django_db(transaction=True)
def test_it_hints_that_replies_are_wanted(project: Project, bob: User) -> None:
    hints: list[Any] = []

    def hear(sender: object, **kwargs: object) -> None:
        hints.append(sender)
        raise RuntimeError("no broker")

    replies_wanted.connect(hear)
    try:
        make_item(project, Kind.CONVERSATION)
        assignment = queue.lease_next(bob, project, Kind.CONVERSATION)
    finally:
        replies_wanted.disconnect(hear)
    assert assignment is not None
    assert hints == [Turn]
    assert assignment.turns.get().state == State.WAITING


# Labellers


def test_a_handed_out_conversation_waits_for_replies_to_its_prompt(
    project: Project, bob: User
) -> None:
    item = make_item(project, Kind.CONVERSATION)
    assignment = queue.lease_next(bob, project)
    assert assignment is not None
    assert assignment.item == item
    turn = assignment.turns.get()
    assert (turn.number, turn.prompt, turn.state) == (0, item.prompt, State.WAITING)


def test_a_conversation_goes_on_with_what_was_picked(conversation: Assignment) -> None:
    turn = make_replies(conversation, "They jump.", "They croak.")
    services.pick(conversation, 0, "right", "slightly")
    turn = services.say(conversation, 1, "  Where?\r\nIn ponds? ")
    assert turn.prompt.messages == [
        {"role": "user", "content": "Tell me about frogs."},
        {"role": "assistant", "content": "They croak."},
        {"role": "user", "content": "Where?\nIn ponds?"},
    ]
    assert (turn.prompt.origin, turn.prompt.created_by) == ("annotator", conversation.annotator)
    assert turn.prompt.text == "Where?\nIn ponds?"
    (claimed,) = services.claim_waiting_turns(1)
    assert claimed.messages == turn.prompt.messages


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_what_is_said_later_stays_in_the_split_of_the_beginning(
    project: Project, bob: User, split: str
) -> None:
    item = make_item(project, Kind.CONVERSATION, prompt=make_prompt_in(project, split))
    assignment = make_assignment(item, bob)
    turns = [go_on(assignment, f"Message {number}") for number in range(5)]
    assert {turn.prompt.split for turn in turns} == {split}


def test_the_same_conversation_twice_has_the_same_prompts(
    project: Project, bob: User, bea: User
) -> None:
    item = make_item(project, Kind.CONVERSATION, overlap=2)
    turns = [go_on(make_assignment(item, user), "And then?") for user in (bob, bea)]
    assert turns[0].prompt == turns[1].prompt
    assert Prompt.objects.count() == 2


def test_after_a_tie_it_goes_on_with_what_was_shown_first(conversation: Assignment) -> None:
    make_replies(conversation, "one", "two")
    turn = services.pick(conversation, 0, "tie")
    assert turn.continued_with == turn.first


def test_both_bad_asks_for_two_new_replies_to_the_same(conversation: Assignment) -> None:
    make_replies(conversation, "bad", "worse")
    services.pick(conversation, 0, "both_bad")
    services.pick(conversation, 0, "both_bad")
    first, second = conversation.turns.all()
    assert first.continued_with is None
    assert (second.number, second.prompt, second.state) == (1, first.prompt, State.WAITING)


def test_saying_the_same_twice_asks_once(conversation: Assignment) -> None:
    turn = go_on(conversation, "Where?")
    assert services.say(conversation, 1, "Where?") == turn
    with pytest.raises(ServiceError, match="gone on elsewhere"):
        services.say(conversation, 1, "Why?")
    with pytest.raises(ServiceError, match="gone on elsewhere"):
        services.say(conversation, 0, "Why?")
    assert conversation.turns.count() == 2


def test_it_refuses_to_go_on_before_a_reply_is_picked(conversation: Assignment) -> None:
    with pytest.raises(ServiceError, match="Pick one"):
        services.say(conversation, 1, "Where?")
    make_replies(conversation)
    with pytest.raises(ServiceError, match="Pick one"):
        services.say(conversation, 1, "Where?")
    services.pick(conversation, 0, "tie")
    with pytest.raises(ServiceError, match="Pick one"):
        services.say(conversation, 2, "Where?")


@pytest.mark.parametrize("text", ["", " \n\t", "x" * 5_000_000, "a\x00b", "half \ud800"])
def test_it_refuses_what_is_no_message(
    project: Project, conversation: Assignment, bob: User, text: str
) -> None:
    make_replies(conversation)
    services.pick(conversation, 0, "tie")
    with pytest.raises(ServiceError, match="message"):
        services.say(conversation, 1, text)
    services.skip(conversation, Assignment.SkipReason.OTHER)
    project.own_conversations_allowed = True
    with pytest.raises(ServiceError, match="message"):
        services.start_conversation(project, bob, text)
    assert Turn.objects.count() == 1


@pytest.mark.parametrize(
    ("outcome", "strength"), [("", ""), ("best", ""), ("left", ""), ("tie", "better")]
)
def test_it_refuses_what_is_no_pick(conversation: Assignment, outcome: str, strength: str) -> None:
    make_replies(conversation)
    with pytest.raises(ServiceError, match="Choose"):
        services.pick(conversation, 0, outcome, strength)
    assert not Turn.objects.exclude(outcome="").exists()


def test_it_refuses_to_pick_what_is_not_there(conversation: Assignment) -> None:
    with pytest.raises(ServiceError, match="not there yet"):
        services.pick(conversation, 0, "tie")
    with pytest.raises(ServiceError, match="no such turn"):
        services.pick(conversation, 1, "tie")


def test_it_refuses_to_change_an_older_pick(conversation: Assignment) -> None:
    go_on(conversation)
    with pytest.raises(ServiceError, match="picked here before"):
        services.pick(conversation, 0, "right", "better")
    with pytest.raises(ServiceError, match="has gone on"):
        services.pick_again(conversation, 0)
    assert conversation.turns.get(number=0).outcome == "left"


def test_the_last_pick_can_be_taken_back_while_nothing_was_said(conversation: Assignment) -> None:
    make_replies(conversation)
    services.pick(conversation, 0, "left", "better")
    services.pick_again(conversation, 0)
    services.pick_again(conversation, 0)
    turn = services.pick(conversation, 0, "right", "slightly")
    assert (turn.outcome, turn.strength, turn.continued_with) == ("right", "slightly", turn.second)


def test_of_two_equal_replies_none_is_better(conversation: Assignment) -> None:
    make_replies(conversation, "same", "same\n")
    with pytest.raises(ServiceError, match="say the same"):
        services.pick(conversation, 0, "left", "better")
    assert services.pick(conversation, 0, "tie").outcome == "tie"


def test_a_conversation_ends_after_so_many_turns(conversation: Assignment) -> None:
    for number in range(MAX_TURNS - 1):
        go_on(conversation, f"Message {number}")
    make_replies(conversation)
    last = services.pick(conversation, MAX_TURNS - 1, "both_bad")
    assert last.number == MAX_TURNS - 1
    assert not services.has_waiting_turns()
    services.pick_again(conversation, last.number)
    services.pick(conversation, last.number, "tie")
    with pytest.raises(ServiceError, match=f"{MAX_TURNS} turns at most"):
        services.say(conversation, MAX_TURNS, "More!")


# The end of a conversation, and what follows


def test_it_keeps_every_pick(conversation: Assignment) -> None:
    make_replies(conversation, "one", "two")
    services.pick(conversation, 0, "both_bad")
    make_replies(conversation, "three", "four")
    services.pick(conversation, 1, "right", "better")
    services.say(conversation, 2, "Where?")
    annotation = services.submit_conversation(conversation)
    assert services.submit_conversation(conversation) == annotation
    choices = list(annotation.conversation.choices.select_related("left", "right", "prompt"))
    said = [(one.left.text, one.right.text, one.outcome, one.strength) for one in choices]
    assert said == [("one", "two", "both_bad", ""), ("three", "four", "right", "better")]
    assert {one.prompt for one in choices} == {conversation.item.prompt}
    assert [one.position for one in choices] == [0, 1]
    conversation.refresh_from_db()
    assert conversation.state == Assignment.State.SUBMITTED
    assert conversation.turns.get(number=2).state == State.DROPPED


def test_it_refuses_to_end_what_nothing_was_picked_in(conversation: Assignment) -> None:
    with pytest.raises(ServiceError, match="Nothing was picked"):
        services.submit_conversation(conversation)
    make_replies(conversation)
    with pytest.raises(ServiceError, match="Nothing was picked"):
        services.submit_conversation(conversation)
    assert not Annotation.objects.exists()


def test_it_refuses_to_correct_a_conversation(conversation: Assignment) -> None:
    make_replies(conversation)
    services.pick(conversation, 0, "tie")
    annotation = services.submit_conversation(conversation)
    with pytest.raises(ServiceError, match="not changed any more"):
        services.submit_conversation(conversation, correcting=annotation.pk)
    assert Annotation.objects.count() == 1


def test_nobody_waits_any_more_when_it_has_ended(conversation: Assignment) -> None:
    go_on(conversation)
    (claimed,) = services.claim_waiting_turns(1)
    services.submit_conversation(conversation)
    assert not services.report_turn_progress(claimed.id, claimed.attempt, 50)
    assert not services.has_waiting_turns()
    for late in (
        lambda: services.say(conversation, 2, "More"),
        lambda: services.pick(conversation, 1, "tie"),
        lambda: services.pick_again(conversation, 0),
        lambda: services.ask_again(conversation, 1),
    ):
        with pytest.raises(ServiceError, match="has ended"):
            late()


def test_undo_brings_back_the_turns_and_what_was_not_sent(conversation: Assignment) -> None:
    make_replies(conversation)
    services.pick(conversation, 0, "tie")
    first = services.submit_conversation(conversation, unsent="And the\r\npond?")
    services.undo(conversation)
    assert conversation.draft == {"turn": ["1"], "text": ["And the\npond?"]}
    assert conversation.state == Assignment.State.LEASED
    services.say(conversation, 1, "And the pond?")
    make_replies(conversation)
    services.pick(conversation, 1, "left", "better")
    second = services.submit_conversation(conversation)
    assert second.supersedes == first
    assert first.conversation.choices.count() == 1
    assert second.conversation.choices.count() == 2


@pytest.mark.parametrize("end", ["submit", "skip"])
def test_undo_asks_again_for_the_replies_that_were_waited_for(
    conversation: Assignment, end: str
) -> None:
    go_on(conversation)
    (claimed,) = services.claim_waiting_turns(1)
    if end == "submit":
        services.submit_conversation(conversation)
    else:
        services.skip(conversation, Assignment.SkipReason.OTHER)
    assert not services.has_waiting_turns()
    services.undo(conversation)
    (again,) = services.claim_waiting_turns(1)
    assert (again.id, again.attempt) == (claimed.id, claimed.attempt + 1)
    assert not services.report_turn_progress(claimed.id, claimed.attempt, 50)


def test_a_skipped_conversation_that_comes_back_goes_on(project: Project, bob: User) -> None:
    project.skip_policy = Project.SkipPolicy.LATER
    project.save()
    make_item(project, Kind.CONVERSATION)
    assignment = queue.lease_next(bob, project)
    assert assignment is not None
    services.skip(assignment, Assignment.SkipReason.UNSURE)
    assert queue.lease_next(bob, project) == assignment
    assert assignment.turns.get().state == State.WAITING


def test_a_lease_does_not_run_out_while_replies_are_waited_for(
    project: Project, conversation: Assignment
) -> None:
    run_out(conversation)
    assert queue.release_expired() == 0
    make_replies(conversation)
    conversation.refresh_from_db()
    assert queue.release_expired() == 0  # it began anew with the replies
    run_out(conversation)
    assert queue.release_expired() == 1


def test_what_was_taken_away_while_waiting_is_kept(
    project: Project, bob: User, bea: User, conversation: Assignment
) -> None:
    queue.release_leases_of(bob, project)
    other = queue.lease_next(bea, project)
    assert other is not None
    assert other.item == conversation.item
    make_replies(conversation, "one", "two")
    services.pick(conversation, 0, "tie")
    conversation.refresh_from_db()
    assert conversation.state == Assignment.State.EXPIRED
    assert services.submit_conversation(conversation).surplus


def test_going_on_takes_a_lease_that_ran_out_again(
    project: Project, bob: User, conversation: Assignment
) -> None:
    queue.release_leases_of(bob, project)
    make_replies(conversation)
    services.pick(conversation, 0, "tie")
    conversation.refresh_from_db()
    assert conversation.state == Assignment.State.LEASED
    assert conversation.item.open_slots == Item.objects.get().open_slots == 0
    assert not services.submit_conversation(conversation).surplus


def test_it_refuses_another_kind_of_answer(project: Project, bob: User) -> None:
    assignment = make_assignment(make_item(project), bob)
    for wrong in (
        lambda: services.submit_conversation(assignment),
        lambda: services.say(assignment, 0, "Hello"),
        lambda: services.pick(assignment, 0, "tie"),
    ):
        with pytest.raises(ServiceError, match="asks for a comparison"):
            wrong()


# Where conversations come from


def test_a_labeller_begins_a_conversation_of_their_own(project: Project, bob: User) -> None:
    project.own_conversations_allowed = True
    assignment = services.start_conversation(project, bob, " Hello? ")
    turn = assignment.turns.get()
    assert turn.prompt == assignment.item.prompt
    assert turn.prompt.messages == [{"role": "user", "content": "Hello?"}]
    assert (turn.prompt.origin, turn.prompt.created_by) == ("annotator", bob)
    assert Item.objects.get().open_slots == 0
    with pytest.raises(ServiceError, match="in a conversation already"):
        services.start_conversation(project, bob, "Hello again?")
    make_replies(assignment)
    services.pick(assignment, 0, "tie")
    services.submit_conversation(assignment)
    again = services.start_conversation(project, bob, "Hello?")
    assert again.item.prompt == assignment.item.prompt


@pytest.mark.parametrize("why", ["not allowed", "paused", "limit"])
def test_nobody_begins_a_conversation_where_none_is_wanted(
    project: Project, bob: User, why: str
) -> None:
    project.own_conversations_allowed = why != "not allowed"
    project.is_paused = why == "paused"
    project.daily_limit = 1 if why == "limit" else None
    project.save()
    if why == "limit":
        make_assignment(make_item(project), bob)
    with pytest.raises(ServiceError, match="conversation"):
        services.start_conversation(project, bob, "Hello?")
    assert not Item.objects.filter(kind=Kind.CONVERSATION).exists()


def test_an_owner_queues_conversations_about_prompts(
    project: Project, bob: User, bea: User
) -> None:
    prompts = [make_prompt(project, f"Prompt {number}") for number in range(3)]
    assert services.add_conversations(project, prompts[:2], overlap=2) == 2
    assert services.add_conversations(project, prompts, overlap=2) == 1
    handed = [queue.lease_next(user, project) for user in (bob, bea)]
    assert [one and one.item.prompt for one in handed] == [prompts[0], prompts[0]]
    with pytest.raises(ServiceError, match="overlap"):
        services.add_conversations(project, prompts, overlap=0)


# What the database refuses


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "gone"},
        {"state": State.ANSWERED},
        {"state": State.FAILED},
        {"outcome": "tie"},
        {"progress": 101},
        {"strength": "better"},
    ],
)
def test_the_database_refuses_what_is_no_turn(
    conversation: Assignment, changes: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Turn.objects.update(**changes)


def test_the_database_refuses_the_same_turn_twice(conversation: Assignment) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        queue.ask_for_replies(conversation.pk, 0, conversation.item.prompt_id)


@pytest.mark.parametrize("changes", [{"left": F("right")}, {"outcome": "best"}, {"outcome": "tie"}])
def test_the_database_refuses_what_is_no_choice(
    conversation: Assignment, changes: dict[str, Any]
) -> None:
    make_replies(conversation)
    services.pick(conversation, 0, "left", "better")
    services.submit_conversation(conversation)
    assert Conversation.objects.count() == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        ConversationChoice.objects.update(**changes)
