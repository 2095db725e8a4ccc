"""Real workers that answer conversations, killed and told to stop while they write."""

from __future__ import annotations

import json
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from annotations.models import Kind, Project, Turn, User
from annotations.services.conversations import CLAIM_SECONDS
from annotations.tests.factories import make_assignment, make_item, make_prompt
from tests.faults.machine import STARTED_S, Machine, is_alive, wait_until
from training import tasks
from training.models import Promotion
from training.tests.factories import make_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

State = Turn.State


@pytest.fixture
def turn(project: Project, bob: User) -> Turn:
    """The first turn of Bob's conversation; it waits for the promoted checkpoint."""
    Promotion.objects.create(
        project=project, checkpoint=make_checkpoint(project), promoted_by=project.created_by
    )
    return make_turn(project, bob)


def make_turn(project: Project, annotator: User) -> Turn:
    prompt = make_prompt(project, f"Tell {annotator} of frogs.")
    return make_assignment(
        make_item(project, Kind.CONVERSATION, prompt=prompt), annotator
    ).turns.get()


def fresh(turn: Turn) -> Turn:
    turn.refresh_from_db()
    return turn


def send_hint() -> None:
    tasks._reply_hint_sent_at = float("-inf")
    tasks.hint_replies()


def service_folder(machine: Machine) -> Path:
    (folder,) = (machine.folder / "replies").iterdir()
    return folder


def child_of(machine: Machine) -> int:
    return int(json.loads((service_folder(machine) / "child.json").read_text())["pid"])


@pytest.mark.long
def test_the_dispatcher_finds_a_turn_of_which_no_hint_came(machine: Machine, turn: Turn) -> None:
    machine.start_beat()
    machine.start_worker("sampling")
    wait_until(lambda: fresh(turn).state == State.ANSWERED, STARTED_S)


@pytest.mark.long
def test_a_second_worker_answers_the_turn_of_one_that_was_killed(
    machine: Machine, turn: Turn
) -> None:
    machine.start_beat()
    machine.environment |= {"SCRIPTED_REPLIES": "never ends"}
    first = machine.start_worker("sampling")
    wait_until(lambda: fresh(turn).progress > 0, STARTED_S)
    child = child_of(machine)
    first.kill()
    wait_until(lambda: not is_alive(child), 20)
    machine.environment |= {"SCRIPTED_REPLIES": "answers"}
    machine.start_worker("sampling")
    assert fresh(turn).state == State.WAITING
    run_out = Now() - timedelta(seconds=CLAIM_SECONDS + 1)
    Turn.objects.filter(id=turn.pk).update(claimed_at=run_out)
    wait_until(lambda: fresh(turn).state == State.ANSWERED, STARTED_S)
    assert turn.attempt == 2


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGQUIT, marks=pytest.mark.long)],
    ids=["warm", "soft"],
)
def test_a_worker_that_is_told_to_stop_gives_its_turn_back_at_once(
    machine: Machine, turn: Turn, number: signal.Signals
) -> None:
    machine.environment |= {"SCRIPTED_REPLIES": "never ends"}
    first = machine.start_worker("sampling")
    send_hint()
    wait_until(lambda: fresh(turn).progress > 0, STARTED_S)
    first.send_signal(number)
    wait_until(lambda: fresh(turn).claimed_at is None, 20)
    assert turn.state == State.WAITING
    wait_until(lambda: not is_alive(child_of(machine)), 20)


@pytest.mark.long
def test_two_workers_on_one_device_have_one_model_between_them(
    machine: Machine, turn: Turn, project: Project, bea: User
) -> None:
    machine.start_worker("sampling")
    machine.start_worker("sampling")
    send_hint()
    send_hint()
    wait_until(lambda: fresh(turn).state == State.ANSWERED, STARTED_S)
    second = make_turn(project, bea)
    send_hint()
    wait_until(lambda: fresh(second).state == State.ANSWERED, STARTED_S)
    log = (service_folder(machine) / "log.txt").read_text()
    assert log.count("the service starts") == 1
