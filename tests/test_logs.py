"""Lines of logs, and the ids that tie a request to its tasks and its runs."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from django.test import RequestFactory
from django.urls import reverse

from labelstudio_llm import logs, sentry
from labelstudio_llm.logs import JsonFormatter
from training import supervisor, tracing


def line_of(message: str, **more: Any) -> dict[str, Any]:
    record = logging.LogRecord("some.name", logging.WARNING, "", 0, message, ("x",), None)
    record.__dict__ |= more
    line: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return line


def test_a_line_is_json_with_the_ids_of_what_it_belongs_to():
    with tracing.belonging_to(request_id="r-1"), tracing.belonging_to(run_id=7):
        line = line_of("Saw “%s”\nand more", fields={"status": 200})
    assert line["message"] == "Saw “x”\nand more"
    assert (line["level"], line["logger"], line["status"]) == ("warning", "some.name", 200)
    assert (line["request_id"], line["run_id"]) == ("r-1", "7")
    assert "run_id" not in line_of("%s")


def test_what_was_sent_makes_no_line_of_its_own_and_steers_no_terminal():
    form = logs.configuration(as_json=False, level="INFO")["formatters"]["text"]
    formatter = logs.TextFormatter(form["format"])
    message = "GET /x\nERROR django: forged\r\x1b[2J failed é"
    error = ValueError("x\nERROR django: forged")
    told = (ValueError, error, None)
    record = logging.LogRecord("some.name", logging.ERROR, "", 0, message, (), told)
    shown = "ERROR some.name: GET /x\n  ERROR django: forged\\r\\x1b[2J failed é"
    assert formatter.format(record) == f"{shown}\n  ValueError: x\n  ERROR django: forged"
    assert form["()"].endswith(".TextFormatter")


def test_a_line_that_django_writes_after_the_answer_has_the_id_of_its_request():
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "Not Found", (), None)
    record.request = RequestFactory().get("/")  # type: ignore[attr-defined]  # as Django adds it
    record.request.request_id = "proxy-5"  # type: ignore[attr-defined]
    assert json.loads(JsonFormatter().format(record))["request_id"] == "proxy-5"


def test_a_line_keeps_the_traceback():
    try:
        raise ValueError("broken")
    except ValueError:
        line = line_of("Failed %s", exc_info=sys.exc_info())
    assert line["exception"].endswith("ValueError: broken")


def test_a_request_keeps_the_id_it_came_with(client, db, caplog):
    caplog.set_level(logging.INFO, "labelstudio_llm.requests")
    answer = client.get(reverse("annotations:sign_in"), headers={"x-request-id": "proxy-4f"})
    assert answer["X-Request-ID"] == "proxy-4f"
    [record] = [r for r in caplog.records if r.name == "labelstudio_llm.requests"]
    assert record.fields["route"] == "/sign-in/"
    assert record.fields["status"] == 200


@pytest.mark.parametrize("sent", ["", "two words", "x" * 101, "new\nline", "é"])
def test_a_request_gets_an_id_where_it_has_none_that_fits(client, db, sent):
    answer = client.get(reverse("annotations:sign_in"), HTTP_X_REQUEST_ID=sent)
    assert answer["X-Request-ID"] != sent
    assert len(answer["X-Request-ID"]) == 32


def test_the_line_of_a_request_names_objects_but_no_secret_of_its_address(
    client, project, bob, caplog
):
    caplog.set_level(logging.INFO, "labelstudio_llm.requests")
    client.force_login(bob)
    client.get(reverse("annotations:project", args=[project.pk]))
    client.get("/join/a-secret-token/")
    first, second = [r for r in caplog.records if r.name == "labelstudio_llm.requests"]
    assert first.fields["objects"] == {"project_id": project.pk}
    assert first.fields["user"] == bob.pk
    assert "a-secret-token" not in f"{second.getMessage()} {second.fields}"


def test_a_message_carries_the_id_of_its_request_to_the_task():
    app = Celery("a", broker="memory://", set_as_current=False)
    seen: list[dict[str, str]] = []

    @app.task(name="look")
    def look() -> None:
        seen.append(dict(tracing.ids()))

    headers: dict[str, Any] = {}
    with tracing.belonging_to(request_id="r-2"):
        logs.pass_on(headers=headers)
    look.push_request(**headers)  # as a worker does with what a message carries
    logs.begin_task(task=look, task_id="t-1")
    look()
    logs.end_task()
    look.apply()
    assert seen[0]["request_id"] == "r-2"
    assert seen[0]["task"] == "look"
    assert "request_id" not in seen[-1]
    assert not tracing.ids()


def test_a_child_is_told_what_it_belongs_to_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("SENTRY_DSN", "https://key@sentry.example/1")
    monkeypatch.setenv("METRICS_TOKEN", "secret")
    shown = "{k: v for k, v in os.environ.items() if k[:5] in ('TRACE', 'SENTR', 'METRI')}"
    script = f"import os; print({shown})"
    with tracing.belonging_to(request_id="r-3", run_id=5):
        supervisor.run_child(
            {"work_dir": str(tmp_path)},
            on_event=lambda _: True,
            should_stop=lambda: None,
            command=[sys.executable, "-S", "-c", script],
        )
    log = (tmp_path / supervisor.LOG).read_text()
    assert "start (request_id r-3, run_id 5)" in log
    assert "{'TRACE_REQUEST_ID': 'r-3', 'TRACE_RUN_ID': '5'}" in log


def test_it_says_what_to_install_where_sentry_is_wanted(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(Exception, match=r"pip install -r requirements-production\.txt"):
        sentry.start("https://key@sentry.example/1", "1")


def test_sentry_is_told_where_and_never_what_somebody_wrote():
    event = {
        "transaction": "/invitations/{secret}/",
        "request": {
            "method": "GET",
            "url": "https://labels.example.org/invitations/private/",
            "query_string": "next=/private/",
            "headers": {"Referer": "https://labels.example.org/invitations/private/"},
        },
        "exception": {"values": [{"type": "DataError", "value": "(private)", "module": "django"}]},
        "logentry": {"message": "Not %s", "params": ["private"], "formatted": "Not private"},
        "breadcrumbs": {
            "values": [
                {"category": "query", "message": "SELECT %s"},
                {"category": "httplib", "data": {"url": "https://hooks.example.org/?key=private"}},
            ]
        },
        "extra": {"sys.argv": ["manage.py", "erase_person", "private"]},
    }
    with tracing.belonging_to(request_id="r-4"):
        told = sentry.tell_where(event, {})
    assert "private" not in json.dumps(told)
    assert told["tags"] == {"request_id": "r-4"}
    assert told["exception"]["values"] == [{"type": "DataError", "module": "django"}]
    assert [one["message"] for one in told["breadcrumbs"]["values"]] == ["SELECT %s"]


def test_a_line_that_nobody_reads_is_dropped_without_a_word_about_it(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    complaints = []
    with suppress(BrokenPipeError), os.fdopen(writing, "w") as broken:
        console = logs.Console(broken)
        # As in a worker: what is printed there is logged.
        monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=complaints.append))
        console.handle(logging.LogRecord("some.name", logging.ERROR, "", 0, "lost", (), None))
        assert complaints == []
        console.handle(logging.LogRecord("some.name", logging.ERROR, "", 0, "%d", ("x",), None))
        assert "TypeError" in "".join(complaints)
