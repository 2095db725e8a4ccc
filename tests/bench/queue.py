"""How fast labels go in: next item and submit, over HTTP, against the real server.

Each database is filled, the server of the Procfile is started on it, and annotators submit
comparisons one after the other, each as soon as the last answer (which holds the next item) is
there. Clients and server share the machine, so the figures are those of the two together.

`queue_training` measures the same while a run fine-tunes the demo model, through broker, worker and
child as people start it, and in turn with the run held, which is what the ratio is to be taken to.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import re
import secrets
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from django.conf import settings

from tests.bench.programs import (
    DATABASES,
    Beside,
    in_a_process,
    megabytes_of,
    processor_seconds,
    server,
    training,
)

SIZES = (1_000, 1_000_000)
LABELS = {1: 100, 8: 320, 32: 640, 128: 1024}
"""Submits that are measured, by the number of annotators; fewer than there are places."""
WARM_UP = 20
OVERLAP = 3
TEMPLATE_ITEMS = 1_000
SUBMIT = re.compile(rb"/assignments/(\d+)/submit/")


def measure(*, beside_training: bool = False) -> list[dict[str, Any]]:
    """Return a row for each database, size and number of annotators."""
    more = ["--training"] if beside_training else []
    return [
        {"database": database, "items": items, **row}
        for database in DATABASES
        for items in SIZES
        for row in in_a_process(
            "tests.bench.queue", "--items", str(items), *more, database=database
        )
    ]


def measure_beside_training() -> list[dict[str, Any]]:
    """Return two rows for each: with a run beside it, and with the run held."""
    return measure(beside_training=True)


# In the process that has the database


def main(items: int, *, beside_training: bool) -> None:
    """Fill the database, serve it, and print a JSON line for each number of annotators."""
    from django.core.management import call_command

    from annotations.models import Project

    call_command("migrate", verbosity=0)
    project_id = fill(items)
    queries = queries_of_a_submit(project_id)
    with ExitStack() as stack:
        port, web = stack.enter_context(server())
        first = Annotator(port, project_id)
        first.start_work()
        label([first], WARM_UP)  # what every process does once is not measured
        run = None
        if beside_training:
            run = stack.enter_context(training(Project.objects.get(id=project_id)))
            run.hold()
        for annotators, labels in LABELS.items():
            for held in (True, False) if run else (True,):
                people = [Annotator(port, project_id) for _ in range(annotators)]
                each = labels // annotators // (2 if run else 1)
                row = measured(people, each, web.pid, None if held else run)
                if run and held:
                    row["beside"] = "a run that is held"
                print(json.dumps({"annotators": annotators, **row, "queries": queries}), flush=True)


def measured(
    people: list[Annotator], labels_each: int, web: int, run: Beside | None
) -> dict[str, Any]:
    """Let people label, beside a run or nothing; return what that took."""
    for person in people:
        person.start_work()
    if run:
        run.go_on()
    steps, before = run.steps if run else 0, processor_seconds(web)
    latencies, seconds = label(people, labels_each)
    processor = processor_seconds(web) - before
    done = run.steps - steps if run else 0
    if run:
        run.hold()
    cuts = quantiles(latencies, n=100)
    return {
        "labels": len(latencies),
        "labels_per_second": round(len(latencies) / seconds, 1),
        "cpu_ms": round(processor / len(latencies) * 1000, 1),
        "p50_ms": round(cuts[49] * 1000, 1),
        "p95_ms": round(cuts[94] * 1000, 1),
        "p99_ms": round(cuts[98] * 1000, 1),
        "bytes": people[0].answer_bytes,
        "web_mb": megabytes_of(web),
        "beside": f"{60 * done / seconds:.1f} steps a minute" if run else "–",
    }


def queries_of_a_submit(project_id: int) -> int:
    """Return how many statements a submit takes, the next item and its page included."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    person, client = Annotator(0, project_id), Client(SERVER_NAME="127.0.0.1")
    client.cookies.load(person.headers["Cookie"])
    client.post(f"/projects/{project_id}/start/", {"kind": "comparison"})
    for _ in range(2):  # the first knows no marks yet
        held = person.user.assignments.get(state="leased")
        with CaptureQueriesContext(connection) as captured:
            client.post(
                f"/assignments/{held.pk}/submit/",
                {"choice": "left-better"},
                headers={"HX-Request": "true"},
            )
    return len(captured)


