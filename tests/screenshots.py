"""Take the pictures of the documentation from the pages as they are today.

`python -m tests.screenshots docs/images` starts a demo of its own, opens its pages as the people of
the demo, and ends it. Which pages: PICTURES, and with votes that it imports, OF_VOTES. What shows a
run (OF_A_LOOP) is taken from a copy of what `make loop` has left in VAR_DIR; where it has left
nothing those pictures are kept as they are: a loop takes half an hour, and `make docs` should not.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.conf import settings
from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = {
    # name: who looks, where in the project, what is pressed there
    "labelling": ("bob", "", "Compare"),
    "guidelines": ("alice", "guidelines/comparison/edit/", ""),
}
OF_VOTES = {"agreement": ("alice", "agreement/", "")}
OF_A_LOOP = {
    "loop": ("eve", "loop/", ""),
    "run": ("eve", "runs/", r"^\d+\sppo$"),
}
SIZE = {"width": 1280, "height": 800}
HIGHER = {"run": {"height": 1000}}


@contextmanager
def demo(*command: str, database: Path | None = None) -> Iterator[str]:
    """Yield the address of a demo that ends afterwards: a new one, or one of a copied database."""
    from tests.test_start import free_port, wait_until_it_serves  # it imports models

    port = free_port()
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name:
        folder = Path(name)
        if database is not None:
            shutil.copy(database, folder / "db.sqlite3")
        unwanted = ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL", "ARTIFACTS_URL")
        environment = {key: value for key, value in os.environ.items() if key not in unwanted}
        environment |= {"VAR_DIR": name, "DEMO": "1", "PORT": str(port)}
        environment["BASE_MODEL_PATH"] = str(settings.BASE_MODEL_PATH)
        if database is not None:
            migrate = [sys.executable, "manage.py", "migrate", "-v", "0"]
            subprocess.run(migrate, env=environment, check=True)
        with (folder / "log").open("w") as log:
            platform = subprocess.Popen(
                [sys.executable, "-m", *command],
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


@contextmanager
def signed_in(browser: Browser, url: str, person: str) -> Iterator[Page]:
    """Yield a page of a person of the demo."""
    context = browser.new_context(base_url=url, viewport=SIZE, reduced_motion="reduce")
    page = context.new_page()
    page.goto("/sign-in/")
    page.get_by_role("button", name=person.title()).click()
    yield page
    context.close()


def votes() -> bytes:
    """Return a file in which three people mostly agree, so that there is something to reckon."""
    chance = random.Random(1)
    rows = []
    for number in range(60):
        better = chance.choice("ab")
        pair = {
            "prompt": f"A haiku about pond number {number + 1}?",
            "left": f"The pond is quiet\nA frog sits on leaf {number}\nand then it does not",
            "right": f"Frogs are very nice\nThere are {number} of them\nI do like the frogs",
        }
        for person in ("w1", "w2", "w3"):
            said = better if chance.random() < 0.8 else chance.choice(["a", "b", "tie"])
            rows.append(json.dumps({**pair, "winner": said, "annotator": person}))
    return "\n".join(rows).encode()


def import_votes(browser: Browser, url: str) -> None:
    """Bring votes into the demo's project, by the pages."""
    with signed_in(browser, url, "alice") as page:
        page.goto("/projects/1/import/")
        file = {"name": "votes.jsonl", "mimeType": "application/jsonl", "buffer": votes()}
        page.locator("input[type=file]").set_input_files(file)
        page.get_by_role("button", name="Look at the file").click()
        page.get_by_role("button", name="Check and import").click()
        page.get_by_text("New annotations").wait_for(timeout=120_000)


def take(browser: Browser, url: str, target: Path) -> None:
    """Open a page of the demo project as a person, and keep what it looks like."""
    person, path, what = (PICTURES | OF_VOTES | OF_A_LOOP)[target.stem]
    with signed_in(browser, url, person) as page:
        page.set_viewport_size(SIZE | HIGHER.get(target.stem, {}))
        page.goto(f"/projects/1/{path}")
        if what and target.stem in PICTURES:
            page.get_by_role("button", name=what).first.click()
        elif what:
            page.get_by_role("link", name=re.compile(what)).first.click()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=target)


def main(folder: Path) -> None:
    """Take all pictures into a folder."""
    django.setup()
    from tests.browser.conftest import NO_CHROMIUM, find_chromium  # it imports models

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        program = find_chromium(playwright.chromium.executable_path)
        if program is None:
            sys.exit(NO_CHROMIUM)
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        with demo("labelstudio_llm.start") as url:
            take_all(browser, url, folder, PICTURES)
            import_votes(browser, url)
            take_all(browser, url, folder, OF_VOTES)
        left = Path(settings.VAR_DIR) / "loop" / "seed-0" / "db.sqlite3"
        if left.exists():  # pages alone: nothing is to go on there
            with demo("labelstudio_llm.process", "web", database=left) as url:
                take_all(browser, url, folder, OF_A_LOOP)
        else:
            print(f"Kept as they are, for want of {left} (make loop): {', '.join(OF_A_LOOP)}")
        browser.close()


def take_all(browser: Browser, url: str, folder: Path, names: Iterable[str]) -> None:
    for name in names:
        take(browser, url, folder / f"{name}.png")
        print(f"{folder / name}.png")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labelstudio_llm.settings")
    os.environ.setdefault("DEMO", "1")
    main(Path(sys.argv[1]))
