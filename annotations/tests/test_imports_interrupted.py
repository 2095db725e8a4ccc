"""An import that is killed, stopped or doubled leaves the rows of one that went through."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from annotations import services
from annotations.models import Import, Project, User
from annotations.services import imports as writing
from annotations.services.records import add_records
from annotations.tests.content import content_of
from annotations.tests.test_imports import lines, task


def tasks() -> bytes:
    """Return a file with every kind of judgement, some of them twice, in several batches."""
    rows: list[dict[str, Any]] = []
    for number in range(2):
        pair = {"prompt": f"A haiku, {number}", "answer1": f"pond {number}", "answer2": "frog"}
        three = {"prompt": "Rank", "items": [{"id": f"{n}", "body": f"{n}"} for n in range(3)]}
        one = {"prompt": f"A haiku, {number}", "answer": "frog"}
        rows += [
            task(pair, "pairwise", {"selected": "left"}),
            task(three | {"prompt": f"Rank {number}"}, "ranker", {"ranker": ["2", "0", "1"]}),
            task(one, "rating", {"rating": 2 + number}, from_name="quality", to_name="answer"),
            task(one, "textarea", {"text": f"better {number}"}),
            task({"prompt": f"Rank {number}"}, "textarea", {"text": "an answer"}),
            {"data": pair | {"answer2": "toad"}, "annotations": []},
        ]
    judge = {"result": [{"type": "pairwise", "value": {"selected": "right"}, "from_name": "q"}]}
    again = rows[0] | {"predictions": [judge | {"model_version": "judge"}]}
    return lines(*rows, again, *rows[:4])


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BATCH_ROWS", 3)
    monkeypatch.setattr(writing, "CHECKED_AT_ONCE", 10)
    monkeypatch.setattr(writing, "go_on", lambda _: None)  # each test says when


@pytest.fixture
def uninterrupted(alice: User, small_batches: None) -> list[str]:
    """Return what an import without any trouble makes of the file."""
    project = another_project(alice, "Uninterrupted")
    assert services.run_import(begun(project)).state == Import.State.DONE
    return content_of(project)


def another_project(alice: User, name: str) -> Project:
    return services.create_project(name=name, description="", created_by=alice)


def begun(project: Project, person: User | None = None) -> Import:
    brought = services.bring_file(project, "f.jsonl", [tasks()], person or project.created_by)
    services.start_import(brought)
    return brought


def finished(brought: Import) -> Import:
    """Go on with an import as the worker does when nobody holds it any longer."""
    Import.objects.filter(id=brought.pk).update(held_until=timezone.now() - writing.HELD_FOR)
    return services.run_import(brought)


def call_then(act: Callable[[], None], kept: Callable[..., Any], *, at: int) -> Callable[..., Any]:
    """Return a function that does something else, once, before its call number `at`."""
    calls: list[int] = []

    def called(*arguments: Any, **named: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == at:
            act()
        return kept(*arguments, **named)

    return called


def die() -> None:
    raise KeyboardInterrupt


def test_killed_at_any_moment_it_ends_with_the_same_rows(alice, uninterrupted, monkeypatch):
    kept, killed, was_killed = writing._save, 0, True
    while was_killed:
        project = another_project(alice, f"Killed {killed}")
        brought = begun(project)
        monkeypatch.setattr(writing, "_save", call_then(die, kept, at=killed + 1))
        try:
            services.run_import(brought)
            was_killed = False
        except KeyboardInterrupt:
            killed += 1
            assert finished(brought).state == Import.State.DONE
            assert content_of(project) == uninterrupted
    assert killed == 8, "twice while it is checked, six times while it is written"


@pytest.mark.django_db(transaction=True)
def test_killed_with_its_process_it_ends_with_the_same_rows(alice, uninterrupted, monkeypatch):
    project = another_project(alice, "Killed")
    brought = begun(project)
    connections.close_all()  # two processes must not share one
    child = os.fork()
    if not child:
        try:
            kill = partial(os.kill, os.getpid(), signal.SIGKILL)
            writing._save = call_then(kill, writing._save, at=6)
            services.run_import(brought)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    brought.refresh_from_db()
    assert (brought.state, brought.rows) == (Import.State.WRITING, 9)
    assert finished(brought).state == Import.State.DONE
    assert content_of(project) == uninterrupted


def test_stopped_half_way_the_same_file_adds_the_rest_and_then_nothing(
    project, uninterrupted, monkeypatch
):
    stopped = begun(project)
    stop = partial(services.cancel_import, stopped)
    with monkeypatch.context() as patched:
        # The rows are gone through to be checked, and then again: this is in the third batch.
        patched.setattr(writing, "_go_to", call_then(stop, writing._go_to, at=26))
        assert services.run_import(stopped).state == Import.State.CANCELLED
    assert 0 < len(content_of(project)) < len(uninterrupted)
    for _ in range(2):
        again = services.run_import(begun(project))
        assert content_of(project) == uninterrupted
    assert {name for name, count in again.written.items() if count} == {"duplicates"}


@pytest.mark.django_db(transaction=True)
def test_two_people_who_import_one_file_at_once_give_each_row_once(
    alice, eve, uninterrupted, monkeypatch
):
    project = another_project(alice, "Twice")
    kept = writing.publish_scheme

    def slowly(*arguments: Any) -> Any:
        time.sleep(0.2)  # in which the other one would look whether there are questions
        return kept(*arguments)

    monkeypatch.setattr(writing, "publish_scheme", slowly)
    both = [begun(project, person) for person in (alice, eve)]
    barrier = threading.Barrier(len(both))

    def work(brought: Import) -> str:
        barrier.wait(30)
        try:
            return services.run_import(brought).state
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(both)) as pool:
        assert list(pool.map(work, both)) == [Import.State.DONE] * 2
    assert sorted(content_of(project)) == sorted(uninterrupted)
    alone = Import.objects.get(project__name="Uninterrupted").written
    for name in ("prompts", "completions", "annotations", "annotators", "asked"):
        assert (
            sum(one.written.get(name, 0) for one in Import.objects.filter(project=project))
            == alone[name]
        )


@pytest.mark.parametrize(("most", "read"), [(writing.KEPT_ROWS, 1), (16, 2)])
def test_a_small_file_is_read_once_and_a_large_one_again(
    project, uninterrupted, monkeypatch, most, read
):
    reads: list[Path] = []
    kept = writing.read_records

    def counted(path: Path, *arguments: Any) -> Any:
        reads.append(path)
        return kept(path, *arguments)

    monkeypatch.setattr(writing, "KEPT_ROWS", most)
    monkeypatch.setattr(writing, "read_records", counted)
    assert services.run_import(begun(project)).state == Import.State.DONE
    assert content_of(project) == uninterrupted
    assert len(reads) == read


def test_a_file_that_ends_one_worker_after_the_other_is_given_up(
    project: Project, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought = begun(project)
    written: list[int] = []

    def add_then_die(*given: Any, **named: Any) -> dict[str, int]:
        if len(written) == 2:
            raise SystemExit  # as the kernel ends it: nothing here is told
        written.append(1)
        return add_records(*given, **named)

    monkeypatch.setattr(writing, "add_records", add_then_die)
    for _ in range(writing.MOST_LOST):
        with pytest.raises(SystemExit):
            finished(brought)
    ended = finished(brought)
    assert (ended.state, ended.rows) == (Import.State.FAILED, 6)
    assert "3 times without a word" in ended.problem
    monkeypatch.setattr(writing, "add_records", add_records)
    services.start_import(ended)
    assert services.run_import(ended).state == Import.State.DONE


def test_one_that_comes_on_between_is_not(
    project: Project, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought = begun(project)
    calls: list[int] = []

    def add_and_die_after(*given: Any, **named: Any) -> dict[str, int]:
        calls.append(1)
        if len(calls) % 2 == 0:
            raise SystemExit
        return add_records(*given, **named)

    monkeypatch.setattr(writing, "add_records", add_and_die_after)
    deaths = 0
    while brought.state not in (Import.State.DONE, Import.State.FAILED):
        try:
            brought = finished(brought)
        except SystemExit:
            deaths += 1
    assert brought.state == Import.State.DONE
    assert deaths > writing.MOST_LOST
