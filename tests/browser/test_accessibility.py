"""Pages for everybody: axe finds nothing, nothing jumps, everything fits and can be hit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from annotations import services
from annotations.models import Assignment, Kind, Project, User
from annotations.tests.factories import make_assignment
from tests.browser.work import make_work, open_item
from training.models import Chat, Checkpoint
from training.tests.battles import cast_votes, make_players

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[User], None]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS: dict[str, Any] = {
    "runOnly": {"type": "tag", "values": RULES},
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
}
COLOURS: dict[str, Any] = {
    "runOnly": {"type": "rule", "values": ["color-contrast"]},
    "resultTypes": ["violations"],
}
SHIFTS = """
    window.shifts = [];
    new PerformanceObserver((list) => {
      const own = list.getEntries().filter((entry) => !entry.hadRecentInput);
      window.shifts.push(...own.map((entry) => entry.value));
    }).observe({ type: "layout-shift", buffered: true });
"""


RUN = """async (options) => (await axe.run(options)).violations.flatMap((found) =>
    found.nodes.map((node) => `${found.id}: ${found.help}: ${node.html.slice(0, 200)}`))"""


def violations(page: Page, options: dict[str, Any] = OPTIONS) -> list[str]:
    """Return what axe finds on a page, each with where it is."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found: list[str] = page.evaluate(RUN, options)
    return found


def in_light_and_dark(page: Page) -> list[str]:
    """Return what axe finds on a page, and of its colours in the dark: nothing else changes."""
    # Without motion, so that no colour is measured on its way to another.
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    found = violations(page)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    return found + [f"dark: {one}" for one in violations(page, COLOURS)]


def narrow(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})


@pytest.mark.parametrize("kind", Kind.values)
def test_axe_finds_nothing_on_a_labelling_page_which_reflows_at_320_pixels(
    page: Page, project: Project, bob: User, sign_in: SignIn, kind: str
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, kind), bob)
    if kind == Kind.RANKING:
        page.keyboard.type("24t1")
    if kind == Kind.COMPARISON:
        page.keyboard.type("d3")
    assert in_light_and_dark(page) == []
    narrow(page, 320)  # 400 percent
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert violations(page) == []


