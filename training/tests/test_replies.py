"""The service answers turns with real children; whatever dies, no turn is lost."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.db import connection

from annotations.models import Completion, Kind, Project, Turn, User
from annotations.queue import ask_again
from annotations.services import conversations
from annotations.signals import replies_wanted
from annotations.tests.factories import make_assignment, make_item, make_prompt
from training import replies, supervisor, tasks
from training.models import Checkpoint, Promotion
from training.tests import scripted_replies
from training.tests.factories import make_checkpoint

State = Turn.State


@pytest.fixture(autouse=True)
def service(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the service have a folder of its own and leave soon."""
    settings.VAR_DIR = tmp_path
    settings.REPLIES_IDLE_SECONDS = 0.2
    settings.REPLIES_COMMAND = scripted_replies.command("answers")
    monkeypatch.setattr(replies, "POLL_S", 0.05)
    yield
    supervisor.forget_shutdown()


@pytest.fixture
def behave(settings: Any) -> Callable[[str], None]:
    """Return what chooses the child that the service gets."""

    def choose(behaviour: str) -> None:
        settings.REPLIES_COMMAND = scripted_replies.command(behaviour)

    return choose


@pytest.fixture
def policy(project: Project) -> Checkpoint:
    return promote(make_checkpoint(project))


def promote(checkpoint: Checkpoint) -> Checkpoint:
    Promotion.objects.create(
        project=checkpoint.project, checkpoint=checkpoint, promoted_by=checkpoint.project.created_by
    )
    return checkpoint


def make_turn(project: Project, annotator: User, text: str = "Tell me of frogs.") -> Turn:
    """Return the first turn of a conversation; it waits for replies."""
    item = make_item(project, Kind.CONVERSATION, prompt=make_prompt(project, text))
    return make_assignment(item, annotator).turns.get()


def served(*turns: Turn) -> list[str]:
    """Serve until nothing is left to do; return the states of the turns."""
    replies.serve()
    for turn in turns:
        turn.refresh_from_db()
    return [turn.state for turn in turns]


def log() -> str:
    return (replies.service_folder() / "log.txt").read_text()


def child_pid() -> int:
    return int(json.loads((replies.service_folder() / "child.json").read_text())["pid"])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def when(condition: Callable[[], Any], act: Callable[[], Any], seconds: float = 60) -> None:
    """Act from another thread as soon as the condition holds."""

    def wait_and_act() -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                act()
                break
            time.sleep(0.02)
        connection.close()

    threading.Thread(target=wait_and_act, daemon=True).start()


def test_a_turn_gets_two_replies_of_the_promoted_checkpoint(
    project: Project, bob: User, policy: Checkpoint
) -> None:
    turn = make_turn(project, bob)
    assert served(turn) == [State.ANSWERED]
    assert turn.first is not None
    assert turn.second is not None
    shown = [turn.first, turn.second]
    assert {c.text for c in shown} == {"0: Tell me of frogs.", "1: Tell me of frogs."}
    assert {c.checkpoint_id for c in shown} == {policy.pk}
    assert len({c.sampling["seed"] for c in shown}) == 2
    assert (turn.attempt, turn.progress) == (1, 100)
    assert "answered in" in log()
    assert not is_alive(child_pid())


def test_it_answers_with_the_checkpoint_that_is_promoted_now(
    project: Project, bob: User, policy: Checkpoint
) -> None:
    newer = promote(make_checkpoint(project, parent=policy))
    turn = make_turn(project, bob)
    served(turn)
    assert {c.checkpoint_id for c in Completion.objects.all()} == {newer.pk}


def test_it_answers_more_turns_than_fit_at_once(
    project: Project, bob: User, bea: User, ben: User, policy: Checkpoint
) -> None:
    turns = [
        make_turn(project, (bob, bea, ben)[n % 3], f"frog {n}")
        for n in range(replies.MOST_TURNS + 3)
    ]
    assert set(served(*turns)) == {State.ANSWERED}
    assert {turn.attempt for turn in turns} == {1}


def test_before_the_first_promotion_the_base_model_answers(project: Project, bob: User) -> None:
    base = make_checkpoint(project).parent
    assert base is not None
    turn = make_turn(project, bob)
    assert served(turn) == [State.ANSWERED]
    assert {c.checkpoint_id for c in Completion.objects.all()} == {base.pk}


def test_without_any_model_the_labeller_is_told_whom_to_ask(project: Project, bob: User) -> None:
    turn = make_turn(project, bob)
    assert served(turn) == [State.FAILED]
    assert turn.error == replies.NO_CHECKPOINT
    assert not (replies.service_folder() / "child.json").exists()


