"""The pages of one's own account, as they are really clicked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from annotations.models import ApiToken, Project, User

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_double_click_makes_one_token_and_shows_it(
    page: Page, sign_in: Callable[[User], None], project: Project, alice: User
) -> None:
    sign_in(alice)
    page.goto(reverse("training:api_tokens"))
    page.get_by_label("What is it for?").fill("importer")
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Make a token").dblclick()
    expect(page.get_by_label("The new token")).to_be_visible()
    assert ApiToken.objects.count() == 1
