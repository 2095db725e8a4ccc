"""Sixty-four people at once, over HTTP, on real server processes of which one is killed."""

from __future__ import annotations

import http.client
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Count
from django.test import Client
from django.utils.crypto import get_random_string

from annotations.models import Annotation, Assignment, Item, Membership, Project, Role, User
from annotations.tests.factories import make_item

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PEOPLE = 64
ITEMS = 40
OVERLAP = 3
SECRET = get_random_string(32)
"""The CSRF cookie may be any secret that the request repeats."""

CHOICES = ("left-better", "right-slightly", "tie", "both_bad")


def database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    user, password, host = (quote(database[key], safe="") for key in ("USER", "PASSWORD", "HOST"))
    url = f"postgresql://{user}:{password}@{host}:{database['PORT']}/{database['NAME']}"
    folder = database["OPTIONS"].get("host")  # of a Unix socket
    return f"{url}?host={quote(folder, safe='')}" if folder else url


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class Server:
    """The web server as the Procfile starts it, on the database of the test."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        web = Path("Procfile").read_text(encoding="utf-8").splitlines()[0]
        words = shlex.split(web.partition("exec ")[2])
        options = [word for word in words[1:] if not word.startswith("${BIND")]
        command = [sys.executable, "-m", *words[:1], *options[: options.index("--bind")]]
        command += ["--bind", f"127.0.0.1:{self.port}", *options[options.index("--bind") + 1 :]]
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "labelstudio_llm.settings_test",
            "DATABASE_URL": database_url(),
        }
        self.log = folder / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(self.log.read_text())

    def kill_one_worker(self) -> None:
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        workers = task.read_text().split()
        os.kill(int(workers[0]), signal.SIGKILL)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


class Labeller:
    """One person with a browser: takes an item, answers it, goes on to the one that comes back."""

    def __init__(self, server: Server, user: User, project: Project, seed: int) -> None:
        self.server, self.project = server, project
        client = Client()
        client.force_login(user)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        self.cookie = (
            f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={SECRET}"
        )
        self.random = random.Random(seed)
        self.answered: dict[int, str] = {}
        self.troubles: list[str] = []

    def work(self) -> None:
        """Go on until nothing is left."""
        assignment = self.start()
        while assignment is not None:
            act = self.random.random()
            if act < 0.1:
                assignment = self.skip(assignment)
            elif act < 0.2:
                self.draft(assignment)
                assignment = self.submit(assignment)
            elif act < 0.3:
                following = self.submit(assignment)
                assignment = self.undo(assignment) or following
            else:
                assignment = self.submit(assignment)

    def start(self) -> int | None:
        response, _ = self.post(f"/projects/{self.project.pk}/start/", {}, script=False)
        return self.assignment_in(response.getheader("Location"))

    def draft(self, assignment: int) -> None:
        response, _ = self.post(
            f"/assignments/{assignment}/draft/", {"choice": "tie", "draft_revision": "0"}
        )
        # A draft whose answer was lost with its server is stored all the same.
        if response.status not in (200, 409):
            self.troubles.append(f"draft: {response.status}")

    def submit(self, assignment: int) -> int | None:
        choice = self.random.choice(CHOICES)
        sent = {"choice": choice, "draft_revision": "9", "active_ms": "5"}
        response, text = self.post(f"/assignments/{assignment}/submit/", sent)
        if response.status != 200:
            self.troubles.append(f"submit: {response.status} {text[:300]}")
            return None
        if "handed in before" not in text:
            self.answered[assignment] = choice
        else:
            self.answered.setdefault(assignment, "")
        return self.following(response)

    def skip(self, assignment: int) -> int | None:
        response, _ = self.post(f"/assignments/{assignment}/skip/", {"reason": "unsure"})
        return self.following(response)

    def undo(self, assignment: int) -> int | None:
        response, _ = self.post(f"/assignments/{assignment}/undo/", {})
        if response.getheader("HX-Push-Url"):
            self.answered.pop(assignment, None)
            return assignment
        return None

    def following(self, response: http.client.HTTPResponse) -> int | None:
        if following := self.assignment_in(response.getheader("HX-Push-Url")):
            return following
        # Somebody may have skipped one since.
        return None

    @staticmethod
    def assignment_in(url: str | None) -> int | None:
        found = re.search(r"/assignments/(\d+)/", url or "")
        return int(found[1]) if found else None

    def post(
        self, path: str, fields: dict[str, str], *, script: bool = True
    ) -> tuple[http.client.HTTPResponse, str]:
        """Send a request, again if the server died over it: nothing is counted twice."""
        headers = {
            "Cookie": self.cookie,
            "X-CSRFToken": SECRET,
            "Content-Type": "application/x-www-form-urlencoded",
            "Connection": "close",
        }
        if script:
            headers["HX-Request"] = "true"
        for attempt in range(5):
            line = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
            try:
                line.request("POST", path, urlencode(fields), headers)
                response = line.getresponse()
                return response, response.read().decode()
            except (OSError, http.client.HTTPException):
                if attempt == 4:
                    raise
                time.sleep(0.2)
            finally:
                line.close()
        raise AssertionError("unreachable")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path)
    try:
        started.wait()
        yield started
    finally:
        started.end()


def at_once(acts: list[Callable[[], None]]) -> list[BaseException]:
    raised: list[BaseException] = []

    def run(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
    return raised


@pytest.mark.long
def test_sixty_four_labellers_and_a_killed_server_lose_and_double_nothing(
    server: Server, project: Project
) -> None:
    for _ in range(ITEMS):
        make_item(project, overlap=OVERLAP)
    people = [get_user_model().objects.create(username=f"crowd-{n}") for n in range(PEOPLE)]
    for user in people:
        Membership.objects.create(project=project, user=user, role=Role.ANNOTATOR)
    labellers = [Labeller(server, user, project, seed) for seed, user in enumerate(people)]

    def kill_soon() -> None:
        end = time.monotonic() + 60
        while sum(len(one.answered) for one in labellers) < ITEMS and time.monotonic() < end:
            time.sleep(0.02)
        server.kill_one_worker()

    raised = at_once([*(labeller.work for labeller in labellers), kill_soon])
    assert raised == []
    troubles = [trouble for one in labellers for trouble in one.troubles]
    assert troubles == [], server.log.read_text()[-3000:]

    in_force = Annotation.objects.filter(superseded_by__isnull=True, retraction__isnull=True)
    said = {
        annotation.assignment_id: "-".join(
            filter(None, [annotation.comparison.outcome, annotation.comparison.strength])
        )
        for annotation in in_force.select_related("comparison")
    }
    acknowledged = {key: value for one in labellers for key, value in one.answered.items()}
    assert acknowledged, server.log.read_text()[-3000:]
    for assignment, choice in acknowledged.items():
        assert assignment in said, f"the answer to {assignment} was acknowledged and is gone"
        assert said[assignment] == choice or not choice

    for item in Item.objects.annotate(people=Count("assignments")):
        kept = in_force.filter(item=item, surplus=False).count()
        held = item.assignments.filter(state=Assignment.State.LEASED).count()
        assert kept <= OVERLAP
        assert item.open_slots + held + kept == OVERLAP
    twice = Assignment.objects.values("item", "annotator").annotate(n=Count("id")).filter(n__gt=1)
    assert not twice.exists()
    answered_twice = in_force.values("item", "annotator").annotate(n=Count("id")).filter(n__gt=1)
    assert not answered_twice.exists()
    assert in_force.count() >= ITEMS * OVERLAP * 0.9
