"""Kept figures of several machines: one Redis, in which the queue lies beside them."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from annotations import kept
from annotations.models import Project
from labelstudio_llm.shared_cache import SharedCache
from tests.test_broker import running


@pytest.fixture(scope="module")
def queue() -> Iterator[redis.Redis]:
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        running(Path(folder)) as client,
    ):
        yield client


@pytest.fixture
def machine(queue: redis.Redis) -> SharedCache:
    """Return the cache of one machine, in which nothing is kept."""
    machine = another(queue)
    machine.clear()
    return machine


def another(queue: redis.Redis) -> SharedCache:
    path = queue.connection_pool.connection_kwargs["path"]
    options = {"serializer": "labelstudio_llm.shared_cache.SignedPickles"}
    return SharedCache(f"unix://{path}", {"KEY_PREFIX": "kept", "OPTIONS": options})


@pytest.mark.django_db
def test_what_one_machine_keeps_the_others_show(
    queue: redis.Redis, machine: SharedCache, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "cache", machine)
    kept.keep(project, "figures", {"alpha": 0.5})
    monkeypatch.setattr(kept, "cache", another(queue))
    assert kept.is_kept(project, "figures")
    assert kept.recall(project, "figures") == {"alpha": 0.5}


def test_to_forget_it_leaves_the_queue_alone(queue: redis.Redis, machine: SharedCache) -> None:
    queue.lpush("labelstudio-llm:training", "run 7")
    for number in range(3):
        machine.set(f"figures-{number}", number)
    machine.clear()
    assert machine.get("figures-1") is None
    assert queue.llen("labelstudio-llm:training") == 1


@pytest.mark.django_db
def test_what_somebody_else_wrote_there_is_not_read(
    queue: redis.Redis, machine: SharedCache, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "cache", machine)
    kept.keep(project, "figures", "ours")
    (name,) = queue.keys("kept:*figures*")
    queue.set(name, bytes(32) + pickle.dumps("theirs"))
    assert kept.recall(project, "figures") is None


@pytest.mark.django_db
def test_without_redis_nothing_is_kept_and_nothing_fails(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "cache", SharedCache(f"unix://{tmp_path}/nobody.sock", {}))
    kept.keep(project, "figures", 1)
    assert not kept.is_kept(project, "figures")
    assert kept.recall(project, "figures") is None
