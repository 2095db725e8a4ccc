"""People who label over HTTP, remember what they were told, and do not give up."""

from __future__ import annotations

import http.client
import random
import re
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.utils.crypto import get_random_string

from annotations.models import User
from tests.chaos.history import Act, Answer, Reading

CHOICES = ("left-better", "right-slightly", "left-significantly", "tie", "both_bad")
PATIENCE_S = 12
"""How long a browser waits for an answer before it sends the same again."""
BUSY = (502, 503, 504)
SECRET = get_random_string(32)
"""The CSRF cookie may be any secret that the request repeats."""


@dataclass(frozen=True)
class Response:
    status: int
    goes_to: int | None
    """The assignment that the page shows next."""
    text: str


def cookie_of(user: User) -> str:
    """Sign a person in, as the sign-in page does, and return what the browser keeps."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return (
        f"{settings.SESSION_COOKIE_NAME}={session.session_key}; "
        f"{settings.CSRF_COOKIE_NAME}={SECRET}"
    )


class Person(threading.Thread):
    """One annotator with a browser that sends again what got no answer."""

    def __init__(self, user: User, project: int, port: int, seed: int) -> None:
        super().__init__(name=user.username, daemon=True)
        self.cookie, self.project, self.port = cookie_of(user), project, port
        self.random = random.Random(seed)
        self.acts: list[Act] = []
        self.troubles: list[Reading] = []
        self.done_at: list[float] = []
        """When something was acknowledged."""
        self.goes_home = threading.Event()

    def run(self) -> None:
        assignment: int | None = None
        while not self.goes_home.is_set():
            if assignment is None:
                assignment = self.start_work()
            if assignment is None:
                self.pause(0.5)
                continue
            self.pause(self.random.uniform(0.05, 0.25))
            assignment = self.work_at(assignment)

    def pause(self, seconds: float) -> None:
        self.goes_home.wait(seconds)

    def start_work(self) -> int | None:
        response = self.ask(f"/projects/{self.project}/start/", {}, script=False, expect=(303,))
        return response and response.goes_to

    def work_at(self, assignment: int) -> int | None:
        act = self.random.random()
        if act < 0.05:
            path = f"/assignments/{assignment}/skip/"
            response = self.ask(path, {"reason": "unsure"}, expect=(200,))
            return response and response.goes_to
        if act < 0.2:
            draft = {"choice": "tie", "draft_revision": "0"}
            self.ask(f"/assignments/{assignment}/draft/", draft, expect=(200, 409, 410))
        following = self.submit(assignment)
        if act > 0.9:
            self.submit(assignment)  # a double click, with the mouse on another answer
        if act > 0.8 and self.undo(assignment):
            return assignment
        return following

    def submit(self, assignment: int) -> int | None:
        """Send an answer until it is acknowledged; return what comes next."""
        choice = self.random.choice(CHOICES)
        fields = {"choice": choice, "draft_revision": "99", "active_ms": "5"}
        path = f"/assignments/{assignment}/submit/"
        while not self.goes_home.is_set():
            response = self.send_once(path, fields)
            if response is None:
                self.acts.append(Act(assignment, "submit", choice, "lost"))
                self.pause(0.3)
                continue
            answer: Answer = "before" if "handed in before" in response.text else "done"
            if response.status != 200:
                answer = "refused"
                self.troubles.append(Reading(path, response.status, response.text))
            self.acts.append(Act(assignment, "submit", choice, answer))
            self.done_at.append(time.monotonic())
            return response.goes_to
        return None

    def undo(self, assignment: int) -> bool:
        """Take an answer back; return whether it is open again."""
        path = f"/assignments/{assignment}/undo/"
        while not self.goes_home.is_set():
            response = self.send_once(path, {})
            if response is None:
                self.acts.append(Act(assignment, "undo", "", "lost"))
                self.pause(0.3)
                continue
            is_open = response.goes_to == assignment
            self.acts.append(Act(assignment, "undo", "", "done" if is_open else "refused"))
            return is_open
        return False

    def ask(
        self, path: str, fields: dict[str, str], *, expect: tuple[int, ...], script: bool = True
    ) -> Response | None:
        """Send a request until it is answered."""
        while not self.goes_home.is_set():
            response = self.send_once(path, fields, script=script)
            if response is not None:
                if response.status not in expect:
                    self.troubles.append(Reading(path, response.status, response.text))
                return response
            self.pause(0.3)
        return None

    def send_once(
        self, path: str, fields: dict[str, str], *, script: bool = True
    ) -> Response | None:
        """Send a request; None means that nobody knows whether it had its effect."""
        headers = {
            "Cookie": self.cookie,
            "X-CSRFToken": SECRET,
            "Content-Type": "application/x-www-form-urlencoded",
            "Connection": "close",
            **({"HX-Request": "true"} if script else {}),
        }
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            line.request("POST", path, urlencode(fields), headers)
            response = line.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            line.close()
        if response.status in BUSY:
            return None
        url = response.getheader("HX-Push-Url") or response.getheader("Location") or ""
        found = re.search(r"/assignments/(\d+)/", url)
        return Response(response.status, int(found[1]) if found else None, text)
