"""How long pages take while fifty people label at the pace of people, over HTTP.

Everybody reads for a while, submits and gets the next item; now and then somebody opens another
page instead, and two who lead the project open its pages all the time. Server, broker and default
worker are those of the Procfile; the people are threads on the same machine.

It is measured with nothing beside it, and while a run fine-tunes the demo model. PAGES_LIMIT_MS
names what is promised of every page.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import quantiles
from typing import Any

from tests.bench.programs import (
    DATABASES,
    in_a_process,
    processor_seconds,
    program,
    server,
    training,
)
from tests.bench.queue import WARM_UP, Annotator, fill, label

PAGES_LIMIT_MS = 200
PEOPLE, LEADS = 50, 2
THINK_S = 6.0
"""How long people take for an item, in the mean; times are exponential."""
LEAD_THINK_S = 2.0
OTHER_PAGE = 0.15
"""How often somebody opens another page instead of submitting."""
ITEMS = 10_000
BEFORE = 40
"""What each has submitted before anything is measured, so that pages have something to show."""
SECONDS = 120
OF_ANNOTATORS = (
    "/",
    "/projects/{project}/",
    "/projects/{project}/guidelines/",
    "/projects/{project}/history/",
    "/projects/{project}/pay/people/{user}/",
    "/account/",
    "/account/data/",
)
OF_LEADS = (
    "/",
    *(
        f"/projects/{{project}}/{page}"
        for page in (
            *("", "dashboard/", "members/", "prompts/", "history/", "agreement/", "pay/"),
            *("adjudication/", "flags/", "tickets/", "settings/", "import/", "export/"),
            *("people/{user}/", "snapshots/", "runs/", "runs/new/", "checkpoints/"),
            *("leaderboard/", "loop/", "audit/", "next-items/"),
        )
    ),
)


def measure() -> list[dict[str, Any]]:
    """Return a row for each database, for what was asked for, alone and beside a run."""
    return [
        {"database": database, **row}
        for database in DATABASES
        for row in in_a_process("tests.bench.pages", database=database)
    ]


# In the process that has the database


def main(seconds: float, items: int, before: int) -> None:
    from django.core.management import call_command

    from annotations.models import Project, Role

    call_command("migrate", verbosity=0)
    project_id = fill(items)
    with ExitStack() as stack:
        stack.enter_context(program("broker"))
        port, web = stack.enter_context(server())
        stack.enter_context(program("worker-default"))
        people = [Annotator(port, project_id) for _ in range(PEOPLE)]
        leads = [Annotator(port, project_id, role=Role.OWNER) for _ in range(LEADS)]
        for person in people:
            person.start_work()
        label(people[:1], WARM_UP)  # what every process does once is not measured
        label(people, before)
        look_around(leads[0])
        tell(work(people, leads, seconds, web.pid), beside="–")
        run = stack.enter_context(training(Project.objects.get(id=project_id)))
        steps, began = run.steps, time.monotonic()
        rows = work(people, leads, seconds, web.pid)
        pace = 60 * (run.steps - steps) / (time.monotonic() - began)
        tell(rows, beside=f"{pace:.1f} steps a minute")


def tell(rows: list[dict[str, Any]], *, beside: str) -> None:
    for row in rows:
        print(json.dumps({"beside": beside, **row}), flush=True)


def look_around(lead: Annotator) -> None:
    """Open every page once: what every process does once is not measured."""
    for _ in range(4):  # server processes take turns as they like
        for page in (*OF_ANNOTATORS, *OF_LEADS):
            lead.open(page)


def work(
    people: list[Annotator], leads: list[Annotator], seconds: float, web: int
) -> list[dict[str, Any]]:
    """Let everybody work for a while; return a row for each thing they asked for."""
    before = processor_seconds(web)
    took: dict[str, list[float]] = {}
    guard, end = threading.Lock(), time.monotonic() + seconds

    def note(what: str, elapsed: float) -> None:
        with guard:
            took.setdefault(what, []).append(elapsed)

    def annotate(person: Annotator, draw: random.Random) -> None:
        while wait(draw.expovariate(1 / THINK_S), end):
            if draw.random() < OTHER_PAGE:
                page = draw.choice(OF_ANNOTATORS)
                note(f"annotator {page}", person.open(page))
            else:
                person.connection.close()  # the server has dropped it while somebody thought
                note("submit and next", person.submit())

    def lead(person: Annotator, draw: random.Random) -> None:
        while wait(draw.expovariate(1 / LEAD_THINK_S), end):
            page = draw.choice(OF_LEADS)
            note(f"lead {page}", person.open(page))

    everybody: list[tuple[Callable[..., None], Annotator]] = [
        *((annotate, person) for person in people),
        *((lead, person) for person in leads),
    ]
    failures: list[BaseException] = []

    def at_work(act: Callable[..., None], person: Annotator, number: int) -> None:
        try:
            act(person, random.Random(number))
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=at_work, args=(act, person, number))
        for number, (act, person) in enumerate(everybody)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure
    asked = sum(map(len, took.values()))
    cpu_ms = round(1000 * (processor_seconds(web) - before) / asked, 1)
    return [
        {**row_of(what, took), "cpu_ms_of_all": cpu_ms}
        for what in ("submit and next", "annotator", "lead")
    ]


def wait(seconds: float, end: float) -> bool:
    """Wait, and return whether there is time for more."""
    time.sleep(max(0.0, min(seconds, end - time.monotonic())))
    return time.monotonic() < end


def row_of(what: str, took: dict[str, list[float]]) -> dict[str, Any]:
    """Return how long the things took whose name begins so, and which took longest."""
    chosen = {name: times for name, times in took.items() if name.startswith(what)}
    times = sorted(1000 * one for some in chosen.values() for one in some)
    cuts = quantiles(times, n=100)
    slowest = sorted(chosen, key=lambda name: -quantiles([0, *chosen[name]], n=20)[18])[:3]
    return {
        "what": {"annotator": "pages of annotators", "lead": "pages of leads"}.get(what, what),
        "times": len(times),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "p99_ms": round(cuts[98], 1),
        "longest_ms": round(times[-1], 1),
        "within_limit": round(sum(one <= PAGES_LIMIT_MS for one in times) / len(times), 3),
        "slowest": ", ".join(
            f"{name.split()[-1]} {1000 * max(chosen[name]):.0f}" for name in slowest
        )
        if len(chosen) > 1
        else "",
    }


if __name__ == "__main__":
    import django

    django.setup()
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--before", type=int, default=BEFORE)
    main(**vars(parser.parse_args()))
