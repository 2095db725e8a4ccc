"""Ranking on a phone: a finger drags by the handle, and scrolls the page everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Locator, Page, expect

from annotations.models import Item, Kind, Project, User
from annotations.tests.factories import make_item
from tests.browser.work import open_item

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[User], None]
WIDTH, HEIGHT = 390, 844
MIDDLE = WIDTH / 2, HEIGHT / 2


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


@pytest.fixture
def order(page: Page, project: Project, bob: User, sign_in: SignIn) -> Locator:
    """Open four texts that fill a phone's screen each, so that the board lies far below."""
    sign_in(bob)
    open_item(page, make_long_ranking(project), bob)
    return page.locator("[data-order]")


@pytest.fixture
def finger(page: Page) -> Finger:
    return Finger(page)


class Finger:
    """A finger on the glass, moved as a touch screen reports it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.device: CDPSession = page.context.new_cdp_session(page)
        self.x = self.y = 0.0

    def tell(self, kind: str, *others: tuple[float, float]) -> None:
        places = [] if kind in ("touchEnd", "touchCancel") else [(self.x, self.y)]
        points = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate([*places, *others])]
        self.device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def down(self, x: float, y: float) -> None:
        self.x, self.y = x, y
        self.tell("touchStart")

    def move(self, x: float, y: float, steps: int = 4) -> None:
        start_x, start_y = self.x, self.y
        for step in range(1, steps + 1):
            self.x = start_x + (x - start_x) * step / steps
            self.y = start_y + (y - start_y) * step / steps
            self.tell("touchMove")

    def take(self, handle: Locator) -> None:
        # In one step: the board may draw the handle anew between two.
        handle.evaluate("handle => handle.scrollIntoViewIfNeeded()")
        wait_for_frames(self.page)
        self.down(*point_in(handle))
        self.move(*MIDDLE)

    def carry(self, target: Locator, height: float) -> None:
        """Go to a height within something, holding at the edge of the screen until it comes."""
        is_below = point_in(target)[1] > HEIGHT - 100
        if is_below or point_in(target)[1] < 100:
            self.move(WIDTH / 2, HEIGHT - 8 if is_below else 8)
            expect(target).to_be_in_viewport(ratio=1)
            self.move(*MIDDLE)  # there the page stands still
        self.move(*point_in(target, height))

    def drag(self, handle: Locator, target: Locator, height: float = 0.5) -> None:
        self.take(handle)
        self.carry(target, height)
        self.tell("touchEnd")


def make_long_ranking(project: Project) -> Item:
    texts = [f"{name} line\n" * 18 for name in ("first", "second", "third", "fourth")]
    return make_item(project, Kind.RANKING, texts=texts)


def point_in(element: Locator, height: float = 0.5) -> tuple[float, float]:
    # Asked of the page itself: while a window turns, the driver knows of no box for a moment.
    box = element.evaluate("element => element.getBoundingClientRect().toJSON()")
    return box["x"] + min(40, box["width"] / 2), box["y"] + box["height"] * height


def wait_for_frames(page: Page) -> None:
    """Wait until what has changed is drawn, and the page has heard that its window turned.

    Until then a finger falls where things were, and a turn ends a drag that began after it.
    """
    page.evaluate(
        "() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
    )


def handle(page: Page, letter: str) -> Locator:
    return page.locator("[data-place] [data-drag]").nth("ABCD".index(letter))


def tier(page: Page, place: int) -> Locator:
    return page.locator(".tier").nth(place - 1)


def test_a_finger_ranks_ties_and_takes_back(page: Page, order: Locator, finger: Finger) -> None:
    finger.drag(handle(page, "B"), tier(page, 1))
    expect(order).to_have_text("B · to place: A, C, D")
    finger.drag(handle(page, "C"), tier(page, 2))
    expect(order).to_have_text("B > C · to place: A, D")  # or the board moves under the next one
    finger.drag(handle(page, "D"), tier(page, 1))
    expect(order).to_have_text("B = D > C · to place: A")
    finger.drag(handle(page, "A"), tier(page, 2), height=0.05)
    expect(order).to_have_text("B = D > A > C")
    finger.drag(tier(page, 3).locator(".chip"), tier(page, 2))
    expect(order).to_have_text("B = D > A = C")
    finger.drag(tier(page, 2).locator(".chip").first, page.locator("[data-completion]").last)
    expect(order).to_have_text("B = D > C · to place: A")


def test_a_swipe_beside_the_handle_scrolls_and_a_tap_places(
    page: Page, order: Locator, finger: Finger
) -> None:
    x, y = point_in(page.locator("[data-completion]").first)
    finger.down(x, y)
    finger.move(x, y - 200, steps=8)
    finger.tell("touchEnd")
    page.wait_for_function("scrollY > 100")
    expect(order).to_have_text("")
    expect(page.locator(".ghost")).to_have_count(0)
    page.wait_for_timeout(400)  # while a page still scrolls, a tap only stops it
    page.get_by_role("button", name="Place B next").tap()
    expect(order).to_have_text("B · to place: A, C, D")


@pytest.mark.long
def test_what_breaks_off_a_drag_leaves_the_order_as_it_was(
    page: Page, order: Locator, finger: Finger
) -> None:
    page.keyboard.type("12")
    ghost, chip = page.locator(".ghost"), tier(page, 2).locator(".chip")
    finger.take(chip)
    finger.carry(tier(page, 1), 0.5)
    expect(ghost).to_be_visible()
    finger.tell("touchStart", (200, 40))  # a second finger comes and goes
    finger.tell("touchMove", (200, 80))
    finger.tell("touchMove")
    expect(ghost).to_be_visible()
    finger.tell("touchCancel")
    expect(ghost).to_have_count(0)
    expect(page.locator("[data-drop]")).to_have_count(0)
    finger.take(chip)
    page.set_viewport_size({"width": HEIGHT, "height": WIDTH})
    expect(ghost).to_have_count(0)
    finger.tell("touchEnd")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.wait_for_function(f"innerWidth === {WIDTH}")
    expect(order).to_have_text("A > B · to place: C, D")
    finger.drag(chip, tier(page, 1))
    expect(order).to_have_text("A = B · to place: C, D")