def fill(items: int) -> int:
    """Make a project with so many comparisons of two completions each; return its id."""
    from annotations import services
    from annotations.importers import PromptRow
    from annotations.models import Completion, Item, Project, Prompt, User

    owner = User.objects.create_user("owner")
    project = services.create_project(name="Bench", description="", created_by=owner)
    texts = [f"Write a haiku about number {number}." for number in range(TEMPLATE_ITEMS)]
    turns = [({"role": "user", "content": text},) for text in texts]
    services.import_prompts(
        project, [PromptRow(messages) for messages in turns], owner, as_demonstrations=False
    )
    answers = [
        services.Answer(prompt.pk, f"{side} pond\na frog leaps in\nwater's sound {prompt.pk}")
        for prompt in project.prompts.order_by("id")
        for side in ("old", "new")
    ]
    services.add_completions(project, answers, kind="comparison", batch="bench", overlap=OVERLAP)
    times = items // TEMPLATE_ITEMS - 1
    shown = Item.completions.through
    strides = {model: model.objects.count() for model in (Prompt, Completion, Item, shown)}
    moved = {
        "prompt_id": strides[Prompt],
        "completion_id": strides[Completion],
        "item_id": strides[Item],
    }
    for model, stride in strides.items():
        _multiply(model, times, {"id": stride, **moved})
    return Project.objects.values_list("id", flat=True).get(id=project.pk)


def _multiply(model: Any, times: int, strides: dict[str, int]) -> None:
    """Copy every row of a table so many times, in the database, with ids that go on."""
    from django.db import connection

    columns = [field.column for field in model._meta.concrete_fields]
    values = []
    for column in columns:
        if column in strides:
            values.append(f"t.{column} + n.n * {strides[column]}")
        elif column in ("content_hash", "fingerprint"):  # one question each
            values.append(f"substr(t.{column}, 1, 50) || n.n")
        else:
            values.append(f"t.{column}")
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE n(n) AS (SELECT 1 WHERE 1 <= %s UNION ALL "
            f"SELECT n + 1 FROM n WHERE n < %s) INSERT INTO {table} ({', '.join(columns)}) "
            f"SELECT {', '.join(values)} FROM {table} t, n",
            [times, times],
        )
        if connection.vendor == "postgresql":
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
            )
            cursor.execute(f"ANALYZE {table}")  # as autovacuum does after a while


class Annotator:
    """One person with a browser's cookies who submits as fast as the server answers."""

    def __init__(self, port: int, project_id: int, *, role: str = "annotator") -> None:
        from annotations.models import Membership, User

        self.user = user = User.objects.create_user(f"{role}-{User.objects.count()}")
        Membership.objects.create(project_id=project_id, user=user, role=role)
        self.project_id = project_id
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        token = secrets.token_hex(16)
        self.headers = {
            "Cookie": f"{settings.SESSION_COOKIE_NAME}={_session_of(user)}; "
            f"{settings.CSRF_COOKIE_NAME}={token}",
            "X-CSRFToken": token,
            "Accept-Encoding": "gzip",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self.assignment = b""
        self.answer_bytes = 0

    def start_work(self) -> None:
        """Take the first item."""
        self._request("POST", f"/projects/{self.project_id}/start/", "kind=comparison")
        self._read_assignment(self._request("GET", self.location, ""))
        self.connection.close()  # the server drops connections that are idle for two seconds

    def submit(self) -> float:
        """Answer the item in hand and read the next one; return the seconds that took."""
        url = f"/assignments/{self.assignment.decode()}/submit/"
        started = time.monotonic()
        page = self._request("POST", url, "choice=left-better", {"HX-Request": "true"})
        elapsed = time.monotonic() - started
        self._read_assignment(page)
        return elapsed

    def open(self, page: str) -> float:
        """Open a page; return the seconds that took."""
        self.connection.close()
        url = page.format(project=self.project_id, user=self.user.pk)
        started = time.monotonic()
        self._request("GET", url, "")
        return time.monotonic() - started

    def _request(
        self, method: str, url: str, body: str, headers: dict[str, str] | None = None
    ) -> bytes:
        self.connection.request(method, url, body, self.headers | (headers or {}))
        response = self.connection.getresponse()
        content = response.read()
        if response.status >= 400:
            raise SystemExit(f"{method} {url} was answered {response.status}.")
        self.location = response.headers.get("Location", "")
        self.answer_bytes = len(content)
        packed = response.headers.get("Content-Encoding") == "gzip"
        return gzip.decompress(content) if packed else content

    def _read_assignment(self, page: bytes) -> None:
        found = SUBMIT.search(page)
        if found is None:
            raise SystemExit("An answer held no next item, although the queue has some.")
        self.assignment = found.group(1)


def _session_of(user: Any) -> str:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


@dataclass
class _Share:
    """What one thread measured, or why it stopped."""

    latencies: list[float]
    failure: BaseException | None = None


def label(people: list[Annotator], labels_each: int) -> tuple[list[float], float]:
    """Let everyone submit at once; return the latency of every submit and the time of all."""
    shares = [_Share([]) for _ in people]

    def work(person: Annotator, share: _Share) -> None:
        try:
            for _ in range(labels_each):
                share.latencies.append(person.submit())
        except BaseException as error:
            share.failure = error

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(people, shares, strict=True)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - started
    for share in shares:
        if share.failure is not None:
            raise share.failure
    return [latency for share in shares for latency in share.latencies], seconds


if __name__ == "__main__":
    import django

    django.setup()
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--training", action="store_true", help="in turn with a run beside it")
    arguments = parser.parse_args()
    main(arguments.items, beside_training=arguments.training)
