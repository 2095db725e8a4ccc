"""A conversation as it is had: by keyboard, over reloads, without scripts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from annotations import services
from annotations.models import Annotation, Assignment, Kind, Project, Turn, User
from annotations.tests.factories import make_replies
from tests.browser.test_accessibility import SHIFTS, in_light_and_dark, violations
from tests.browser.work import REPLIES, make_work, open_item, replier

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[User], None]


@pytest.fixture
def conversation(page: Page, project: Project, bob: User, sign_in: SignIn) -> Assignment:
    """Bob's, open in the window. It waits for its first replies."""
    sign_in(bob)
    return open_item(page, make_work(project, Kind.CONVERSATION), bob)


def at(page: Page, step: str) -> Locator:
    return page.locator(f'#work[data-step="{step}"]')


def box(page: Page) -> Locator:
    return page.get_by_label("Your next message")


def test_it_goes_round_by_keyboard_alone(
    page: Page, project: Project, conversation: Assignment
) -> None:
    with replier(project):
        expect(at(page, "pick")).to_be_visible()
        expect(page.locator("#announcement")).to_contain_text("The replies are here.")
        page.keyboard.press("8")
        page.keyboard.press("8")
        expect(box(page)).to_be_focused()
        page.keyboard.type("And without the dog?")
        page.keyboard.press("Control+Enter")
        expect(page.locator("[data-prompt]")).to_have_text("And without the dog?")
        expect(at(page, "pick")).to_be_visible()
        page.keyboard.press("0")
        page.keyboard.press("Enter")
        expect(page.locator("#prompt-name")).to_contain_text("Turn 3")
        expect(at(page, "pick")).to_be_visible()
        page.keyboard.press("5")
        page.keyboard.press("5")
        expect(box(page)).to_be_focused()
        page.keyboard.press("Escape")
        page.keyboard.press("End")
        expect(page.get_by_role("heading", name="Nothing is left")).to_be_visible()
    choices = Annotation.objects.get().conversation.choices.all()
    said = [(one.outcome, one.strength) for one in choices]
    assert said == [("right", "better"), ("both_bad", ""), ("tie", "")]


def test_a_pick_is_taken_back_by_key(page: Page, conversation: Assignment) -> None:
    make_replies(conversation)
    expect(at(page, "pick")).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("1")
    expect(box(page)).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(at(page, "pick")).to_be_visible()
    assert Turn.objects.get().outcome == ""


def test_it_survives_a_reload_at_every_step(page: Page, conversation: Assignment) -> None:
    page.reload()
    expect(at(page, "wait")).to_be_visible()
    make_replies(conversation, *REPLIES)
    page.reload()
    expect(at(page, "pick")).to_be_visible()
    page.keyboard.press("3")
    expect(page.locator("#saving")).to_have_text("Draft saved")
    page.reload()
    expect(page.get_by_role("radio", name="A is slightly better")).to_be_checked()
    page.keyboard.press("Enter")
    expect(box(page)).to_be_focused()
    page.keyboard.type("Half a mess")
    expect(page.locator("#saving")).to_have_text("Draft saved")
    page.reload()
    expect(box(page)).to_have_value("Half a mess")
    page.keyboard.press("Control+Enter")
    expect(at(page, "wait")).to_be_visible()
    page.reload()
    expect(page.locator("[data-prompt]")).to_have_text("Half a mess")


def test_a_draft_whose_answer_got_lost_is_known_again_in_whatever_order(
    page: Page, conversation: Assignment
) -> None:
    make_replies(conversation)
    services.pick(conversation, 0, "tie")
    page.reload()

    def lose(route: Route) -> None:
        route.fetch()
        # PostgreSQL gives the fields back in an order of its own.
        stored = Assignment.objects.get().draft or {}
        Assignment.objects.update(draft=dict(sorted(stored.items())))
        route.abort()

    page.route("**/draft/", lose, times=1)
    box(page).fill("A frog")
    expect(page.locator("#saving")).to_contain_text("Not saved: no connection")
    box(page).fill("A frog leaps")
    expect(page.locator("#saving")).to_contain_text("Draft saved")
    expect(page.locator("dialog[open]")).to_have_count(0)
    assert (Assignment.objects.get().draft or {})["text"] == ["A frog leaps"]