def test_axe_finds_nothing_where_something_is_open(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    first, _ = make_work(project, Kind.COMPARISON), make_work(project, Kind.COMPARISON)
    open_item(page, first, bob)
    page.keyboard.press("s")
    expect(page.locator("[data-skip] form")).to_be_visible()
    assert in_light_and_dark(page) == []
    page.keyboard.press("Enter")
    expect(page.locator("[data-undo]")).to_be_visible()
    assert in_light_and_dark(page) == []
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys on this page")).to_be_visible()
    assert in_light_and_dark(page) == []
    page.keyboard.press("Escape")
    narrow(page, 360)
    page.get_by_role("link", name="Guidelines").click()
    expect(page.locator(".guidelines[data-sheet]")).to_be_visible()
    assert in_light_and_dark(page) == []


def test_axe_finds_nothing_where_two_versions_are_shown(
    page: Page, context: BrowserContext, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    assignment = open_item(page, make_work(project, Kind.DEMONSTRATION), bob)
    services.save_draft(assignment, {"text": ["newer"]}, revision=0)
    page.get_by_label("Your answer").fill("older")
    expect(page.get_by_role("dialog", name="Another tab has saved")).to_be_visible()
    assert in_light_and_dark(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert").filter(has_text="Newer work")).to_be_visible()
    context.set_offline(True)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#trouble")).to_contain_text("cannot be reached")
    assert in_light_and_dark(page) == []


def test_axe_finds_nothing_before_and_after_work(
    page: Page, project: Project, alice: User, bob: User, sign_in: SignIn
) -> None:
    project.own_conversations_allowed = project.own_prompts_allowed = True
    project.save()
    done = make_assignment(make_work(project, Kind.COMPARISON), bob)
    answer = services.submit_comparison(done, "tie")
    services.save_correction_draft(done, {"choice": ["both_bad"]}, correcting=answer.pk, revision=0)
    waiting = make_assignment(make_work(project, Kind.COMPARISON), bob)
    guidelines = services.publish_guideline(project, Kind.COMPARISON, "# Be fair", alice)
    Assignment.objects.filter(id=waiting.pk).update(guideline_version=guidelines)
    sign_in(bob)
    narrow(page, 360)
    for name, number in [
        ("done", project.pk),
        ("assignment", done.pk),
        ("correct", done.pk),
        ("assignment_history", done.pk),
        ("history", project.pk),
        ("own_prompt", project.pk),
        ("start_conversation", project.pk),
        ("assignment", waiting.pk),
    ]:
        page.goto(reverse(f"annotations:{name}", args=[number]))
        assert in_light_and_dark(page) == [], name
    expect(page.get_by_role("heading", name="have changed")).to_be_visible()


def test_axe_finds_nothing_on_the_pages_of_an_owner(
    page: Page, project: Project, alice: User, sign_in: SignIn
) -> None:
    item = make_work(project, Kind.COMPARISON)
    sign_in(alice)
    for path in (
        "/",
        "/account/",
        f"/projects/{project.pk}/",
        f"/projects/{project.pk}/settings/",
        reverse("annotations:item", args=[item.pk]),
    ):
        page.goto(path)
        assert violations(page) == [], path
    page.set_viewport_size({"width": 390, "height": 740})
    page.goto("/")
    expect(page.get_by_role("link", name="labelstudio-llm")).to_be_attached()


def test_axe_finds_nothing_in_chat_arena_and_leaderboard(
    page: Page, project: Project, alice: User, sign_in: SignIn
) -> None:
    left, right = make_players(project, "granite-1", "basalt-2")
    cast_votes(project, [(left.pk, right.pk, outcome, alice) for outcome in ("left", "tie")])
    chat = make_chat(project, alice, left, right)
    battle = make_battle(project, alice, left, right)
    sign_in(alice)
    narrow(page, 390)
    for name, number in [("chat", chat), ("leaderboard", project.pk), ("arena", project.pk)]:
        page.goto(reverse(f"training:{name}", args=[number]))
        if name == "chat":
            page.get_by_text("Report", exact=True).last.click()
        assert in_light_and_dark(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    page.goto(reverse("training:battle", args=[battle]))
    page.keyboard.press("f")
    expect(page.get_by_role("radio", name="Answer A")).to_be_focused()
    assert in_light_and_dark(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    expect(page.get_by_role("heading", name="You found A better.")).to_be_visible()
    good = page.get_by_role("button", name="Good").last
    good.press("Enter")
    expect(page.locator("#thumbs-B-good[aria-pressed=true]")).to_be_focused()
    assert in_light_and_dark(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def make_chat(project: Project, person: User, left: Checkpoint, right: Checkpoint) -> int:
    """Return a chat in which one of two answered and the other failed."""
    sampling = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 16}
    chat = Chat.objects.create(
        project=project, person=person, title="Frog", left=left, right=right, **sampling
    )
    reply = {"turn": 0, "role": "assistant", "sampling": sampling, "seed": 1}
    chat.messages.create(turn=0, role="user", text="A frog?")
    chat.messages.create(side="left", checkpoint=left, text="Splash", tokens=2, **reply)
    chat.messages.create(
        side="right", checkpoint=right, state="failed", error="Ask again.", **reply
    )
    return chat.pk


def make_battle(project: Project, person: User, left: Checkpoint, right: Checkpoint) -> int:
    """Return a battle with both answers, which waits for its vote."""
    battle = services.open_battle(
        project,
        person,
        ({"role": "user", "content": "A frog?"},),
        (left.pk, right.pk),
        daily_limit=9,
    )
    services.answer_battle(battle, services.Written("Splash"), services.Written("A pond"))
    return battle.pk


def test_nothing_shifts_when_a_page_or_the_next_item_arrives(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    first, *others = [make_work(project, kind) for kind in Kind.values]
    sign_in(bob)
    page.add_init_script(SHIFTS)
    open_item(page, first, bob)
    for _ in others:
        before = page.url
        # Not by a click: what follows upon one does not count as a shift.
        page.evaluate("document.querySelector('[data-skip] button').click()")
        page.wait_for_function("before => location.href !== before", arg=before)
    page.wait_for_timeout(300)
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
    for _ in range(6):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                "document.activeElement.name || document.activeElement.textContent.trim()"
            )
        )
    assert [stop.split()[0] for stop in stops] == [
        "choice",
        "Skip",
        "Report",
        "Differences",
        "reason",
        "Send",
    ]
