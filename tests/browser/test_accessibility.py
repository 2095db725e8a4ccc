"""Pages for everybody: axe finds nothing, nothing jumps, everything fits and can be hit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from annotations.models import Kind, Project, User
from tests.browser.work import make_work, open_item

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[User], None]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS: dict[str, Any] = {
    "runOnly": {"type": "tag", "values": RULES},
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
}
SHIFTS = """
    window.shifts = [];
    new PerformanceObserver((list) => {
      const own = list.getEntries().filter((entry) => !entry.hadRecentInput);
      window.shifts.push(...own.map((entry) => entry.value));
    }).observe({ type: "layout-shift", buffered: true });
"""


def violations(page: Page) -> list[str]:
    """Return what axe finds on a page, each with where it is."""
    response = Axe().run(page, options=OPTIONS).response
    return [
        f"{found['id']}: {found['help']}: {node['html'][:200]}"
        for found in response["violations"]
        for node in found["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", Kind.values)
def test_axe_finds_nothing_on_a_labelling_page(
    page: Page, project: Project, bob: User, sign_in: SignIn, kind: str, scheme: Any
) -> None:
    sign_in(bob)
    page.emulate_media(color_scheme=scheme)
    open_item(page, make_work(project, kind), bob)
    assert violations(page) == []
    if kind == Kind.RANKING:
        page.keyboard.type("24t1")
        assert violations(page) == []
    if kind == Kind.COMPARISON:
        page.keyboard.press("d")
        page.keyboard.press("3")
        assert violations(page) == []
        page.keyboard.press("?")
        assert violations(page) == []


def test_axe_finds_nothing_on_a_phone(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    page.set_viewport_size({"width": 360, "height": 740})
    for kind in (Kind.COMPARISON, Kind.RANKING):
        open_item(page, make_work(project, kind), bob)
        assert violations(page) == []
    page.get_by_role("link", name="Guidelines").click()
    expect(page.locator(".guidelines[data-sheet]")).to_be_visible()
    assert violations(page) == []


def test_axe_finds_nothing_on_the_pages_around_it(
    page: Page, project: Project, alice: User, sign_in: SignIn
) -> None:
    make_work(project, Kind.COMPARISON)
    sign_in(alice)
    for path in ("/", "/account/", f"/projects/{project.pk}/", f"/projects/{project.pk}/settings/"):
        page.goto(path)
        assert violations(page) == [], path
    page.set_viewport_size({"width": 390, "height": 740})
    page.goto("/")
    expect(page.get_by_role("link", name="labelstudio-llm")).to_be_attached()


@pytest.mark.parametrize("kind", Kind.values)
def test_nothing_shifts_when_a_page_or_the_next_item_arrives(
    page: Page, project: Project, bob: User, sign_in: SignIn, kind: str
) -> None:
    first, _ = make_work(project, kind), make_work(project, kind)
    sign_in(bob)
    page.add_init_script(SHIFTS)
    open_item(page, first, bob)
    page.wait_for_timeout(300)
    page.locator("[data-skip] summary").click()
    page.locator("[data-skip] button").first.click()
    expect(page.locator("[data-undo]")).to_be_visible()
    page.wait_for_timeout(700)
    assert sum(page.evaluate("window.shifts")) < 0.01


@pytest.mark.parametrize("panel", ["open", "closed"])
def test_the_work_stands_in_its_place_before_the_guidelines_have_arrived(
    page: Page, project: Project, bob: User, sign_in: SignIn, panel: str
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, Kind.COMPARISON), bob)
    page.evaluate("panel => document.cookie = `guidelines=${panel}; path=/`", panel)
    page.reload()
    place = page.locator(".bench__work").bounding_box()
    page.evaluate("document.getElementById('guidelines').remove()")
    assert page.locator(".bench__work").bounding_box() == place


@pytest.mark.parametrize("kind", Kind.values)
def test_it_reflows_at_320_pixels_which_is_400_percent(
    page: Page, project: Project, bob: User, sign_in: SignIn, kind: str
) -> None:
    sign_in(bob)
    page.set_viewport_size({"width": 320, "height": 640})
    open_item(page, make_work(project, kind), bob)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_nothing_moves_for_those_who_asked_for_no_motion(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    page.emulate_media(reduced_motion="reduce")
    open_item(page, make_work(project, Kind.RANKING), bob)
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter((element) => "
        "parseFloat(getComputedStyle(element).transitionDuration) > 0).length"
    )
    assert moving == 0


def test_the_focus_goes_through_the_page_in_the_order_of_the_work(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, Kind.COMPARISON), bob)
    stops = []
    for _ in range(5):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                "document.activeElement.name || document.activeElement.textContent.trim()"
            )
        )
    assert [stop.split()[0] for stop in stops] == [
        "choice",
        "Skip",
        "Differences",
        "reason",
        "Send",
    ]