def test_the_end_is_undone_with_what_was_not_sent(page: Page, conversation: Assignment) -> None:
    make_replies(conversation)
    expect(at(page, "pick")).to_be_visible()
    page.keyboard.press("5")
    page.keyboard.press("5")
    expect(box(page)).to_be_focused()
    page.keyboard.type("Not sent yet")
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    expect(page.get_by_role("heading", name="Nothing is left")).to_be_visible()
    page.wait_for_load_state("load")  # the keys work from here on
    page.keyboard.press("u")
    expect(box(page)).to_have_value("Not sent yet")
    assert not Annotation.objects.filter(retraction=None).exists()


def test_a_failed_turn_is_asked_again_by_key(page: Page, conversation: Assignment) -> None:
    (claimed,) = services.claim_waiting_turns(1)
    services.fail_turn(claimed.id, claimed.attempt, "Ask an engineer, then ask again.")
    expect(page.get_by_role("alert").filter(has_text="Ask an engineer")).to_be_visible()
    page.keyboard.press("Enter")
    expect(at(page, "wait")).to_be_visible()
    assert services.has_waiting_turns()


def test_it_tells_how_far_the_replies_are_and_when_nobody_writes_them(
    page: Page, conversation: Assignment
) -> None:
    Turn.objects.update(asked_at=Now() - timedelta(seconds=25))
    expect(page.locator("#announcement")).to_contain_text("No sampling worker")
    (claimed,) = services.claim_waiting_turns(1)
    services.report_turn_progress(claimed.id, claimed.attempt, 60)
    expect(page.get_by_text("Two replies are being written.")).to_be_visible()
    expect(page.get_by_label("How much of the replies is written")).to_have_attribute("value", "60")


def test_replies_take_the_focus_from_nobody(page: Page, conversation: Assignment) -> None:
    search = page.locator("[data-guidelines-search]")
    search.focus()
    page.keyboard.type("how")
    make_replies(conversation)
    expect(at(page, "pick")).to_be_visible()
    page.keyboard.type(" to")
    expect(search).to_have_value("how to")
    expect(search).to_be_focused()


def test_replies_wait_while_somebody_is_about_to_skip(page: Page, conversation: Assignment) -> None:
    page.keyboard.press("s")
    page.get_by_placeholder("Note first").fill("it takes too long")
    make_replies(conversation)
    page.wait_for_timeout(2500)
    expect(page.get_by_placeholder("Note first")).to_have_value("it takes too long")
    page.keyboard.press("Escape")
    expect(at(page, "pick")).to_be_visible()


def test_a_second_tab_does_not_ask_again(
    page: Page, context: BrowserContext, conversation: Assignment
) -> None:
    make_replies(conversation)
    services.pick(conversation, 0, "tie")
    page.reload()
    other = context.new_page()
    other.goto(reverse("annotations:assignment", args=[conversation.pk]))
    box(page).fill("From the first")
    page.keyboard.press("Control+Enter")
    expect(at(page, "wait")).to_be_visible()
    other.get_by_label("Your next message").press_sequentially("From the second")
    other.keyboard.press("Control+Enter")
    expect(other.get_by_role("alert").filter(has_text="gone on elsewhere")).to_be_visible()
    expect(other.get_by_text("From the second")).to_be_visible()
    assert conversation.turns.count() == 2


