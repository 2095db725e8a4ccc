"""What programs ask of a web process: whether it lives, is ready, and how things stand."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.migrations import Migration
from django.utils import timezone

from annotations import queue
from annotations.models import Assignment
from annotations.tests.factories import make_item
from labelstudio_llm import readiness
from training import machines
from training.models import Run
from training.pipeline.machine import GpuUse, gpus_in_use
from training.tests import brokers
from training.tests.factories import make_run

TOKEN = "a-token-for-the-metrics-of-tests"
LINE = re.compile(
    r'(# (HELP|TYPE) \w+ .+)|(\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[0-9.e+-]+)', re.ASCII
)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_stored_at", float("-inf"))
    monkeypatch.setattr(readiness, "_migrated", False)


@pytest.fixture
def broker(settings: Any):
    with brokers.running() as url:
        settings.CELERY_BROKER_URL = url
        yield url


@pytest.fixture
def no_broker(settings: Any, tmp_path: Any) -> None:
    settings.CELERY_BROKER_URL = f"redis+socket://{tmp_path}/none.sock"


def test_it_lives_whatever_else_is_away_and_by_whatever_name_it_is_asked(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get("/healthz", headers={"host": "10.0.0.7:8000"})
    assert answer.status_code == 200
    assert answer.json()["healthy"] is True
    assert client.post("/healthz").status_code == 405


def test_it_is_ready_where_everything_is_there(client, db, broker):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert answer["Cache-Control"] == "no-store"


def test_it_says_which_part_is_missing_and_can_leave_it_out(client, db, no_broker, settings):
    settings.ARTIFACTS_ROOT.parent.joinpath("artifacts").write_text("not a folder")
    answer = client.get("/readyz")
    checks = answer.json()["checks"]
    assert answer.status_code == 503
    assert "The broker does not answer" in checks["broker"]
    assert "The artifact store can't be written to" in checks["artifacts"]
    assert (checks["database"], checks["migrations"]) == ("ok", "ok")
    assert str(settings.ARTIFACTS_ROOT) not in answer.text
    assert client.get("/readyz?exclude=broker&exclude=artifacts").status_code == 200
    assert "There is no check all" in client.get("/readyz?exclude=all").json()["error"]


def test_it_is_not_ready_before_its_migrations_or_without_its_database(
    client, db, broker, monkeypatch
):
    monkeypatch.setattr(
        readiness.MigrationExecutor,
        "migration_plan",
        lambda *_: [(Migration("0999_later", "training"), False)],
    )
    checks = client.get("/readyz").json()["checks"]
    assert "Run `python manage.py migrate`" in checks["migrations"]

    def away(*_: Any) -> None:
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away)
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "The database does not answer" in answer.json()["checks"]["database"]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
def test_it_shows_no_figures_to_strangers(client, settings, headers):
    settings.METRICS_TOKEN = TOKEN
    assert client.get("/metrics", headers=headers).status_code == 403


def test_it_shows_figures_to_an_address_unless_a_proxy_speaks_for_it(client, db, settings, broker):
    settings.METRICS_ADDRESSES = [ipaddress.ip_network("127.0.0.0/8")]
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", headers={"x-forwarded-for": "9.9.9.9"}).status_code == 403
    assert client.get("/metrics", REMOTE_ADDR="10.0.0.7").status_code == 403


def figures(client: Any, settings: Any) -> str:
    settings.METRICS_TOKEN = TOKEN
    answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert all(LINE.fullmatch(line) for line in answer.text.splitlines()), answer.text
    return answer.text


def test_its_figures_follow_leases_runs_and_gpus(client, project, bob, settings, broker):
    make_item(project)
    queue.lease_next(bob, project)
    Assignment.objects.update(leased_at=timezone.now() - timedelta(seconds=90))
    make_run(project, state=Run.State.QUEUED)
    machines.tell("gpu-1", [GpuUse(0, 0.5, 2**30, 2**34)])
    text = figures(client, settings)
    assert "\nlabelstudio_llm_leases 1\n" in text
    assert re.search(r"\nlabelstudio_llm_lease_oldest_seconds 9\d", text)
    assert 'labelstudio_llm_runs{stage="sft",state="queued"} 1' in text
    assert 'labelstudio_llm_queue_depth{queue="training"} 0' in text
    assert 'labelstudio_llm_gpu_busy_ratio{machine="gpu-1",gpu="0"} 0.5' in text
    assert "\nlabelstudio_llm_broker_up 1\n" in text


def test_its_figures_need_few_queries_and_no_broker(
    client, project, settings, no_broker, django_assert_max_num_queries
):
    with django_assert_max_num_queries(7):
        text = figures(client, settings)
    assert "\nlabelstudio_llm_broker_up 0\n" in text


def test_it_reads_what_a_gpu_does_from_nvidia_smi(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, 37, 1024, 81920'\necho '1, 0, 3, 81920'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    first, second = gpus_in_use()
    assert (first.busy, first.memory_used, second.index) == (0.37, 2**30, 1)
