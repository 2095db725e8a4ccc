"""`manage.py doctor` finds what is wrong and says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db.migrations import Migration

from labelstudio_llm import doctor, readiness
from labelstudio_llm.version import VERSION
from training.tests import brokers


def findings(*names: str) -> dict[str, list[tuple[str, str]]]:
    chosen = [one for one in doctor.EXAMINATIONS if one.__name__ in names]
    return {one.__name__: list(one()) for one in chosen}


def test_it_examines_everything_and_an_examination_that_breaks_hides_no_other(
    db, settings, tmp_path, monkeypatch
):
    settings.CELERY_BROKER_URL = f"redis+socket://{tmp_path}/none.sock"
    monkeypatch.setattr(doctor.machine, "gpus_in_use", lambda: 1 / 0)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", stdout=out, no_color=True)
    text = out.getvalue()
    assert f"labelstudio-llm {VERSION}" in text
    assert "The broker does not answer" in text
    assert "gpu             This could not be examined: ZeroDivisionError" in text
    assert "wrong" in text.splitlines()[-1]


def test_it_finds_a_broker_that_drops_or_forgets_messages(db, settings, monkeypatch):
    with brokers.running() as url:
        settings.CELERY_BROKER_URL = url
        client = doctor.streams.connection()
        client.config_set("maxmemory-policy", "allkeys-lru")
        [(level, words), (second, forgets), *_] = findings("broker")["broker"]
        assert (level, second) == ("wrong", "warning")
        assert "Set `maxmemory-policy noeviction`" in words
        assert "Set `appendonly yes`" in forgets


def test_it_tells_a_broker_that_answers_and_takes_nothing(settings):
    with brokers.running() as url:
        settings.CELERY_BROKER_URL = url
        client = doctor.streams.connection()
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.1))
        assert any("Raise `maxmemory`" in words for _, words in findings("broker")["broker"])
        client.config_set("maxmemory", 1)
        with pytest.raises(readiness.NotReady, match="its memory and its disk have room"):
            readiness.broker()
        client.config_set("maxmemory", 0)
        client.replicaof("127.0.0.1", "1")
        with pytest.raises(readiness.NotReady, match="that it is no replica"):
            readiness.broker()


def test_it_finds_what_another_user_has_left_in_its_folder(settings, tmp_path, monkeypatch):
    settings.VAR_DIR = tmp_path
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(doctor.os, "access", lambda path, _: path.name != "cache")
    words = [words for level, words in findings("environment")["environment"] if level == "wrong"]
    assert words[0].startswith(f"In {tmp_path} this user may not write to cache")


def test_it_finds_files_that_changed_after_they_were_collected(settings, tmp_path):
    settings.STATIC_ROOT, settings.STATICFILES_DIRS = tmp_path / "collected", [tmp_path / "static"]
    for name in ("collected/staticfiles.json", "static/base.css"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    os.utime(tmp_path / "collected" / "staticfiles.json", (10**9, 10**9))
    [(level, words)] = findings("static_files")["static_files"]
    assert level == "wrong"
    assert words.startswith("base.css changed after")
    os.utime(tmp_path / "static" / "base.css", (10**9, 10**9))
    assert findings("static_files")["static_files"][0][0] == "ok"


def test_it_finds_what_would_be_noticed_only_when_it_is_needed(settings, tmp_path, monkeypatch):
    settings.ALLOWED_HOSTS = ["labels.example.org"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://label.example.org", "https://labels.example.org"]
    settings.PUSH_TARGETS = ["nonsense://bucket", str(tmp_path / "models")]
    settings.PUSH_HUB_URL = "hub.example.org"
    settings.SENTRY_DSN = "http://key@127.0.0.1:1/1"
    closed = {(tmp_path / "models", os.F_OK), (tmp_path, os.W_OK)}
    monkeypatch.setattr(doctor.os, "access", lambda path, how: (path, how) not in closed)
    words = " ".join(words for level, words in findings("elsewhere")["elsewhere"] if level != "ok")
    assert "names https://label.example.org, and ALLOWED_HOSTS does not" in words
    assert "https://labels.example.org" not in words
    assert "Nobody may read /metrics" in words
    assert "PUSH_HUB_URL is 'hub.example.org'" in words
    assert "PUSH_TARGETS names nonsense://bucket: it can't be used here" in words
    assert f"this user may not write to {tmp_path}" in words
    assert "The server of SENTRY_DSN (127.0.0.1) can't be reached" in words


def test_it_finds_times_that_end_a_run_too_soon(settings):
    settings.RUN_SHUTDOWN_SECONDS, settings.RUN_SILENCE_SECONDS = 90, 2
    [(_, ends), (_, silent), _] = findings("limits")["limits"]
    assert "Raise TimeoutStopSec" in ends
    assert "a run that is only slow is taken from its worker" in silent


def test_it_finds_misspelt_variables(monkeypatch):
    monkeypatch.setenv("DATABSE_URL", "postgresql://somewhere")
    [found, *_] = findings("environment")["environment"]
    assert found == ("warning", "DATABSE_URL is set, but nothing reads it. Is DATABASE_URL meant?")


def test_it_finds_a_precision_that_no_run_can_have(monkeypatch):
    monkeypatch.setenv("TRAINING_DTYPE", "float8")
    level, words = findings("gpu")["gpu"][0]
    assert level == "wrong"
    assert "Choose float32 or bfloat16" in words


def test_it_says_when_it_runs_as_somebody_else(monkeypatch):
    monkeypatch.setattr(doctor.os, "geteuid", lambda: 10_001)
    words = [words for _, words in findings("environment")["environment"]]
    assert any("this runs as user 10001" in one for one in words)


def test_it_says_when_others_can_look_into_its_folder(db, settings, tmp_path):
    settings.VAR_DIR = tmp_path
    told = []
    for mode in (0o755, 0o750):
        tmp_path.chmod(mode)
        told.append(" ".join(words for _, words in findings("security")["security"]))
    assert [f"chmod o-rwx {tmp_path}" in words for words in told] == [True, False]


def test_it_knows_every_variable_that_the_documentation_lists():
    documented = (django_settings.BASE_DIR / "docs" / "operations.md").read_text()
    table = documented.split("## Settings")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    names = {word for row in rows for word in row.split("|")[1].replace("`", "").split(", ")}
    assert {name.strip() for name in names} == doctor.known_variables()


def test_it_tells_a_newer_migration_from_one_that_was_merged() -> None:
    merged = Migration("0001_tables", "training")
    merged.replaces = [("training", "0001_initial")]
    known = {("training", "0001_tables"): merged}
    applied = [("training", "0001_initial"), ("training", "0001_tables"), ("auth", "0099_other")]
    assert not doctor.unknown(applied, known)
    newer = ("training", "0002_of_the_next_version")
    assert doctor.unknown([*applied, newer], known) == [newer]


def test_it_finds_packages_of_another_version(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "BASE_DIR", tmp_path)
    (tmp_path / "requirements.txt").write_text("# web\nDjango==1.0\nno-such-thing==2\n")
    [(level, words)] = findings("packages")["packages"]
    assert level == "wrong"
    assert "instead of 1.0; no-such-thing is missing" in words


def test_it_says_one_sentence_where_the_settings_refuse_to_load(tmp_path: Any):
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=django_settings.BASE_DIR,
        env={"VAR_DIR": str(tmp_path), "ALLOWED_HOSTS": "a.example"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("SECRET_KEY is not set.")
    assert len(done.stderr.splitlines()) == 1
