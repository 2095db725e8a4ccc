"""The labelling page as a workbench: keys, drafts, undo, lost connections, several tabs."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.db import connection
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from annotations import services
from annotations.models import (
    Annotation,
    Assignment,
    GuidelineAcknowledgement,
    Kind,
    Project,
    User,
)
from annotations.tests.factories import (
    make_assignment,
    make_completion,
    make_item,
    make_prompt,
    make_rating_scheme,
)
from conftest import PASSWORD
from tests.browser.work import HAIKU, make_work, open_item, replier

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[User], None]
ENTERED = """[...new FormData(document.getElementById("answer"))].filter(
    ([name]) => !["csrfmiddlewaretoken", "draft_revision", "active_ms"].includes(name))"""


def saving(page: Page) -> Locator:
    return page.locator("#saving")


def prompt_of(page: Page) -> Locator:
    return page.locator("[data-prompt]")


def nothing_is_left(page: Page) -> Locator:
    return page.get_by_role("heading", name="Nothing is left for you right now")


def tiers_by_place(assignment: Assignment) -> list[int]:
    """Return the tier of each completion, in the order in which they were shown."""
    entries = Annotation.objects.get(assignment=assignment).ranking.entries
    tiers = dict(entries.values_list("completion_id", "tier"))
    return [tiers[completion] for completion in assignment.shown_order]


# A day's work by keyboard

ANSWERS: dict[str, tuple[str, ...]] = {
    Kind.COMPARISON: ("2", "2"),
    Kind.RANKING: ("2", "4", "t", "1", "3", "Enter"),
    Kind.RATING: ("6", "3", "Enter"),
    Kind.ASSEMBLY: ("ArrowDown", "Space", "ArrowDown", "Space", "Enter"),
    Kind.REVIEW: ("1", "1"),
    Kind.DEMONSTRATION: (*"frog", "Control+Enter"),
    Kind.REWRITE: ("Control+End", *" again", "Control+Enter"),
}


def converse(page: Page) -> int:
    """Have a conversation of two turns by keyboard. Return how many keys it took."""
    page.keyboard.press("2")
    page.keyboard.press("2")
    page.locator("#text:focus").wait_for()
    page.keyboard.type("rain?")
    page.keyboard.press("Control+Enter")
    page.locator('#work[data-step="pick"]').wait_for()
    page.locator("#work:focus, #work :focus").wait_for(state="attached")
    page.keyboard.press("7")
    page.keyboard.press("7")
    page.locator("#text:focus").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    return 2 + len("rain?") + 1 + 2 + 2


@pytest.fixture
def replies(project: Project) -> Iterator[None]:
    """Answer what is said in conversations."""
    with replier(project):
        yield


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("replies")
def test_a_hundred_items_of_every_kind_without_the_pointer(
    page: Page, project: Project, bob: User, sign_in: SignIn, record_property: Any
) -> None:
    pointed: list[str] = []
    page.expose_function("pointed", lambda name: pointed.append(name))
    page.add_init_script(
        "for (const name of ['pointerdown', 'pointermove', 'mousedown', 'touchstart'])"
        " addEventListener(name, () => window.pointed(name), true);"
    )
    # Four conversations: the model's time to answer is not a labeller's.
    others = [kind for kind in Kind.values if kind != Kind.CONVERSATION]
    for kind in [Kind.CONVERSATION] * 4 + [others[n % len(others)] for n in range(96)]:
        make_work(project, kind)
    sign_in(bob)
    page.goto(f"/projects/{project.pk}/")
    page.locator('button[name="kind"]').first.focus()
    page.keyboard.press("Enter")
    page.locator("#answer").wait_for(state="attached")
    page.wait_for_load_state("load")  # the keys work from here on
    strokes: dict[str, list[int]] = {kind: [] for kind in Kind.values}
    for _ in range(100):
        page.locator("#answer").wait_for(state="attached")
        page.locator("#work:focus, #work :focus").wait_for(state="attached")
        kind = str(page.locator("#work").get_attribute("data-work"))
        action = page.locator("#answer").get_attribute("action")
        if kind == Kind.CONVERSATION:
            strokes[kind].append(converse(page))
        else:
            for key in ANSWERS[kind]:
                page.keyboard.press(key)
            strokes[kind].append(len(ANSWERS[kind]))
        page.locator(f'#answer[action="{action}"]').wait_for(state="detached")
    expect(nothing_is_left(page)).to_be_visible()
    done = Annotation.objects.filter(annotator=bob)
    assert done.count() == 100
    assert set(done.values_list("kind", flat=True)) == set(Kind.values)
    assert pointed == []
    median = statistics.median(strokes[Kind.COMPARISON])
    record_property("keystrokes per comparison", median)
    assert median <= 3


def test_one_key_sends_for_those_who_want_it(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    bob.sends_on_choice = True
    bob.save()
    make_work(project, Kind.COMPARISON)
    second = make_work(project, Kind.COMPARISON)
    sign_in(bob)
    page.goto(f"/projects/{project.pk}/")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_load_state("load")
    page.keyboard.press("7")
    expect(prompt_of(page)).to_have_text(second.prompt.text)
    assert Annotation.objects.get().comparison.outcome == "right"
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    assert Annotation.objects.count() == 1


def test_own_keys_act_and_are_shown(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    bob.keys = {"left-better": "j", "guidelines": "h"}
    bob.save()
    sign_in(bob)
    open_item(page, make_work(project, Kind.COMPARISON), bob)
    page.keyboard.press("2")
    expect(page.get_by_role("radio", name="A is better")).not_to_be_checked()
    page.keyboard.press("j")
    expect(page.get_by_role("radio", name="A is better")).to_be_checked()
    expect(page.locator(".scale__row kbd").nth(1)).to_have_text("j")
    page.keyboard.press("h")
    expect(page.get_by_text("How to do a comparison.")).to_be_hidden()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys on this page")
    expect(dialog.locator('[data-action="left-better"]')).to_contain_text("j")
    expect(dialog.locator('[data-action="join"]')).to_be_hidden()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_key_is_chosen_by_pressing_it(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    page.goto(reverse("annotations:account"), wait_until="load")
    page.get_by_label("Skip, with a reason").focus()
    page.keyboard.press("k")
    page.get_by_label("Send and go on").focus()
    page.keyboard.press("F2")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_label("Skip, with a reason")).to_have_value("Space")
    page.keyboard.press("Control+a")  # what the browser does with Ctrl it still does
    page.keyboard.press("Enter")
    expect(page.get_by_label("Skip, with a reason")).to_have_value("Enter")
    page.keyboard.press("k")
    page.get_by_role("button", name="Save my keys").click()
    expect(page.get_by_text("Your keys are saved")).to_be_visible()
    bob.refresh_from_db()
    assert bob.keys == {"send": "F2", "skip": "k"}


# Ranking


def drag(page: Page, handle: Locator, target: Locator) -> None:
    """Drag with the mouse from the middle of one element to the middle of another."""
    start, end = handle.bounding_box(), target.bounding_box()
    assert start is not None
    assert end is not None
    page.mouse.move(start["x"] + 12, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=6)
    page.mouse.up()


def test_dragging_and_keys_give_the_same_ranking(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    by_keys = open_item(page, make_work(project, Kind.RANKING), bob)
    page.keyboard.type("24t13")
    expect(page.locator("[data-order]")).to_have_text("B = D > A > C")
    # Three tiers of four: an empty one is a place to drop something, and nothing to read.
    assert (
        page.get_by_role("list").filter(has=page.locator(".tier")).get_by_role("listitem").count()
        == 3
    )
    page.keyboard.press("Enter")
    expect(nothing_is_left(page)).to_be_visible()

    by_mouse = open_item(page, make_work(project, Kind.RANKING), bob)
    cards, tiers = page.locator("[data-place] [data-drag]"), page.locator(".tier")
    drag(page, cards.nth(1), tiers.nth(0))
    drag(page, cards.nth(2), tiers.nth(1))
    drag(page, cards.nth(3), tiers.nth(0))
    expect(page.locator("[data-order]")).to_have_text("B = D > C · to place: A")
    drag(page, cards.nth(0), tiers.nth(2))
    drag(page, tiers.nth(1).locator(".chip"), tiers.nth(3))
    expect(page.locator("[data-order]")).to_have_text("B = D > A > C")
    page.keyboard.press("Enter")
    expect(nothing_is_left(page)).to_be_visible()
    assert tiers_by_place(by_keys) == tiers_by_place(by_mouse) == [1, 0, 2, 0]


def test_moves_can_be_taken_step_by_step(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, Kind.RANKING), bob)
    order = page.locator("[data-order]")
    page.keyboard.type("1234")
    expect(order).to_have_text("A > B > C > D")
    page.keyboard.press("ArrowUp")
    expect(order).to_have_text("A > B > D > C")
    page.keyboard.press("t")
    expect(order).to_have_text("A > B = D > C")
    page.keyboard.press("x")
    expect(order).to_have_text("A > B > D > C")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Backspace")
    expect(order).to_have_text("A > D > C · to place: B")
    expect(page.locator("#announcement")).to_have_text("B is off the board. To place: B.")


def test_an_untouched_order_cannot_be_sent(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, Kind.RANKING), bob)
    page.keyboard.press("Enter")
    expect(page.locator("[data-order]")).to_have_text("Not sent. Still to place: A, B, C, D.")
    expect(page.get_by_role("button", name="Place A next")).to_be_focused()
    page.keyboard.type("123")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-order]")).to_have_text("Not sent. Still to place: D.")
    assert not Annotation.objects.exists()


def test_enter_sends_once_what_was_missing_is_placed(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    assignment = open_item(page, make_work(project, Kind.RANKING), bob)
    page.keyboard.type("124")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Place C next")).to_be_focused()
    page.keyboard.type("3t")
    expect(page.locator("[data-order]")).to_have_text("A > B > C = D")
    page.keyboard.press("Enter")
    expect(nothing_is_left(page)).to_be_visible()
    assert tiers_by_place(assignment) == [0, 1, 2, 2]


# Drafts


def test_what_no_browser_could_lay_out_is_not_pasted(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, Kind.DEMONSTRATION), bob)
    paste = """(length) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData("text/plain", "x".repeat(length));
        const options = { clipboardData, bubbles: true, cancelable: true };
        return document.getElementById("text").dispatchEvent(new ClipboardEvent("paste", options));
    }"""
    assert page.evaluate(paste, 200_000)
    expect(page.locator("#trouble")).to_be_empty()
    assert not page.evaluate(paste, 200_001)
    expect(page.locator("#trouble")).to_contain_text("Not pasted: that has 200,001 characters.")


def test_a_draft_survives_a_closed_tab_and_another_browser(
    browser: Browser,
    context: BrowserContext,
    page: Page,
    project: Project,
    bob: User,
    sign_in: SignIn,
    live_server: Any,
) -> None:
    sign_in(bob)
    assignment = open_item(page, make_work(project, Kind.DEMONSTRATION), bob)
    page.keyboard.type("half a haiku")
    expect(saving(page)).to_have_text("Draft saved")
    page.close()
    elsewhere = browser.new_context(base_url=live_server.url, storage_state=context.storage_state())
    other = elsewhere.new_page()
    other.evaluate("1")
    other.goto(f"/assignments/{assignment.pk}/")
    expect(other.get_by_label("Your answer")).to_have_value("half a haiku")
    elsewhere.close()


@pytest.mark.parametrize("kind", [Kind.COMPARISON, Kind.RANKING, Kind.RATING, Kind.ASSEMBLY])
def test_every_kind_of_work_is_kept_while_it_is_done(
    page: Page, project: Project, bob: User, sign_in: SignIn, kind: Kind
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, kind), bob)
    for key in ANSWERS[kind][:-1]:
        page.keyboard.press(key)
    expect(saving(page)).to_have_text("Draft saved")
    entered = page.evaluate(ENTERED)
    page.evaluate("localStorage.clear()")
    page.reload()
    page.wait_for_load_state("load")
    assert page.evaluate(ENTERED) == entered
    assert not Annotation.objects.exists()


def test_a_lost_connection_is_shown_and_outlived(
    page: Page, context: BrowserContext, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    assignment = open_item(page, make_work(project, Kind.DEMONSTRATION), bob)
    context.set_offline(True)
    page.keyboard.type("written offline")
    expect(saving(page)).to_have_text("Not saved: no connection. Kept in this browser.")
    context.set_offline(False)
    expect(saving(page)).to_have_text("The connection is back. Draft saved.")
    assignment.refresh_from_db()
    assert assignment.draft == {"text": ["written offline"]}


def test_what_is_sent_offline_goes_out_when_the_line_is_back(
    page: Page, context: BrowserContext, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, Kind.DEMONSTRATION), bob)
    context.set_offline(True)
    page.keyboard.type(HAIKU)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#trouble")).to_contain_text("is sent by itself")
    context.set_offline(False)
    expect(nothing_is_left(page)).to_be_visible()
    assert Annotation.objects.get().demonstration.completion.text == HAIKU


class Server:
    """A server in a process of its own, to be killed and started again at the same address."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        database = f"sqlite:///{connection.settings_dict['NAME']}"
        command = ["manage.py", "runserver", "--noreload", "--insecure", f"localhost:{self.port}"]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env={
                **os.environ,
                "DATABASE_URL": database,
                "DJANGO_SETTINGS_MODULE": "labelstudio_llm.settings_test",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as attempt:
                if attempt.connect_ex(("localhost", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("The server did not start.")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.kill()


def test_leaving_the_field_does_not_call_off_what_is_sent_offline(
    page: Page, context: BrowserContext, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, Kind.DEMONSTRATION), bob)
    context.set_offline(True)
    page.keyboard.type(HAIKU)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#trouble")).to_contain_text("is sent by itself")
    page.keyboard.press("Escape")
    context.set_offline(False)
    expect(nothing_is_left(page)).to_be_visible(timeout=15_000)


def test_what_is_changed_after_sending_offline_is_not_said_to_go_out(
    page: Page, context: BrowserContext, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    assignment = open_item(page, make_work(project, Kind.DEMONSTRATION), bob)
    trouble = page.locator("#trouble")
    context.set_offline(True)
    page.keyboard.type("first")
    page.keyboard.press("Control+Enter")
    expect(trouble).to_contain_text("is sent by itself")
    page.keyboard.type(" and more")
    expect(trouble).to_contain_text("Not sent: you changed it after sending.")
    expect(trouble).not_to_contain_text("by itself")
    context.set_offline(False)
    expect(saving(page)).to_have_text("The connection is back. Draft saved.", timeout=15_000)
    expect(trouble).to_contain_text("Send it again when it is ready.")
    assignment.refresh_from_db()
    assert assignment.draft == {"text": ["first and more"]}
    assert not Annotation.objects.exists()
    page.keyboard.press("Control+Enter")
    expect(nothing_is_left(page)).to_be_visible()


def test_a_killed_server_loses_nothing(
    browser: Browser, server: Server, project: Project, bob: User
) -> None:
    context = browser.new_context(base_url=f"http://localhost:{server.port}")
    page = context.new_page()
    page.goto("/sign-in/")
    page.get_by_label("Username").fill("bob")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Hello")).to_be_visible()
    open_item(page, make_work(project, Kind.DEMONSTRATION), bob)
    server.kill()
    page.keyboard.type(HAIKU)
    expect(saving(page)).to_contain_text("Kept in this browser")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#trouble")).to_contain_text("cannot be reached")
    server.start()
    expect(nothing_is_left(page)).to_be_visible(timeout=20_000)
    assert Annotation.objects.get().demonstration.completion.text == HAIKU
    context.close()


def test_a_stale_tab_never_overwrites_newer_work(
    page: Page, context: BrowserContext, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    assignment = open_item(page, make_work(project, Kind.DEMONSTRATION), bob)
    other = context.new_page()
    other.goto(page.url)
    other.wait_for_load_state("load")
    other.keyboard.type("newer")
    expect(saving(other)).to_have_text("Draft saved")

    page.get_by_label("Your answer").fill("older")
    dialog = page.get_by_role("dialog", name="Another tab has saved something newer")
    expect(dialog).to_contain_text("newer")
    expect(dialog).to_contain_text("older")
    assignment.refresh_from_db()
    assert assignment.draft == {"text": ["newer"]}
    dialog.get_by_role("button", name="Go on with what is stored").click()
    expect(page.get_by_label("Your answer")).to_have_value("newer")

    with other.expect_response("**/draft/"):
        other.get_by_label("Your answer").fill("newest")
    page.get_by_label("Your answer").fill("mine")
    page.get_by_role("button", name="Go on with what this tab has").click()
    expect(saving(page)).to_have_text("Draft saved")
    assignment.refresh_from_db()
    assert assignment.draft == {"text": ["mine"]}


@pytest.mark.long
def test_two_versions_can_be_closed_and_called_back(
    page: Page, context: BrowserContext, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    assignment = open_item(page, make_work(project, Kind.DEMONSTRATION), bob)
    other = context.new_page()
    other.goto(page.url)
    other.wait_for_load_state("load")
    other.keyboard.type("newer")
    expect(saving(other)).to_have_text("Draft saved")

    page.keyboard.type("older")
    dialog = page.get_by_role("dialog", name="Another tab has saved something newer")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.type(" and more")
    page.keyboard.press("Escape")
    page.wait_for_timeout(1500)  # longer than a draft waits
    expect(dialog).to_have_count(0)
    expect(saving(page)).to_contain_text("Not saved: another tab has saved something newer.")
    assignment.refresh_from_db()
    assert assignment.draft == {"text": ["newer"]}

    page.reload()
    expect(dialog).to_contain_text("older and more")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Your answer")).to_have_value("older and more")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert").filter(has_text="Newer work on this item")).to_be_visible()
    assert not Annotation.objects.exists()

    page.goto(page.url)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Compare them").click()
    dialog.get_by_role("button", name="Go on with what this tab has").click()
    expect(saving(page)).to_have_text("Draft saved")
    assignment.refresh_from_db()
    assert assignment.draft == {"text": ["older and more"]}


def test_a_stale_tab_does_not_submit_over_newer_work(
    page: Page, context: BrowserContext, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, Kind.COMPARISON), bob)
    other = context.new_page()
    other.goto(page.url)
    other.wait_for_load_state("load")
    other.keyboard.press("9")
    expect(saving(other)).to_have_text("Draft saved")
    page.keyboard.press("1")
    page.keyboard.press("1")
    notice = page.get_by_role("alert").filter(has_text="Newer work on this item is stored")
    expect(notice).to_contain_text("B is much better")
    assert not Annotation.objects.exists()
    page.get_by_role("button", name="Send").click()
    expect(nothing_is_left(page)).to_be_visible()
    assert Annotation.objects.get().comparison.outcome == "left"


def test_two_versions_are_told_in_the_words_of_the_page(
    page: Page, context: BrowserContext, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    scheme = make_rating_scheme(project, before_ranking=True)
    item = make_item(project, Kind.RANKING, texts=("one", "two", "three"), rating_scheme=scheme)
    open_item(page, item, bob)
    other = context.new_page()
    other.goto(page.url, wait_until="load")
    other.keyboard.type("21")
    other.get_by_role("checkbox").first.check()
    overall = other.get_by_role("radiogroup", name="How good is it overall?, B")
    overall.get_by_role("radio", name="6").check(force=True)
    expect(saving(other)).to_have_text("Draft saved")
    page.keyboard.type("3")
    stored = page.get_by_role("region", name="What is stored")
    for words in ("A in place 2", "Is it harmful?", "How good is it overall?, B 6"):
        expect(stored).to_contain_text(words)


# Undo


def test_undo_brings_the_item_back_as_it_was(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    first, _ = make_work(project, Kind.COMPARISON), make_work(project, Kind.COMPARISON)
    sign_in(bob)
    page.set_viewport_size({"width": 1280, "height": 800})
    open_item(page, first, bob)
    before = page.locator("#answer").bounding_box()
    page.locator("#reason").fill("by mistake")
    page.keyboard.press("Escape")
    page.keyboard.press("8")
    page.keyboard.press("8")
    expect(prompt_of(page)).not_to_have_text(first.prompt.text)
    expect(page.locator("[data-undo]")).to_be_visible()
    assert page.locator("#answer").bounding_box() == before
    page.keyboard.press("u")
    expect(prompt_of(page)).to_have_text(first.prompt.text)
    expect(page.get_by_role("radio", name="B is better")).to_be_checked()
    expect(page.locator("#reason")).to_have_value("by mistake")
    page.keyboard.press("1")
    page.keyboard.press("1")
    expect(prompt_of(page)).not_to_have_text(first.prompt.text)
    in_force = Annotation.objects.get(retraction__isnull=True)
    assert in_force.comparison.outcome == "left"


def test_a_skip_can_be_undone(page: Page, project: Project, bob: User, sign_in: SignIn) -> None:
    first, _ = make_work(project, Kind.COMPARISON), make_work(project, Kind.COMPARISON)
    sign_in(bob)
    open_item(page, first, bob)
    page.keyboard.press("s")
    page.locator("#skip-note").press("Enter")  # no reason was chosen
    page.keyboard.press("Escape")
    expect(page.locator("#work")).to_be_focused()
    page.keyboard.press("s")
    expect(page.locator("[data-skip] form button").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(prompt_of(page)).not_to_have_text(first.prompt.text)
    page.keyboard.press("Control+z")
    expect(prompt_of(page)).to_have_text(first.prompt.text)


def test_what_was_put_together_is_sent_from_its_button(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    first, _ = make_work(project, Kind.ASSEMBLY), make_work(project, Kind.ASSEMBLY)
    sign_in(bob)
    open_item(page, first, bob)
    page.locator("[data-part]").first.click()
    page.locator("[data-put-together]").press("Enter")
    page.keyboard.press("Control+Enter")
    expect(prompt_of(page)).not_to_have_text(first.prompt.text)


def test_the_undo_bar_goes_by_itself(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    project.grace_seconds = 3
    project.save()
    first, _ = make_work(project, Kind.COMPARISON), make_work(project, Kind.COMPARISON)
    sign_in(bob)
    open_item(page, first, bob)
    page.keyboard.press("5")
    page.keyboard.press("5")
    expect(page.locator("[data-undo]")).to_be_visible()
    expect(page.locator("[data-undo]")).to_have_count(0)


def test_the_last_item_can_be_undone_by_key_too(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, Kind.COMPARISON), bob)
    page.keyboard.press("5")
    page.keyboard.press("5")
    expect(nothing_is_left(page)).to_be_visible()
    page.wait_for_load_state("load")
    page.keyboard.press("u")
    expect(page.get_by_role("radio", name="Tie: neither is better")).to_be_checked()


@pytest.fixture
def correcting(page: Page, project: Project, bob: User, sign_in: SignIn) -> Assignment:
    """Open the page on which bob corrects what he has just written."""
    assignment = make_assignment(make_work(project, Kind.DEMONSTRATION), bob)
    services.submit_demonstration(assignment, "first")
    sign_in(bob)
    page.goto(reverse("annotations:correct", args=[assignment.pk]), wait_until="load")
    return assignment


@pytest.mark.usefixtures("correcting")
def test_a_correction_is_kept_on_the_server_until_it_is_sent(
    browser: Browser, context: BrowserContext, page: Page, live_server: Any
) -> None:
    page.get_by_label("Your answer").fill("second")
    expect(saving(page)).to_have_text("Draft saved")
    elsewhere = browser.new_context(base_url=live_server.url, storage_state=context.storage_state())
    other = elsewhere.new_page()
    other.goto(page.url)
    other.evaluate("localStorage.clear()")
    other.reload()
    expect(other.get_by_label("Your answer")).to_have_value("second")
    expect(other.get_by_text("It is not sent yet.")).to_be_visible()
    elsewhere.close()
    page.get_by_role("button", name="Save correction").click()
    expect(page.get_by_text("Your correction is saved.")).to_be_visible()
    in_force = Annotation.objects.get(superseded_by__isnull=True)
    assert in_force.demonstration.completion.text == "second"


@pytest.mark.usefixtures("correcting")
@pytest.mark.long
def test_a_correction_outlives_a_lost_connection_and_a_stale_tab(
    page: Page, context: BrowserContext
) -> None:
    context.set_offline(True)
    page.get_by_label("Your answer").fill("offline")
    expect(saving(page)).to_have_text("Not saved: no connection. Kept in this browser.")
    context.set_offline(False)
    expect(saving(page)).to_have_text("The connection is back. Draft saved.", timeout=15_000)
    other = context.new_page()
    other.goto(page.url, wait_until="load")
    other.get_by_label("Your answer").fill("newer")
    expect(saving(other)).to_have_text("Draft saved")
    page.get_by_label("Your answer").fill("older")
    dialog = page.get_by_role("dialog", name="Another tab has saved something newer")
    expect(dialog).to_contain_text("newer")
    dialog.get_by_role("button", name="Go on with what is stored").click()
    expect(page.get_by_label("Your answer")).to_have_value("newer")
    with page.expect_navigation(url="**/history/"):
        page.get_by_role("button", name="Save correction").click()
    other.get_by_label("Your answer").fill("too late")
    expect(saving(other)).to_contain_text("was corrected or taken back elsewhere")
    other.get_by_role("button", name="Save correction").click()
    expect(other.get_by_role("alert").filter(has_text="Newer work")).to_contain_text("newer")
    assert Annotation.objects.count() == 2


@pytest.mark.usefixtures("correcting")
def test_a_correction_can_be_begun_anew(page: Page) -> None:
    page.get_by_label("Your answer").fill("second")
    expect(saving(page)).to_have_text("Draft saved")
    page.reload()
    page.get_by_role("button", name="Begin anew with what you sent").click()
    expect(page.get_by_label("Your answer")).to_have_value("first")
    expect(page.get_by_text("It is not sent yet.")).to_have_count(0)


# What helps


def test_differences_are_marked_on_a_key_and_go_again(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    prompt = make_prompt(project)
    texts = ("old pond\na frog leaps in", "old pool\na frog leaps in")
    completions = [make_completion(prompt, text) for text in texts]
    item = make_item(project, prompt=prompt, completions=completions)
    sign_in(bob)
    open_item(page, item, bob)
    page.keyboard.press("d")
    assert page.locator("[data-completion] mark").all_text_contents() == ["pond", "pool"]
    assert page.locator("[data-completion]").all_text_contents() == list(texts)
    page.keyboard.press("d")
    assert page.locator("mark").count() == 0
    assert page.locator("[data-completion]").all_text_contents() == list(texts)


def test_a_rewrite_shows_what_it_changes(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    open_item(page, make_work(project, Kind.REWRITE), bob)
    page.locator("#text").fill("first frost")
    differences = page.locator("[data-diff-of]")
    assert differences.locator("del").all_text_contents() == ["light"]
    assert differences.locator("ins").all_text_contents() == ["frost"]


def test_syllables_are_counted_while_one_writes(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    project.counters, project.line_syllables = ["words", "lines", "syllables"], [5, 7, 5]
    project.save()
    sign_in(bob)
    open_item(page, make_work(project, Kind.DEMONSTRATION), bob)
    page.keyboard.type("an old silent pond")
    expect(page.locator("#counter")).to_have_text("4 words, 1 line · 5 of 5-7-5 syllables")
    page.locator("#text").fill(HAIKU)
    expect(page.locator("#counter")).to_have_text("13 words, 3 lines · 5-7-5 syllables ✓")
    page.reload()
    expect(page.locator("#counter")).to_have_text("13 words, 3 lines · 5-7-5 syllables ✓")


def test_the_guidelines_can_be_searched(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    long = "".join(f"<h2>Clause {n}</h2><p>{'words ' * 200}</p>" for n in range(5))
    version = project.guideline_versions.get(kind=Kind.COMPARISON)
    project.guideline_versions.filter(pk=version.pk).update(
        html=f"{long}<h2>Comparison</h2><p>One frog.</p><p>Two Frogs.</p>"
    )
    sign_in(bob)
    open_item(page, make_work(project, Kind.COMPARISON), bob)
    expect(page.get_by_text("One frog.")).to_be_in_viewport()
    page.keyboard.press("/")
    page.keyboard.type("frog")
    expect(page.locator("[data-guidelines-count]")).to_have_text("1 of 2")
    page.keyboard.press("Enter")
    expect(page.locator("[data-guidelines-count]")).to_have_text("2 of 2")
    page.keyboard.type("zzz")
    expect(page.locator("[data-guidelines-count]")).to_have_text("not found")
    assert page.locator("#guidelines mark").count() == 0


def test_active_time_stops_when_nothing_happens(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    page.clock.install()
    sign_in(bob)
    open_item(page, make_work(project, Kind.COMPARISON), bob)
    page.clock.run_for(10_000)
    page.keyboard.press("Shift")
    page.clock.run_for(600_000)
    with page.expect_request("**/submit/") as sending:
        page.keyboard.press("1")
        page.keyboard.press("1")
    sent = parse_qs(sending.value.post_data or "")
    assert 40_000 <= int(sent["active_ms"][0]) <= 45_000


# Keys that are pressed where one writes


def test_a_key_that_is_held_does_not_write_into_the_next_item(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    first = make_work(project, Kind.COMPARISON)
    make_work(project, Kind.DEMONSTRATION)
    sign_in(bob)
    open_item(page, first, bob)
    page.keyboard.press("5")
    page.keyboard.down("Enter")
    field = page.get_by_label("Your answer")
    expect(field).to_be_focused()
    for _ in range(5):
        page.keyboard.down("Enter")
    expect(field).to_have_value("")
    page.keyboard.up("Enter")
    page.keyboard.press("Enter")
    expect(field).to_have_value("\n")


def test_a_key_that_is_held_does_not_acknowledge_new_guidelines(
    page: Page, project: Project, alice: User, bob: User, sign_in: SignIn
) -> None:
    first = make_work(project, Kind.COMPARISON)
    sign_in(bob)
    open_item(page, first, bob)
    page.keyboard.press("5")
    make_work(project, Kind.COMPARISON)
    services.publish_guideline(project, Kind.COMPARISON, "Be fair.", alice)
    page.keyboard.down("Enter")
    button = page.get_by_role("button", name="I have read it, go on")
    expect(button).to_be_focused()
    for _ in range(5):
        page.keyboard.down("Enter")
    page.wait_for_timeout(300)
    expect(button).to_be_visible()
    assert not GuidelineAcknowledgement.objects.exists()
    page.keyboard.up("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_be_attached()
    assert GuidelineAcknowledgement.objects.exists()


def test_the_sheet_of_guidelines_can_be_put_away(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    page.set_viewport_size({"width": 390, "height": 740})
    open_item(page, make_work(project, Kind.COMPARISON), bob)
    link, sheet = page.get_by_role("link", name="Guidelines"), page.locator("[data-sheet]")
    link.click()
    expect(sheet).to_be_visible()
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    link.click()
    sheet.get_by_role("button", name="Close").click()
    expect(sheet).to_have_count(0)
    expect(link).to_be_focused()


def test_undo_works_from_the_field_of_the_next_item(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    first, second = (make_work(project, Kind.DEMONSTRATION) for _ in range(2))
    sign_in(bob)
    open_item(page, first, bob)
    field = page.get_by_label("Your answer")
    page.keyboard.type(HAIKU)
    page.keyboard.press("Control+Enter")
    expect(prompt_of(page)).to_have_text(second.prompt.text)
    expect(page.locator("[data-undo] button")).to_have_text("Undo Escu")
    page.keyboard.type("a")
    page.keyboard.press("Control+z")
    expect(field).to_have_value("")  # what was typed comes first
    expect(prompt_of(page)).to_have_text(second.prompt.text)
    page.reload()
    expect(field).to_be_focused()
    page.keyboard.press("Control+z")
    expect(prompt_of(page)).to_have_text(first.prompt.text)
    expect(field).to_have_value(HAIKU)
    page.keyboard.press("Escape")
    expect(page.locator(".undo__leave")).to_be_hidden()


def test_a_zoomed_page_shows_its_keys(
    page: Page, project: Project, bob: User, sign_in: SignIn
) -> None:
    sign_in(bob)
    page.set_viewport_size({"width": 640, "height": 400})
    first, _ = make_work(project, Kind.COMPARISON), make_work(project, Kind.COMPARISON)
    open_item(page, first, bob)
    page.keyboard.press("5")
    page.keyboard.press("5")
    expect(page.locator("[data-undo] kbd").last).to_be_visible()
    expect(page.get_by_role("button", name="Send").locator("kbd")).to_be_visible()
    expect(page.get_by_role("button", name="Keys")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
    assert page.evaluate("document.querySelector('.site-header').scrollWidth") <= 640


# Without scripts


@pytest.mark.parametrize("kind", [Kind.COMPARISON, Kind.DEMONSTRATION, Kind.RANKING])
def test_it_works_without_scripts(
    browser: Browser, live_server: Any, client: Any, project: Project, bob: User, kind: Kind
) -> None:
    client.force_login(bob)
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    session = client.cookies["session"].value
    context.add_cookies([{"name": "session", "value": session, "url": live_server.url}])
    page = context.new_page()
    assignment = open_item(page, make_work(project, kind), bob)
    expect(page.locator(".scripted").first).to_be_hidden()
    if kind == Kind.DEMONSTRATION:
        page.get_by_label("Your answer").fill(HAIKU)
    elif kind == Kind.COMPARISON:
        page.get_by_role("radio", name="Tie: neither is better").check(force=True)
    else:
        expect(page.locator("[data-board]")).to_be_hidden()
        expect(page.locator(".dock__hint")).to_be_hidden()
        for name, place in (("A", 2), ("B", 1), ("C", 3), ("D", 1)):
            page.get_by_role("radio", name=f"{name} in place {place}").check(force=True)
    page.get_by_role("button", name="Send").click()
    expect(nothing_is_left(page)).to_be_visible()
    assert Annotation.objects.get(assignment=assignment).kind == kind
    if kind == Kind.RANKING:
        assert tiers_by_place(assignment) == [1, 0, 2, 0]
    context.close()
