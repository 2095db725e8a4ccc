"""A real Chromium for the tests in this folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright

from annotations.models import User

# The one without a window first: it does the same work for half of the processor's time.
CHROMIUM_NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
NO_CHROMIUM = (
    "The browser tests found no Chromium. Get it with `apt install chromium-headless-shell` or "
    "`.venv/bin/playwright install chromium`, or name it in CHROMIUM."
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def find_chromium(bundled: str) -> str | None:
    """Return the program to drive: CHROMIUM, one on the PATH, or Playwright's own."""
    if named := os.environ.get("CHROMIUM"):
        return named
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    return found or (bundled if Path(bundled).exists() else None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium once. Where there is none, skip; in CI that is a failure."""
    with sync_playwright() as playwright:
        program = find_chromium(playwright.chromium.executable_path)
        if program is None:
            if os.environ.get("CI"):
                pytest.fail(NO_CHROMIUM)
            pytest.skip(NO_CHROMIUM)
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def window(browser: Browser, live_server: Any) -> Iterator[BrowserContext]:
    """Open one window for all tests: each new one costs Chromium half a second of work."""
    window = browser.new_context(base_url=live_server.url)
    window.set_default_timeout(10_000)
    yield window
    window.close()


@pytest.fixture(scope="session")
def storage(window: BrowserContext) -> CDPSession:
    """Reach what the window's sites have stored, from a page that stays open."""
    return window.new_cdp_session(window.new_page())


@pytest.fixture
def context(
    window: BrowserContext, storage: CDPSession, live_server: Any
) -> Iterator[BrowserContext]:
    """Lend the window as if it were new: no page, no cookie, nothing stored, online."""
    keeper = window.pages[0]
    yield window
    window.set_offline(False)
    window.unroute_all()
    for page in window.pages:
        if page is not keeper:
            page.close()
    window.clear_cookies()
    storage.send("Storage.clearDataForOrigin", {"origin": live_server.url, "storageTypes": "all"})


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """Open a page; a script error or a breach of the content security policy fails the test."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda message: (
            errors.append(message.text)
            if message.type == "error" and "Content Security Policy" in message.text
            else None
        ),
    )
    yield page
    assert not errors, "\n".join(errors)


@pytest.fixture
def sign_in(context: BrowserContext, client: Any, live_server: Any) -> Callable[[User], None]:
    """Return a function that makes the window that of `user`, without the sign-in page."""

    def as_user(user: User) -> None:
        client.force_login(user)
        cookie = client.cookies["session"]
        context.add_cookies([{"name": "session", "value": cookie.value, "url": live_server.url}])

    return as_user
