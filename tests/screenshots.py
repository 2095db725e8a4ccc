"""Take the pictures of the documentation from the demo as it is today.

`python -m tests.screenshots docs/images` starts a demo of its own, opens its pages as the people of
the demo, and ends it. Which pages: PICTURES. The picture of a run is kept as it is: a run takes
minutes, and `make docs` should not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.conf import settings
from playwright.sync_api import Browser, sync_playwright

from tests.test_start import free_port, wait_until_it_serves

PICTURES = {
    # name: who looks, where in the project, what is pressed there
    "labelling": ("bob", "", "Compare"),
    "guidelines": ("alice", "guidelines/comparison/edit/", ""),
    "agreement": ("alice", "agreement/", ""),
    "loop": ("eve", "loop/", ""),
}
SIZE = {"width": 1280, "height": 800}


@contextmanager
def demo() -> Iterator[str]:
    """Yield the address of a demo that ends afterwards."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name:
        folder = Path(name)
        unwanted = ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL", "ARTIFACTS_URL")
        environment = {key: value for key, value in os.environ.items() if key not in unwanted}
        environment |= {"VAR_DIR": name, "DEMO": "1", "PORT": str(port)}
        environment["BASE_MODEL_PATH"] = str(settings.BASE_MODEL_PATH)
        with (folder / "log").open("w") as log:
            platform = subprocess.Popen(
                [sys.executable, "-m", "labelstudio_llm.start"],
                env=environment,
                stdout=log,
                stderr=log,
                text=True,
            )
        try:
            wait_until_it_serves(port, platform, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            platform.send_signal(signal.SIGINT)
            platform.wait()


def take(browser: Browser, url: str, target: Path) -> None:
    """Open a page of the demo project as a person, and keep what it looks like."""
    person, path, button = PICTURES[target.stem]
    context = browser.new_context(base_url=url, viewport=SIZE, reduced_motion="reduce")
    page = context.new_page()
    page.goto("/sign-in/")
    page.get_by_role("button", name=person.title()).click()
    page.goto(f"/projects/1/{path}")
    if button:
        page.get_by_role("button", name=button).first.click()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=target)
    context.close()


def main(folder: Path) -> None:
    """Take all pictures into a folder."""
    django.setup()
    from tests.browser.conftest import NO_CHROMIUM, find_chromium  # it imports models

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, demo() as url:
        program = find_chromium(playwright.chromium.executable_path)
        if program is None:
            sys.exit(NO_CHROMIUM)
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        for name in PICTURES:
            take(browser, url, folder / f"{name}.png")
            print(f"{folder / name}.png")
        browser.close()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labelstudio_llm.settings")
    os.environ.setdefault("DEMO", "1")
    main(Path(sys.argv[1]))
