"""How fast labels go in: next item and submit, over HTTP, against the real server.

Each database is filled, the server of the Procfile is started on it, and annotators submit
comparisons one after the other, each as soon as the last answer (which holds the next item) is
there. Clients and server share the machine, so the figures are those of the two together.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from django.conf import settings

SIZES = (1_000, 1_000_000)
LABELS = {1: 100, 8: 320, 32: 640, 128: 1024}
"""Submits that are measured, by the number of annotators; fewer than there are places."""
WARM_UP = 20
OVERLAP = 3
TEMPLATE_ITEMS = 1_000
START_SECONDS = 60
SERVER = re.compile(r"^web: exec (.*) --bind", re.MULTILINE)
"""What the Procfile serves the pages with, but for the address."""
SUBMIT = re.compile(rb"/assignments/(\d+)/submit/")


def measure() -> list[dict[str, Any]]:
    """Return a row for each database, size and number of annotators."""
    rows = []
    for database in ("sqlite", "postgresql"):
        for items in SIZES:
            rows += _measure_in_a_process(database, items)
    return rows


def _measure_in_a_process(database: str, items: int) -> list[dict[str, Any]]:
    """Measure in a process of its own, because Django has one database for its life."""
    command = [sys.executable, "-m", "tests.bench.queue", "--items", str(items)]
    if database == "postgresql":
        command = [sys.executable, "-m", "tests.postgresql", *command]
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "VAR_DIR": place, "LOG_LEVEL": "ERROR", "DEMO": "1"}
        environment.pop("DATABASE_URL", None)
        environment["DJANGO_SETTINGS_MODULE"] = "labelstudio_llm.settings"
        answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    lines = answer.stdout.decode().splitlines()
    return [{"database": database, "items": items, **json.loads(line)} for line in lines]


# In the process that has the database


def main(items: int) -> None:
    """Fill the database, serve it, and print one JSON line for each number of annotators."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    project_id = fill(items)
    queries = queries_of_a_submit(project_id)
    with server() as port:
        first = Annotator(port, project_id)
        first.start_work()
        label([first], WARM_UP)  # what every process does once is not measured
        for annotators, labels in LABELS.items():
            people = [Annotator(port, project_id) for _ in range(annotators)]
            for person in people:
                person.start_work()
            before = processor_seconds()
            latencies, seconds = label(people, labels // annotators)
            processor = processor_seconds() - before
            cuts = quantiles(latencies, n=100)
            row = {
                "annotators": annotators,
                "labels": len(latencies),
                "labels_per_second": round(len(latencies) / seconds, 1),
                "cpu_ms": round(processor / len(latencies) * 1000, 1),
                "p50_ms": round(cuts[49] * 1000, 1),
                "p95_ms": round(cuts[94] * 1000, 1),
                "p99_ms": round(cuts[98] * 1000, 1),
                "queries": queries,
                "bytes": people[0].answer_bytes,
            }
            print(json.dumps(row), flush=True)


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


@contextmanager
def server() -> Iterator[int]:
    """Serve the database as `make run` does; yield the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = SERVER.search((settings.BASE_DIR / "Procfile").read_text(encoding="utf-8"))
    assert found is not None
    command = [sys.executable, "-m", *found.group(1).split(), "--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*command, "--log-level", "error"], cwd=settings.BASE_DIR)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("The server did not start; see above.") from None
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def processor_seconds() -> float:
    """Return what the server and the database have used of the processor so far, as Linux tells."""
    from django.db import connection

    counted = {os.getpid()}
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW data_directory")
            folder = Path(cursor.fetchone()[0])
        counted.add(int((folder / "postmaster.pid").read_text().split()[0]))
    ticks = {}
    for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parts[2])):
        with suppress(OSError):  # it has just ended
            fields = stat.read_text().rsplit(")", 1)[1].split()
            pid, parent = int(stat.parts[2]), int(fields[1])
            if pid in counted or parent in counted:
                counted.add(pid)
                ticks[pid] = sum(map(int, fields[11:15]))
    ticks.pop(os.getpid(), None)  # the annotators
    return sum(ticks.values()) / os.sysconf("SC_CLK_TCK")


class Annotator:
    """One person with a browser's cookies who submits as fast as the server answers."""

    def __init__(self, port: int, project_id: int) -> None:
        from annotations.models import Membership, Role, User

        self.user = user = User.objects.create_user(f"annotator-{User.objects.count()}")
        Membership.objects.create(project_id=project_id, user=user, role=Role.ANNOTATOR)
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
    main(parser.parse_args().items)
