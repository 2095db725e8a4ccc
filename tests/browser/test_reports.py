"""Reporting an answer by keys alone, beside one's own judgement."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from annotations.models import Annotation, Project, Ticket, User
from annotations.tests.factories import make_assignment, make_item

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_report_by_keys_sends_nothing_else(
    page: Page, sign_in: Callable[[User], None], project: Project, bob: User
) -> None:
    assignment = make_assignment(make_item(project), bob)
    sign_in(bob)
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(reverse("annotations:assignment", args=[assignment.pk]))
    panel = page.locator("[data-report]")
    page.keyboard.press("7")
    page.keyboard.press("f")
    expect(panel.get_by_role("radio", name="Answer A")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")  # neither sends the answer nor takes the first reason
    panel.get_by_placeholder("Words first").press("Enter")
    button = panel.get_by_role("button", name="It says what is not true")
    expect(button).to_be_in_viewport()
    assert not Ticket.objects.exists()
    button.press("Enter")
    expect(panel.locator("summary")).to_contain_text("Reported")
    expect(button).to_be_hidden()
    expect(panel.locator("summary")).to_be_focused()
    ticket = Ticket.objects.get()
    assert (ticket.reason, ticket.completion_id) == ("false", assignment.shown_order[1])
    assert not Annotation.objects.exists()
    expect(page.locator("input[name=choice]:checked")).to_have_value("right-slightly")
