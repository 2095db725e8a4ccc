"""Labelling in a real browser: by keyboard, by mouse, without scripts, on a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from annotations.models import Annotation, Assignment, Kind, Project, User
from annotations.tests.factories import make_item, make_prompt

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[User], None]
HAIKU = "old pond\na frog considers\nthe sound of it"


@pytest.fixture
def comparisons(project: Project) -> Project:
    for number in range(4):
        make_item(project, prompt=make_prompt(project, f"Prompt {number}"), texts=(HAIKU, "no"))
    return project


def start(page: Page, project: Project, kind: str = Kind.COMPARISON) -> None:
    page.goto(f"/projects/{project.pk}/")
    page.locator(f'button[name="kind"][value="{kind}"]').click()
    expect(page.locator(f'[data-work="{kind}"]')).to_be_visible()
    page.wait_for_load_state("load")  # the keys work from here on


def prompt(page: Page) -> Any:
    return page.locator("[data-prompt]")


def test_a_visitor_labels_within_a_minute(page: Page, comparisons: Project, settings: Any) -> None:
    settings.DEMO = True
    page.goto("/")
    page.get_by_role("button", name="Bob").click()
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("radio", name="A is better").check()
    page.get_by_role("button", name="Send").click()
    expect(prompt(page)).to_have_text("Prompt 1")
    assert Annotation.objects.get().comparison.outcome == "left"


def test_comparing_takes_two_keys_an_item(
    page: Page, comparisons: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    start(page, comparisons)
    for number, (first, second) in enumerate((("2", "2"), ("5", "Enter"), ("0", "0"))):
        expect(prompt(page)).to_have_text(f"Prompt {number}")
        page.keyboard.press(first)
        page.keyboard.press(second)
    expect(prompt(page)).to_have_text("Prompt 3")
    outcomes = [row.comparison.outcome for row in Annotation.objects.order_by("id")]
    assert outcomes == ["left", "tie", "both_bad"]
    expect(page.locator("#progress")).to_contain_text("3 done today")
    expect(page.get_by_role("status").first).to_contain_text("Saved.")
    assert page.url.endswith(f"/assignments/{Assignment.objects.get(state='leased').pk}/")


def test_one_key_chooses_but_does_not_send(
    page: Page, comparisons: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    start(page, comparisons)
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="A is better")).to_be_checked()
    assert not Annotation.objects.exists()


def test_nothing_moves_when_the_next_item_arrives(
    page: Page, comparisons: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    page.set_viewport_size({"width": 1280, "height": 800})
    start(page, comparisons)

    def places() -> list[Any]:
        names = ("#answer", "[data-prompt]", ".completion >> nth=0", ".completion >> nth=1")
        return [page.locator(name).bounding_box() for name in (*names, "#guidelines")]

    before = places()
    assert page.evaluate("document.documentElement.scrollHeight") <= 800
    page.keyboard.press("5")
    page.keyboard.press("5")
    expect(prompt(page)).to_have_text("Prompt 1")
    assert places() == before


def test_a_demonstration_is_written_and_sent_by_keyboard(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    make_item(project, Kind.DEMONSTRATION)
    sign_in(bob)
    start(page, project, Kind.DEMONSTRATION)
    page.keyboard.type(HAIKU)
    expect(page.locator("#counter")).to_have_text("9 words, 3 lines")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Nothing is left for you right now")).to_be_visible()
    assert Annotation.objects.get().demonstration.completion.text == HAIKU


def test_a_draft_survives_a_closed_page(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    make_item(project, Kind.DEMONSTRATION)
    sign_in(bob)
    start(page, project, Kind.DEMONSTRATION)
    page.keyboard.type("half a haiku")
    page.reload()
    expect(page.get_by_label("Your answer")).to_have_value("half a haiku")


def test_ranking_takes_a_key_for_each_completion(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    make_item(project, Kind.RANKING)
    sign_in(bob)
    start(page, project, Kind.RANKING)
    page.keyboard.type("24t13")
    expect(page.locator("[data-order]")).to_have_text("B = D > A > C")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing is left for you right now")).to_be_visible()
    first, second, third, fourth = Assignment.objects.get().shown_order
    entries = Annotation.objects.get().ranking.entries
    tiers = dict(entries.values_list("completion_id", "tier"))
    assert tiers == {second: 0, fourth: 0, first: 1, third: 2}


def test_skipping_needs_a_reason_and_no_mouse(
    page: Page, comparisons: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    start(page, comparisons)
    page.keyboard.press("s")
    expect(page.get_by_role("button", name="The prompt is unclear")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(prompt(page)).to_have_text("Prompt 1")
    assert Assignment.objects.get(state="skipped").skip_reason == "unsure"


def test_closed_guidelines_stay_closed(
    page: Page, comparisons: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    start(page, comparisons)
    text = page.get_by_text("How to do a comparison.")
    expect(text).to_be_visible()
    page.keyboard.press("g")
    expect(text).to_be_hidden()
    page.wait_for_function("document.cookie.includes('guidelines=closed')")  # a moment later
    page.reload()
    expect(text).to_be_hidden()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "open for too long"),
        (404, "Copy what you wrote"),
        (429, "Too many requests"),
        (500, "The server had a problem (500)"),
        (None, "The server cannot be reached"),
    ],
)
def test_what_was_typed_survives_every_failure(
    page: Page,
    project: Project,
    bob: User,
    sign_in: SignIn,
    status: int | None,
    message: str,
) -> None:
    make_item(project, Kind.DEMONSTRATION)
    sign_in(bob)
    start(page, project, Kind.DEMONSTRATION)

    def fail(route: Route) -> None:
        if status is None:
            route.abort()
        else:
            route.fulfill(status=status, body="broken")

    page.route("**/submit/", fail)
    page.keyboard.type("kept words")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#trouble")).to_contain_text(message)
    expect(page.get_by_label("Your answer")).to_have_value("kept words")
    page.unroute("**/submit/")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Nothing is left for you right now")).to_be_visible()
    assert Annotation.objects.get().demonstration.completion.text == "kept words"


def test_signing_in_again_elsewhere_rescues_the_page(
    page: Page, context: BrowserContext, project: Project, bob: User, sign_in: SignIn
) -> None:
    make_item(project, Kind.DEMONSTRATION)
    sign_in(bob)
    start(page, project, Kind.DEMONSTRATION)
    page.keyboard.type("kept words")
    context.clear_cookies(name="session")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#trouble")).to_contain_text("You are signed out")
    sign_in(bob)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Nothing is left for you right now")).to_be_visible()
    assert Annotation.objects.get().demonstration.completion.text == "kept words"


def test_an_empty_answer_is_refused_in_place(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    make_item(project, Kind.DEMONSTRATION)
    sign_in(bob)
    start(page, project, Kind.DEMONSTRATION)
    page.keyboard.type("   ")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert").filter(has_text="The answer is empty")).to_be_visible()
    expect(page.get_by_label("Your answer")).to_be_focused()


def test_it_works_without_scripts(
    browser: Browser, live_server: Any, comparisons: Project, bob: User, settings: Any
) -> None:
    settings.DEMO = True
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("button", name="Bob").click()
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("radio", name="Tie: neither is better").check(force=True)
    page.get_by_role("button", name="Send").click()
    expect(prompt(page)).to_have_text("Prompt 1")
    assert Annotation.objects.get().comparison.outcome == "tie"
    context.close()


@pytest.mark.parametrize("kind", Kind.values)
def test_it_fits_a_phone(
    page: Page, project: Project, bob: User, sign_in: SignIn, kind: str
) -> None:
    texts = None if kind == Kind.DEMONSTRATION else ("word" * 60, HAIKU)
    make_item(project, kind, prompt=make_prompt(project, "long" * 100), texts=texts)
    sign_in(bob)
    page.set_viewport_size({"width": 360, "height": 740})
    for path in ("/", f"/projects/{project.pk}/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    start(page, project, kind)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_what_can_be_taken_back_fits_a_phone_in_longer_words(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    for _ in range(2):
        make_item(project)
    sign_in(bob)
    page.goto("/")
    page.context.add_cookies([{"name": "language", "value": "de", "url": page.url}])
    start(page, project, Kind.COMPARISON)
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Zurücknehmen")).to_be_visible()
    for width in (320, 390, 600, 700):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_text_stays_text(page: Page, project: Project, bob: User, sign_in: SignIn) -> None:
    hostile = "<img src=x onerror=\"document.title='broken'\">\n<b>bold</b>"
    make_item(project, texts=(hostile, "\u202ereversed"))
    sign_in(bob)
    start(page, project)
    shown = page.locator("[data-completion]").all_text_contents()
    assert sorted(shown) == sorted([hostile, "\u202ereversed"])
    assert page.title() != "broken"
