"""A battle as it is fought: by keyboard alone, from the question to the names and on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from annotations import exports
from annotations.models import Project, User
from training.tests import scripted_door
from training.tests.factories import make_checkpoint

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_battle_is_fought_by_keyboard_alone(
    page: Page,
    project: Project,
    eve: User,
    sign_in: Callable[[User], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripted_door.install(monkeypatch)
    names = ("granite-1", "basalt-2")
    for name in names:
        make_checkpoint(project, name=name, parent=None)
    sign_in(eve)
    page.goto(reverse("training:arena", args=[project.pk]))
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.type("A haiku about a frog, please.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Which answer is better?")).to_be_visible()
    expect(page.get_by_text("a frog by the pond")).to_have_count(2)
    assert not [name for name in names if name in page.content()]
    page.keyboard.press("9")
    expect(page.get_by_role("heading", name="You found B better.")).to_be_visible()
    for name in names:
        expect(page.get_by_role("link", name=name)).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Which answer is better?")).to_be_visible()
    page.keyboard.press("5")
    expect(page.get_by_role("heading", name="You found neither better.")).to_be_visible()
    page.get_by_label("Go on with A").focus()
    page.keyboard.type("Shorter.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Shorter.")).to_be_visible()
    expect(page.get_by_role("heading", name="Which answer is better?")).to_be_visible()
    page.keyboard.press("0")
    expect(page.get_by_role("heading", name="You found both bad.")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Arena", exact=True)).to_be_visible()
    votes = [(row["outcome"], row["marks"]) for row in exports.arena_votes(project.pk)]
    assert votes == [("tie", ["after_reveal"]), ("both_bad", [])]
