"""Ranking on a phone: a finger drags by the handle, and scrolls the page everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Locator, Page, expect

from annotations.models import Annotation, Item, Kind, Project, User
from annotations.tests.factories import make_item
from tests.browser.test_workbench import nothing_is_left, tiers_by_place
from tests.browser.work import open_item

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[User], None]
WIDTH, HEIGHT = 390, 740


@pytest.fixture
def context(browser: Browser, live_server: Any) -> Iterator[BrowserContext]:
    """Open the window of a phone."""
    context = browser.new_context(
        base_url=live_server.url,
        viewport={"width": WIDTH, "height": HEIGHT},
        has_touch=True,
        is_mobile=True,
    )
    context.set_default_timeout(10_000)
    yield context
    context.close()


class Finger:
    """One finger on the glass, moved as a touch screen reports it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.device: CDPSession = page.context.new_cdp_session(page)
        self.x = self.y = 0.0

    def _tell(self, kind: str) -> None:
        points = [] if kind == "touchEnd" else [{"x": self.x, "y": self.y}]
        self.device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def down(self, x: float, y: float) -> None:
        self.x, self.y = x, y
        self._tell("touchStart")

    def move(self, x: float, y: float, steps: int = 5) -> None:
        start_x, start_y = self.x, self.y
        for step in range(1, steps + 1):
            self.x = start_x + (x - start_x) * step / steps
            self.y = start_y + (y - start_y) * step / steps
            self._tell("touchMove")

    def up(self) -> None:
        self._tell("touchEnd")

    def drag(self, handle: Locator, target: Locator) -> None:
        """Drag something to where something else is, holding it at the edge until that comes."""
        handle.scroll_into_view_if_needed()
        box = box_of(handle)
        self.down(box["x"] + 12, box["y"] + box["height"] / 2)
        self.move(WIDTH / 2, HEIGHT / 2)
        self.move(WIDTH / 2, HEIGHT - 8 if middle_of(target) > HEIGHT / 2 else 8)
        expect(target).to_be_in_viewport(ratio=1, timeout=5000)
        for _ in range(100):
            if 60 < middle_of(target) < HEIGHT - 60:
                break
            self.page.wait_for_timeout(20)
        self.move(WIDTH / 2, middle_of(target))
        self.up()


def make_long_ranking(project: Project) -> Item:
    """Return texts that fill a phone's screen each, so that the board lies far below."""
    texts = [f"{name} line\n" * 18 for name in ("first", "second", "third", "fourth")]
    return make_item(project, Kind.RANKING, texts=texts)


def box_of(element: Locator) -> Any:
    box = element.bounding_box()
    assert box is not None
    return box


def middle_of(element: Locator) -> float:
    box = box_of(element)
    return float(box["y"] + box["height"] / 2)


def scrolled(page: Page) -> float:
    return float(page.evaluate("scrollY"))


def test_a_finger_and_keys_give_the_same_ranking(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    by_keys = open_item(page, make_long_ranking(project), bob)
    page.keyboard.type("24t13")
    page.keyboard.press("Enter")
    expect(nothing_is_left(page)).to_be_visible()

    by_finger = open_item(page, make_long_ranking(project), bob)
    finger = Finger(page)
    order = page.locator("[data-order]")
    cards, tiers = page.locator("[data-place] [data-drag]"), page.locator(".tier")
    finger.drag(cards.nth(1), tiers.nth(0))
    expect(order).to_have_text("B  ·  to place: A, C, D")
    finger.drag(cards.nth(2), tiers.nth(1))
    finger.drag(cards.nth(3), tiers.nth(0))
    expect(order).to_have_text("B = D  >  C  ·  to place: A")
    finger.drag(cards.nth(0), tiers.nth(2))
    finger.drag(tiers.nth(1).locator(".chip"), tiers.nth(3))
    expect(order).to_have_text("B = D  >  A  >  C")
    page.wait_for_timeout(500)  # a tap within milliseconds of the last touch is none to Chromium
    page.get_by_role("button", name="Send").tap()
    expect(nothing_is_left(page)).to_be_visible()
    assert Annotation.objects.count() == 2
    assert tiers_by_place(by_keys) == tiers_by_place(by_finger) == [1, 0, 2, 0]


def test_a_swipe_beside_the_handle_scrolls_the_page_and_moves_nothing(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    open_item(page, make_long_ranking(project), bob)
    finger = Finger(page)
    text = box_of(page.locator("[data-completion]").first)
    finger.down(text["x"] + 40, text["y"] + 300)
    finger.move(text["x"] + 40, text["y"] + 100, steps=10)
    finger.up()
    page.wait_for_timeout(200)
    assert scrolled(page) > 100
    expect(page.locator("[data-order]")).to_have_text("")
    expect(page.locator(".ghost")).to_have_count(0)


def test_a_tap_places_a_completion(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    open_item(page, make_long_ranking(project), bob)
    page.get_by_role("button", name="Place A next").tap()
    expect(page.locator("[data-order]")).to_have_text("A  ·  to place: B, C, D")
