"""What is begun in one form of a page outlives that another one is sent, or refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from annotations.models import Project, User

pytestmark = pytest.mark.django_db(transaction=True)

TOLD = "You began this earlier"


def test_what_was_begun_in_another_form_is_still_there(
    page: Page, sign_in: Callable[[User], None], project: Project, alice: User, bob: User
) -> None:
    sign_in(alice)
    page.goto(reverse("annotations:person", args=[project.pk, bob.pk]))
    note, reason = page.locator("#id_text"), page.get_by_label("Why", exact=True)
    note.fill("The second case\nis a tie.")
    reason.fill(" ")
    decision = page.get_by_label("What holds")
    decision.select_option("withdrawn")
    page.get_by_role("button", name="Decide").click()  # refused: no reason
    expect(page.get_by_role("main")).to_contain_text("Say why")
    expect(note).to_have_value("The second case\nis a tie.")
    reason.fill("He showed me.")
    page.get_by_role("button", name="Hold out of training").click()
    expect(page.get_by_role("main")).to_contain_text("Held out")
    expect(note).to_have_value("The second case\nis a tie.")
    expect(reason).to_have_value("He showed me.")
    expect(decision).to_have_value("withdrawn")
    expect(page.get_by_text(TOLD)).to_have_count(2)
    page.get_by_role("button", name="Discard it").first.click()
    expect(reason).to_have_value("")
    page.get_by_role("button", name="Write the note").click()
    expect(page.locator("#notes + .list")).to_contain_text("is a tie.")
    expect(note).to_have_value("")
    expect(page.get_by_text(TOLD)).to_have_count(0)


def test_a_form_that_met_a_closed_door_is_there_on_the_way_back_and_gone_after_signing_out(
    page: Page, sign_in: Callable[[User], None], project: Project, alice: User, bob: User
) -> None:
    sign_in(alice)
    page.goto(reverse("annotations:person", args=[project.pk, bob.pk]))
    note = page.locator("#id_text")
    note.fill("Begun")
    page.evaluate("document.querySelector('#notes ~ form [name=csrfmiddlewaretoken]').value = 'x'")
    page.get_by_role("button", name="Write the note").click()
    expect(page.get_by_role("heading")).to_have_text("This page was open for too long")
    page.go_back()
    expect(note).to_have_value("Begun")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert "Begun" not in page.evaluate("JSON.stringify(sessionStorage)")
