"""Whatever people or models write is shown as text: no page runs any of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page

from annotations.models import Project, User
from tests.security.addresses import LETS_IN
from tests.security.test_addresses import OURS, parameters_of
from tests.security.world import World, make_world

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

PEOPLE = {"o": "alice", "a": "bob", "e": "eve"}
"""The owner sees most; what is a labeller's or an engineer's own, these see."""
LEAVES = {"annotations:sign_out"}


def is_shown(page: Page, name: str, world: World) -> bool:
    """Open an address; what is a file to take away is none that a browser shows."""
    try:
        address = reverse(name, kwargs=world.arguments(name, parameters_of(name)))
        page.goto(address, wait_until="domcontentloaded")
    except PlaywrightError as error:
        if "Download is starting" not in str(error) and "ERR_ABORTED" not in str(error):
            raise
        return False
    return True


def test_no_page_runs_what_was_written(
    page: Page, sign_in: Callable[[User], None], project: Project, alice: User, bob: User, eve: User
) -> None:
    world = make_world(project, labeller=bob, owner=alice, engineer=eve)
    ran: list[str] = []
    page.on("dialog", lambda dialog: (ran.append(page.url), dialog.dismiss()))
    seen: list[str] = []
    for letter, username in PEOPLE.items():
        sign_in(User.objects.get(username=username))
        wanted = [name for name in OURS if letter in LETS_IN[name] and name not in LEAVES]
        for name in wanted:
            if name not in seen and is_shown(page, name, world):
                seen.append(name)
    assert not ran
    assert len(seen) > 50
