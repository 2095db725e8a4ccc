"""How fast the leaderboard answers: 50 checkpoints, 100,000 battles, through the whole stack.

A database is filled in a process of its own and the page is asked for through Django's client, so
the figures are those of one process without a network. At `nothing kept` the page says that votes
are being read; `read here` is the look at which every vote is read with its texts, `first` the
first one after the scheduler has kept the board up, `again` the next one; `new vote` the one after
a vote came; the others ask for something that was not reckoned before.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

CHECKPOINTS, BATTLES, PEOPLE = 50, 100_000, 40
AT_ONCE = 10_000
LOOKS: tuple[tuple[str, dict[str, str]], ...] = (
    ("nothing kept", {}),
    ("read here", {"wait": "on"}),
    ("first", {}),
    ("again", {}),
    ("new vote", {}),
    ("marked counted", {"marked": "in"}),
    ("other ladders", {"more": "on"}),
    ("style", {"style": "on"}),
    ("bootstrap", {"bootstrap": "on"}),
)


def measure() -> list[dict[str, Any]]:
    """Return the seconds of each look, with and without several votes on an item."""
    return [row for overlap in (1, 3) for row in _in_a_process(overlap)]


def _in_a_process(overlap: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.bench.leaderboard", "--overlap", str(overlap)]
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "VAR_DIR": place, "LOG_LEVEL": "ERROR", "DEMO": "1"}
        environment.pop("DATABASE_URL", None)
        environment["DJANGO_SETTINGS_MODULE"] = "labelstudio_llm.settings"
        answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in answer.stdout.decode().splitlines()]


def main(overlap: int) -> None:
    """Fill the database and print one JSON line for each look."""
    from celery import current_app
    from django.core.cache import cache
    from django.core.management import call_command
    from django.test import Client

    from training.tasks import keep_up_boards

    current_app.conf.broker_url = "memory://"  # somebody can be asked
    call_command("migrate", verbosity=0)
    project, votes = _project(), _votes(overlap)
    players, people = _players(project), _people(project)
    for start in range(0, BATTLES // overlap, AT_ONCE):
        _fill(project, players, people, votes, min(AT_ONCE, BATTLES // overlap - start))
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(project.created_by)
    client.get(f"/projects/{project.pk}/")  # what every process does once is not measured
    for name, query in LOOKS:
        if name == "first":
            cache.clear()
            keep_up_boards()
        elif name == "new vote":
            _fill(project, players, people, votes, 1)
        started = time.monotonic()
        response = client.get(f"/projects/{project.pk}/leaderboard/", query)
        seconds = time.monotonic() - started
        if response.status_code != 200:
            raise SystemExit(f"The leaderboard was answered {response.status_code}.")
        row = {
            "votes_per_item": overlap,
            "look": name,
            "seconds": round(seconds, 2),
            "kilobytes": len(response.content) // 1024,
        }
        print(json.dumps(row), flush=True)


def _project() -> Any:
    from annotations import services
    from annotations.models import User

    owner = User.objects.create_user("owner")
    return services.create_project(name="Bench", description="", created_by=owner)


def _players(project: Any) -> list[Any]:
    from training.models import Checkpoint

    base = Checkpoint.objects.create(project=project, name="base", kind="base", path="/base")
    made = [
        Checkpoint(project=project, name=f"ppo-{n}", kind="policy", path=f"p{n}", parent=base)
        for n in range(1, CHECKPOINTS)
    ]
    return [base, *Checkpoint.objects.bulk_create(made)]


def _people(project: Any) -> list[Any]:
    from annotations.models import User

    return User.objects.bulk_create(User(username=f"person-{n}") for n in range(PEOPLE))


def _votes(overlap: int) -> Iterator[tuple[int, int, list[tuple[int, str]]]]:
    """Yield two players and what people said of them; a later player is a little better."""
    chance = random.Random(5)
    while True:
        left, right = chance.sample(range(CHECKPOINTS), 2)
        favour = 1 / (1 + 10 ** ((right - left) / CHECKPOINTS))
        outcomes = ("left", "right", "tie", "both_bad")
        weights = (0.8 * favour, 0.8 * (1 - favour), 0.15, 0.05)
        people = chance.sample(range(PEOPLE), overlap)
        yield left, right, [(one, chance.choices(outcomes, weights)[0]) for one in people]


def _fill(project: Any, players: list[Any], people: list[Any], votes: Any, items: int) -> None:
    from annotations.models import Annotation, Comparison, Completion, Item, Prompt

    drawn = [next(votes) for _ in range(items)]
    start = Prompt.objects.count()
    prompts = Prompt.objects.bulk_create(
        Prompt(
            project=project,
            messages=[{"role": "user", "content": f"Haiku {start + n}"}],
            text=f"Haiku {start + n}",
            content_hash=f"{start + n:064d}",
            split="test",
        )
        for n in range(items)
    )
    sides = [
        Completion.objects.bulk_create(
            Completion(
                prompt=prompt,
                text=f"old pond {prompt.pk}\na frog leaps in\nwater's sound\n" * (1 + side),
                origin="checkpoint",
                checkpoint=players[one[side]],
            )
            for prompt, one in zip(prompts, drawn, strict=True)
        )
        for side in (0, 1)
    ]
    made = Item.objects.bulk_create(
        Item(project=project, kind="comparison", prompt=prompt, purpose="evaluation", open_slots=0)
        for prompt in prompts
    )
    said = [
        (item, left, right, people[person], outcome)
        for item, left, right, (_, _, given) in zip(made, *sides, drawn, strict=True)
        for person, outcome in given
    ]
    annotations = Annotation.objects.bulk_create(
        Annotation(item=item, annotator=person, kind="comparison") for item, _, _, person, _ in said
    )
    Comparison.objects.bulk_create(
        Comparison(annotation=annotation, left=left, right=right, outcome=outcome)
        for annotation, (_, left, right, _, outcome) in zip(annotations, said, strict=True)
    )


if __name__ == "__main__":
    import django

    django.setup()
    parser = argparse.ArgumentParser()
    parser.add_argument("--overlap", type=int, required=True)
    main(parser.parse_args().overlap)
