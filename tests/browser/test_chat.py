"""A chat in a real browser: replies come in while one looks on, and the keyboard is enough."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page

from annotations.models import Project, User
from training.models import ChatMessage
from training.streaming import Done, Token, Waiting
from training.tests.factories import make_checkpoint
from training.tests.scripted_streaming import USAGE, ScriptedDoor, put_in_place

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> ScriptedDoor:
    return put_in_place(monkeypatch)


def test_a_reply_streams_in_and_esc_stops_it(
    page: Page,
    project: Project,
    door: ScriptedDoor,
    sign_in: Callable[[User], None],
    eve: User,
) -> None:
    policy = make_checkpoint(project, name="sft-1")
    goes_on = threading.Event()
    door.stop = lambda _: goes_on.set()  # type: ignore[method-assign]  # the script waits for it
    door.script = [
        Waiting(1, 2),
        Token("An old "),
        lambda: goes_on.wait(10),
        Token("pond"),
        Done("stop", USAGE, 7),
    ]
    sign_in(eve)
    page.goto(reverse("training:new_chat", args=[project.pk]))
    page.get_by_label("Checkpoint").select_option(str(policy.pk))
    field = page.get_by_label("Your message")
    field.fill("A frog")
    field.press("Shift+Enter")
    field.type("and a pond")
    field.press("Enter")
    reply = page.get_by_role("article", name="Reply of sft-1")
    reply.get_by_text("An old").wait_for()
    page.keyboard.press("Escape")
    reply.get_by_text("stopped").wait_for()
    assert "An old pond" in reply.inner_text()
    announced = page.locator("#announcement", has_text="sft-1: An old pond")
    announced.wait_for(state="attached")

    door.script = [Token("A toad"), Done("stop", USAGE, 7)]
    field = page.get_by_label("Your message")
    field.fill("And then?")
    field.press("Enter")
    page.get_by_text("A toad").first.wait_for()
    page.get_by_text("2 tokens").nth(1).wait_for()
    assert field.input_value() == ""
    assert page.evaluate("document.activeElement.id") == "text"
    assert ChatMessage.objects.filter(state="done", text="A toad").exists()
