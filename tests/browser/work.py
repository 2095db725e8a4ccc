"""Work of every kind, opened by the one who was handed it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connection
from django.urls import reverse
from playwright.sync_api import Page

from annotations import services
from annotations.models import Assignment, Item, Kind, Project, User
from annotations.tests.factories import (
    make_assignment,
    make_base,
    make_demonstration,
    make_item,
    make_prompt,
)

HAIKU = "an old silent pond\na frog jumps into the pond\nsplash silence again"
TEXTS = ("first light", "second snow", "third rain", "fourth frost")


def make_work(project: Project, kind: str) -> Item:
    """Return an item of any kind that bob can be handed."""
    prompt = make_prompt(project, f"Prompt {project.prompts.count()}")
    if kind == Kind.REVIEW:
        subject = make_demonstration(project, project.created_by, HAIKU, prompt=prompt)
        return make_item(project, kind, subject=subject.annotation)
    count = {Kind.DEMONSTRATION: 0, Kind.CONVERSATION: 0, Kind.REWRITE: 1, Kind.RANKING: 4}.get(
        Kind(kind), 2
    )
    return make_item(project, kind, prompt=prompt, texts=TEXTS[:count])


def open_item(page: Page, item: Item, user: User) -> Assignment:
    """Open an item as the one who was handed it."""
    assignment = make_assignment(item, user)
    page.goto(reverse("annotations:assignment", args=[assignment.pk]))
    page.wait_for_load_state("load")
    return assignment


REPLIES = (
    "one drop, then the roof\nthe dog looks up from his bowl\nwe both wait for it",
    "Rain is very nice.\nIt falls on everything here.\nI like rain so much.",
)


@contextmanager
def replier(project: Project, texts: Sequence[str] = REPLIES) -> Iterator[None]:
    """Answer every turn that waits, as a sampling worker does, from a thread of its own."""
    checkpoint = make_base(project)
    over = threading.Event()

    def answer() -> None:
        try:
            while not over.wait(0.05):
                for turn in services.claim_waiting_turns(10):
                    replies = [services.Reply(text, checkpoint, {}) for text in texts]
                    services.report_turn_progress(turn.id, turn.attempt, 50)
                    services.answer_turn(turn.id, turn.attempt, replies)
        finally:
            connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