def test_a_lost_connection_is_said_once_and_outlived(
    page: Page, context: BrowserContext, conversation: Assignment
) -> None:
    context.set_offline(True)
    expect(page.locator("#trouble")).to_contain_text("goes on trying by itself")
    page.evaluate(
        "window.said = 0; new MutationObserver(() => { window.said += 1; })"
        ".observe(document.getElementById('trouble'), { childList: true });"
    )
    page.wait_for_timeout(2500)
    assert page.evaluate("window.said") == 0
    make_replies(conversation)
    context.set_offline(False)
    expect(at(page, "pick")).to_be_visible()
    expect(page.locator("#trouble")).to_be_empty()


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_shifts_when_the_replies_arrive(
    page: Page, project: Project, bob: User, sign_in: SignIn, width: int
) -> None:
    sign_in(bob)
    page.set_viewport_size({"width": width, "height": 800})
    page.add_init_script(SHIFTS)
    assignment = open_item(page, make_work(project, Kind.CONVERSATION), bob)
    page.wait_for_timeout(700)
    before = page.evaluate("window.shifts.length")
    make_replies(assignment, *REPLIES)
    expect(at(page, "pick")).to_be_visible()
    page.wait_for_timeout(300)
    assert sum(page.evaluate(f"window.shifts.slice({before})")) < 0.01


def test_a_long_conversation_opens_at_what_was_said_last(
    page: Page, conversation: Assignment
) -> None:
    for number in range(6):
        make_replies(conversation, *REPLIES)
        services.pick(conversation, number, "tie")
        services.say(conversation, number + 1, f"Message {number + 1}")
    make_replies(conversation, *REPLIES)
    page.goto(reverse("annotations:assignment", args=[conversation.pk]))
    for shown in (page.locator("[data-prompt]"), page.locator("[data-completion]").first):
        expect(shown).to_be_in_viewport()
    page.keyboard.press("5")
    page.keyboard.press("5")
    expect(box(page)).to_be_in_viewport(ratio=0.9)


def test_it_goes_round_without_scripts(
    browser: Browser, live_server: object, project: Project, bob: User, client: object
) -> None:
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)  # type: ignore[attr-defined]
    client.force_login(bob)  # type: ignore[attr-defined]
    cookie = client.cookies["session"].value  # type: ignore[attr-defined]
    url = live_server.url  # type: ignore[attr-defined]
    context.add_cookies([{"name": "session", "value": cookie, "url": url}])
    page = context.new_page()
    assignment = open_item(page, make_work(project, Kind.CONVERSATION), bob)
    make_replies(assignment, *REPLIES)
    page.get_by_role("link", name="Look again").click()
    page.get_by_role("radio", name="Tie: neither is better").check(force=True)
    page.get_by_role("button", name="Pick").click()
    box(page).fill("And without the dog?")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("link", name="Look again")).to_be_visible()
    page.get_by_role("button", name="End here").click()
    expect(page.get_by_role("heading", name="Nothing is left")).to_be_visible()
    assert Annotation.objects.get().conversation.choices.count() == 1
    context.close()


@pytest.mark.parametrize(("width", "found"), [(1280, in_light_and_dark), (360, violations)])
def test_axe_finds_nothing_at_any_step(
    page: Page, conversation: Assignment, width: int, found: Callable[[Page], list[str]]
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(reduced_motion="reduce")
    Turn.objects.update(asked_at=Now() - timedelta(seconds=25))
    expect(page.locator("#waiting").get_by_text("No sampling worker")).to_be_visible()
    assert found(page) == []
    (claimed,) = services.claim_waiting_turns(1)
    services.fail_turn(claimed.id, claimed.attempt, "Ask an engineer, then ask again.")
    expect(at(page, "failed")).to_be_visible()
    assert found(page) == []
    services.ask_again(conversation, 0)
    make_replies(conversation, "same", "same")
    page.reload()
    assert found(page) == []
    services.pick(conversation, 0, "tie")
    page.reload()
    assert found(page) == []
    box(page).fill(" ")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Your message is empty")).to_be_visible()
    assert found(page) == []
    services.submit_conversation(conversation)
    page.reload()
    assert found(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