def test_a_base_model_that_is_gone_fails_the_turn_and_the_log_says_why(
    project: Project, bob: User, policy: Checkpoint
) -> None:
    assert policy.parent is not None
    Path(policy.parent.path, "model.safetensors").unlink()
    turn = make_turn(project, bob)
    assert served(turn) == [State.FAILED]
    assert turn.error == replies.CANNOT_ANSWER
    assert "safetensors" in log()


def test_a_refusal_reaches_the_labeller(
    project: Project, bob: User, policy: Checkpoint, behave: Callable[[str], None]
) -> None:
    behave("refuses")
    turn = make_turn(project, bob)
    assert served(turn) == [State.FAILED]
    assert turn.error == "It is too long. Start a new one."


@pytest.mark.parametrize("behaviour", ["fails", "one reply"])
def test_a_failure_is_told_to_the_engineer_and_names_no_checkpoint_to_the_labeller(
    project: Project, bob: User, policy: Checkpoint, behave: Callable[[str], None], behaviour: str
) -> None:
    behave(behaviour)
    turn = make_turn(project, bob)
    assert served(turn) == [State.FAILED]
    assert turn.error == replies.CANNOT_ANSWER
    if behaviour == "fails":
        assert "KeyError: /secret/path/run-12" in log()


def test_a_turn_that_kills_every_child_is_given_up_and_may_be_asked_again(
    project: Project, bob: User, policy: Checkpoint, behave: Callable[[str], None]
) -> None:
    behave("dies")
    turn = make_turn(project, bob)
    assert served(turn) == [State.FAILED]
    assert turn.error == replies.GAVE_UP
    assert turn.attempt == replies.MAX_TURN_ATTEMPTS
    behave("answers")
    ask_again(Turn.objects.filter(id=turn.pk))
    assert served(turn) == [State.ANSWERED]


def test_a_turn_that_kills_children_takes_no_other_along(
    project: Project,
    bob: User,
    bea: User,
    ben: User,
    policy: Checkpoint,
    behave: Callable[[str], None],
) -> None:
    behave("dies over poison")
    people = [bob, bea, ben]
    poison = make_turn(project, bea, "poison")
    turns = [make_turn(project, people[n % 3], f"frog {n}") for n in range(3)]
    assert served(poison, *turns) == [State.FAILED, *[State.ANSWERED] * 3]
    assert (poison.attempt, {turn.attempt for turn in turns}) == (3, {2})


@pytest.mark.parametrize(("limit", "behaviour"), [("silence", "hangs"), ("turn", "never ends")])
def test_a_child_that_hangs_is_ended(
    project: Project,
    bob: User,
    policy: Checkpoint,
    behave: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    behaviour: str,
) -> None:
    behave(behaviour)
    name = "CHILD_SILENCE_S" if limit == "silence" else "TURN_LIMIT_S"
    monkeypatch.setattr(replies, name, 0.8)
    turn = make_turn(project, bob)
    assert served(turn) == [State.FAILED]
    assert turn.error == replies.GAVE_UP
    assert not is_alive(child_pid())


