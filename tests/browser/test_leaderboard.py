"""The leaderboard in a real browser: it comes by itself once its votes were read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from django.core.cache import cache
from django.urls import reverse
from playwright.sync_api import Page

from annotations.models import Project, User
from training.selectors.board_upkeep import keep_up_boards
from training.tests.battles import cast_votes, make_players

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]


def test_the_board_comes_by_itself_once_its_votes_were_read(
    page: Page,
    sign_in: Callable[[User], None],
    project: Project,
    eve: User,
    bob: User,
    monkeypatch: Any,
) -> None:
    one, two = make_players(project, "one", "two")
    cast_votes(project, [(one.pk, two.pk, "left", bob)] * 3)
    cache.clear()
    monkeypatch.setattr("training.selectors.board.SLOW_FROM", 3)
    monkeypatch.setattr(current_app.conf, "broker_url", "memory://")
    sign_in(eve)
    page.goto(reverse("training:leaderboard", args=[project.pk]) + "?style=on")
    page.get_by_role("heading", name="The votes are being read").wait_for()
    here = page.get_by_role("link", name="reckon it here")
    here.focus()
    with page.expect_response(lambda answer: answer.status == 204):
        pass  # it asks, and keeps what is there
    assert here.evaluate("link => link === document.activeElement")
    keep_up_boards()
    page.locator("svg.chart, svg.interval-plot").first.wait_for()
    assert page.get_by_role("heading", name="Leaderboard").count() == 1
    assert page.url.endswith("?style=on")
