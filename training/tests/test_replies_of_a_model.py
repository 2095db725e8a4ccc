"""The service with the real resident process, on the tiny model: killed, misled, and right."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from annotations import services
from annotations.models import Kind, Project, Turn, User
from annotations.tests.factories import make_assignment, make_item, make_prompt, make_replies
from training import replies, tasks
from training.models import Checkpoint, Promotion
from training.pipeline.checkpoints import seal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("forked_children"),
]

State = Turn.State


@pytest.fixture(autouse=True)
def service(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    settings.REPLIES_IDLE_SECONDS = 0.5


@pytest.fixture
def policy(project: Project, tiny_model: Path) -> Checkpoint:
    """The promoted checkpoint: an adapter on the tiny model that is not the identity."""
    import torch

    from training.pipeline.config import SFTConfig
    from training.pipeline.loading import add_policy, load_base

    torch.manual_seed(3)
    model = add_policy(load_base(str(tiny_model)), None, SFTConfig(lora_rank=4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    path = f"projects/{project.pk}/checkpoints/run-1"
    folder = Path(django_settings.ARTIFACTS_ROOT) / path
    model.save_pretrained(folder)
    (folder / "policy").rename(folder / "aside")
    for file in (folder / "aside").iterdir():
        file.rename(folder / file.name)
    seal(folder, {})
    base = Checkpoint.objects.create(
        project=project, name="tiny", kind=Checkpoint.Kind.BASE, path=str(tiny_model)
    )
    checkpoint = Checkpoint.objects.create(
        project=project, name="sft-1", kind=Checkpoint.Kind.POLICY, path=path, parent=base
    )
    Promotion.objects.create(project=project, checkpoint=checkpoint, promoted_by=project.created_by)
    return checkpoint


def make_turn(project: Project, annotator: User, text: str) -> Turn:
    """Return the first turn of a conversation; it waits for replies."""
    item = make_item(project, Kind.CONVERSATION, prompt=make_prompt(project, text))
    return make_assignment(item, annotator).turns.get()


def log() -> str:
    return (replies.service_folder() / "log.txt").read_text()


def in_the_background(act: Callable[[], Any]) -> None:
    def and_close() -> None:
        act()
        connection.close()

    threading.Thread(target=and_close, daemon=True).start()


def test_it_answers_turn_after_turn_whatever_dies_and_whatever_is_broken(
    project: Project, alice: User, bob: User, bea: User, ben: User, policy: Checkpoint
) -> None:
    turn = make_turn(project, bob, "Write a haiku about the moon.")
    begun = make_turn(project, bea, "Write a haiku about the rain and a cat in the winter sea.")
    make_replies(begun.assignment)
    services.pick(begun.assignment, 0, "left", "better")
    second = services.say(begun.assignment, 1, "Another one about the sea.")
    too_long = make_turn(project, ben, "the moon " * 600)
    spoilt = make_turn(make_project_with_a_torn_checkpoint(alice, policy), bea, "Write.")
    child = replies.service_folder() / "child.json"

    def kill() -> None:
        while not (child.exists() and child.read_text() and "ready" in log()):
            time.sleep(0.01)
        os.kill(json.loads(child.read_text())["pid"], signal.SIGKILL)

    in_the_background(kill)
    tasks.answer_turns()
    assert "the child died" in log()
    for waiting in (turn, second):
        waiting.refresh_from_db()
        assert waiting.state == State.ANSWERED, waiting.error
        shown = [waiting.first, waiting.second]
        assert {c.checkpoint_id for c in shown if c} == {policy.pk}
        assert len({c.sampling["seed"] for c in shown if c}) == 2
        assert all(1 <= c.sampling["tokens"] <= replies.MAX_NEW_TOKENS for c in shown if c)
    assert max(turn.attempt, second.attempt) == 2
    assert [m["role"] for m in second.prompt.messages] == ["user", "assistant", "user"]
    too_long.refresh_from_db()
    assert too_long.state == State.FAILED
    assert "too long" in too_long.error
    spoilt.refresh_from_db()
    assert (spoilt.state, spoilt.error) == (State.FAILED, replies.CANNOT_ANSWER)
    assert "adapter_model.safetensors is not what its manifest says" in log()


def make_project_with_a_torn_checkpoint(owner: User, whole: Checkpoint) -> Project:
    """Return a project whose promoted checkpoint is a copy of `whole` with other weights."""
    project = Project.objects.create(name="Torn", created_by=owner)
    root = Path(django_settings.ARTIFACTS_ROOT)
    path = f"projects/{project.pk}/checkpoints/run-2"
    shutil.copytree(root / whole.path, root / path)
    (root / path / "adapter_model.safetensors").write_bytes(b"torn")
    torn = Checkpoint.objects.create(
        project=project, name="torn", kind=whole.kind, path=path, parent=whole.parent
    )
    Promotion.objects.create(project=project, checkpoint=torn, promoted_by=owner)
    return project