@pytest.mark.django_db(transaction=True)
def test_it_says_how_far_it_is_and_keeps_its_claim(
    project: Project,
    bob: User,
    policy: Checkpoint,
    behave: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    behave("never ends")
    monkeypatch.setattr(replies, "REPORT_EVERY_S", 0.1)
    turn = make_turn(project, bob)
    seen: list[tuple[int, Any]] = []

    def is_far() -> bool:
        now = Turn.objects.get(id=turn.pk)
        if now.progress:
            seen.append((now.progress, now.claimed_at))
        return len(seen) >= 10

    when(is_far, supervisor.announce_shutdown)
    served(turn)
    assert seen[0][0] < seen[-1][0] <= 90
    assert seen[0][1] < seen[-1][1]


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_shuts_down_gives_its_turns_back_at_once(
    project: Project, bob: User, bea: User, policy: Checkpoint, behave: Callable[[str], None]
) -> None:
    behave("never ends")
    turns = [make_turn(project, bob, "frogs"), make_turn(project, bea, "toads")]
    claimed = Turn.objects.filter(state=State.WAITING, progress__gt=0)
    when(claimed.exists, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert served(*turns) == [State.WAITING] * 2
    assert {turn.claimed_at for turn in turns} == {None}
    assert not is_alive(child_pid())
    supervisor.forget_shutdown()
    behave("answers")
    assert served(*turns) == [State.ANSWERED] * 2
    assert [turn.attempt for turn in turns] == [2, 2]


def test_a_worker_that_shuts_down_claims_no_turn(
    project: Project, bob: User, policy: Checkpoint
) -> None:
    turn = make_turn(project, bob)
    supervisor.announce_shutdown()
    tasks.answer_turns()
    turn.refresh_from_db()
    assert (turn.state, turn.attempt) == (State.WAITING, 0)


@pytest.mark.django_db(transaction=True)
def test_a_turn_that_nobody_waits_for_any_more_is_forgotten(
    project: Project,
    bob: User,
    bea: User,
    policy: Checkpoint,
    behave: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    behave("never ends")
    monkeypatch.setattr(replies, "REPORT_EVERY_S", 0.1)
    turn = make_turn(project, bob)
    mine = Turn.objects.filter(id=turn.pk)
    when(mine.filter(progress__gt=0).exists, lambda: mine.update(state=State.DROPPED))
    assert served(turn) == [State.DROPPED]
    assert "not waited for any more" in log()
    assert not Completion.objects.exists()


def test_a_device_has_one_service(
    project: Project, bob: User, policy: Checkpoint, tmp_path: Path
) -> None:
    turn = make_turn(project, bob)
    folder = replies.service_folder()
    folder.mkdir(parents=True)
    with (folder / "lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        tasks.answer_turns()
        turn.refresh_from_db()
        assert (turn.state, turn.attempt) == (State.WAITING, 0)
    assert served(turn) == [State.ANSWERED]


def test_workers_with_gpus_of_their_own_are_devices_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = replies.service_folder()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert replies.service_folder() != alone
    assert replies.service_folder().parent == alone.parent


@pytest.mark.django_db(transaction=True)
def test_a_turn_that_comes_while_it_is_idle_is_answered(
    project: Project, bob: User, policy: Checkpoint, settings: Any
) -> None:
    settings.REPLIES_IDLE_SECONDS = 3
    turns: list[Turn] = []
    started = time.monotonic()
    when(lambda: time.monotonic() - started > 1, lambda: turns.append(make_turn(project, bob)))
    replies.serve()
    assert Turn.objects.get().state == State.ANSWERED


def test_the_log_does_not_grow_for_ever(
    project: Project, bob: User, policy: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "LONGEST_LOG", 100)
    for number in range(3):
        served(make_turn(project, bob, f"frog {number}"))
    files = {path.name for path in replies.service_folder().glob("log*")}
    assert files == {"log.txt", "log.old.txt"}


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the queues to which hints went; the broker is the network."""
    sent: list[str] = []
    monkeypatch.setattr("annotations.hints.send", lambda task, arguments, queue: sent.append(queue))
    monkeypatch.setattr(tasks, "_reply_hint_sent_at", float("-inf"))
    return sent


def test_a_turn_that_begins_to_wait_sends_one_hint(
    project: Project, bob: User, hints: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        make_turn(project, bob)
    replies_wanted.send(sender=None)
    assert hints == ["sampling"]


def test_the_dispatcher_sends_a_hint_only_while_turns_wait(
    project: Project, bob: User, policy: Checkpoint, hints: list[str]
) -> None:
    tasks.dispatch_waiting_turns()
    assert hints == []
    turn = make_turn(project, bob)
    tasks.dispatch_waiting_turns()
    assert hints == ["sampling"]
    served(turn)
    tasks.dispatch_waiting_turns()
    assert hints == ["sampling"]


def test_a_hint_that_cannot_be_sent_loses_nothing_and_takes_no_time(
    project: Project, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_reply_hint_sent_at", float("-inf"))
    started = time.monotonic()
    tasks.hint_replies()
    assert time.monotonic() - started < 3


def test_the_same_message_again_changes_nothing(
    project: Project, bob: User, policy: Checkpoint
) -> None:
    make_turn(project, bob)
    tasks.answer_turns(something_new=1)
    before = (Turn.objects.values().get(), list(Completion.objects.values()))
    tasks.answer_turns()
    assert (Turn.objects.values().get(), list(Completion.objects.values())) == before


def test_the_claim_outlives_the_pauses_between_signs_of_life() -> None:
    assert conversations.CLAIM_SECONDS > 3 * replies.SIGN_OF_LIFE_S
    limit = current_app.tasks["training.answer_turns"].soft_time_limit
    assert limit > replies.TURN_LIMIT_S
