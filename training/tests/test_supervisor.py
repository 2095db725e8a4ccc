"""The supervisor runs real children, and kills them for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from training import supervisor
from training.tests import scripted


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    return {
        "work_dir": str(tmp_path / "work"),
        "output_dir": str(tmp_path / "out"),
        "config": {"stage": "sft"},
        "provenance": {},
        "rival": False,
    }


@pytest.fixture(autouse=True)
def no_shutdown() -> Iterator[None]:
    yield
    supervisor.forget_shutdown()


def run(
    job: dict[str, Any],
    behaviour: str,
    stop: Callable[[list[Any]], Any] = lambda events: None,
    **options: Any,
) -> tuple[supervisor.Outcome, list[supervisor.Event]]:
    events: list[supervisor.Event] = []

    def on_event(event: supervisor.Event) -> bool:
        events.append(event)
        return True

    outcome = supervisor.run_child(
        job,
        on_event=on_event,
        should_stop=lambda: stop(events),
        command=scripted.command(behaviour),
        **options,
    )
    return outcome, events


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status != "Z"


def wait_until(condition: Callable[[], Any], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_it_relays_events_and_logs_everything_else(job: dict[str, Any]) -> None:
    outcome, events = run(job, "works")
    assert (outcome.ending, outcome.results) == ("done", {"rows": 3})
    assert [e["step"] for e in events if e["event"] == "metrics"] == [1, 2, 3, 4, 5, 6]
    log = Path(job["work_dir"], "log.txt").read_text()
    assert "a line for the log" in log
    assert "a library prints this" in log


@pytest.mark.parametrize(
    ("behaviour", "ending", "exit_code"),
    [("expected", "error", 1), ("vanishes", "vanished", 3), ("killed", "killed", -9)],
)
def test_it_says_how_the_child_ended(
    job: dict[str, Any], behaviour: str, ending: str, exit_code: int
) -> None:
    outcome, _ = run(job, behaviour)
    assert (outcome.ending, outcome.exit_code) == (ending, exit_code)


def test_it_names_the_signal_that_killed_the_child(job: dict[str, Any]) -> None:
    assert run(job, "killed")[0].signal_name == "SIGKILL"


def test_it_survives_a_child_that_talks_nonsense(job: dict[str, Any]) -> None:
    outcome, events = run(job, "no words")
    assert outcome.ending == "done"
    assert all(isinstance(event["event"], str) for event in events)


def test_it_asks_the_child_to_stop_and_the_child_saves(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_STEP_S", "0.5")
    outcome, _ = run(job, "works", lambda events: "cancel" if len(events) > 3 else None)
    assert (outcome.stop, outcome.ending, outcome.exit_code) == ("cancel", "stopped", 75)
    assert Path(job["work_dir"], "steps.txt").exists()


def test_it_keeps_a_result_that_was_finished_while_stopping(job: dict[str, Any]) -> None:
    outcome, _ = run(job, "finishes when stopped", lambda events: "cancel" if events else None)
    assert (outcome.stop, outcome.ending) == ("cancel", "done")


def test_it_kills_a_child_that_does_not_stop(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "CANCEL_SILENCE_S", 0.3)
    started = time.monotonic()
    outcome, _ = run(job, "stubborn", lambda events: "cancel" if events else None)
    assert (outcome.stop, outcome.ending) == ("cancel", "killed")
    assert time.monotonic() - started < 8


def test_it_ends_a_superseded_child_at_once(job: dict[str, Any]) -> None:
    outcome = supervisor.run_child(
        job,
        on_event=lambda event: False,
        should_stop=lambda: None,
        command=scripted.command("stubborn"),
    )
    assert (outcome.stop, outcome.ending) == ("superseded", "killed")


def test_it_stops_at_the_wall_clock(job: dict[str, Any]) -> None:
    outcome, _ = run(job, "finishes when stopped", limit_s=0.2)
    assert outcome.stop == "limit"


def test_it_stops_the_child_when_the_worker_shuts_down(job: dict[str, Any]) -> None:
    threading.Timer(0.5, supervisor.announce_shutdown).start()
    assert run(job, "finishes when stopped")[0].stop == "shutdown"


def test_it_kills_a_child_that_does_not_save_before_the_worker_ends(job: dict[str, Any]) -> None:
    threading.Timer(0.5, supervisor.announce_shutdown).start()
    started = time.monotonic()
    outcome, _ = run(job, "stubborn", shutdown_s=0.3)
    assert (outcome.stop, outcome.ending) == ("shutdown", "killed")
    assert time.monotonic() - started < 10


def test_it_takes_sigterm_as_shutdown_and_gives_the_handler_back(job: dict[str, Any]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    assert run(job, "finishes when stopped")[0].stop == "shutdown"
    assert signal.getsignal(signal.SIGTERM) == before


def test_it_leaves_no_grandchild_behind(job: dict[str, Any]) -> None:
    _, events = run(job, "parent", lambda events: "cancel" if events else None)
    wait_until(lambda: not is_alive(int(events[0]["phase"].split()[1])))


def test_it_hides_the_platforms_secrets_from_the_child(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "canary")
    assert "canary" not in supervisor._environment().values()


def start_supervising(job: dict[str, Any], behaviour: str) -> subprocess.Popen[bytes]:
    """Supervise a child from another process, which the test may kill."""
    code = (
        "import json, sys\n"
        "from training import supervisor\n"
        "supervisor.run_child(json.loads(sys.argv[1]), on_event=lambda e: True,"
        " should_stop=lambda: None, command=json.loads(sys.argv[2]))\n"
    )
    arguments = [json.dumps(job), json.dumps(scripted.command(behaviour))]
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=Path.cwd())


def child_pid(job: dict[str, Any]) -> int:
    path = Path(job["work_dir"], "child.json")
    wait_until(path.exists)
    time.sleep(0.1)
    return int(json.loads(path.read_text())["pid"])


def test_it_takes_the_child_along_when_the_supervising_process_is_killed(
    job: dict[str, Any],
) -> None:
    process = start_supervising(job, "stubborn")
    pid = child_pid(job)
    assert is_alive(pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not is_alive(pid), 5)


def test_it_ends_the_child_of_a_stopped_supervisor_before_it_starts_its_own(
    job: dict[str, Any],
) -> None:
    process = start_supervising(job, "stubborn")
    pid = child_pid(job)
    process.send_signal(signal.SIGSTOP)
    try:
        assert run(job, "works")[0].ending == "done"
        wait_until(lambda: not is_alive(pid), 5)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_child_that_does_not_listen_holds_up_nobody(job: dict[str, Any]) -> None:
    folder = Path(job["work_dir"])
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps(job))
    command = [*scripted.command("stubborn"), str(folder / "job.json")]
    with (folder / "log.txt").open("ab") as log:
        child = supervisor.Child(command, folder, log, lambda event: True, takes_input=True)
        try:
            started = time.monotonic()
            child.tell({"text": "x" * 2**20})  # more than the pipe holds
            while time.monotonic() - started < 1:
                child.read(0.1)
            assert time.monotonic() - started < 5
        finally:
            child.kill()
    assert not is_alive(child.process.pid)


def test_to_say_stopped_unasked_is_no_stop(job: dict[str, Any]) -> None:
    """Of several processes one may take the end of another that was killed for a stop."""
    program = "import json; print(json.dumps({'event': 'stopped'})); raise SystemExit(1)"
    outcome = supervisor.run_child(
        job,
        on_event=lambda event: True,
        should_stop=lambda: None,
        command=[sys.executable, "-c", program],
    )
    assert (outcome.ending, outcome.exit_code) == ("vanished", 1)


def test_a_run_lets_pages_go_first_on_the_processor(job: dict[str, Any]) -> None:
    program = "import json, os; print(json.dumps({'event': 'done', 'output': str(os.nice(0))}))"
    outcome = supervisor.run_child(
        job,
        on_event=lambda event: True,
        should_stop=lambda: None,
        command=[sys.executable, "-c", program],
    )
    assert outcome.output == str(min(os.nice(0) + supervisor.NICENESS_OF_RUNS, 19))


def test_a_log_that_cannot_be_written_is_no_reason_to_fail(job: dict[str, Any]) -> None:
    """/dev/full is a disk without any space."""
    log = Path(job["work_dir"]) / supervisor.LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    log.symlink_to("/dev/full")
    program = "import json; print('noise'); print(json.dumps({'event': 'done', 'output': 'there'}))"
    outcome = supervisor.run_child(
        job,
        on_event=lambda event: True,
        should_stop=lambda: None,
        command=[sys.executable, "-c", program],
    )
    assert (outcome.ending, outcome.output) == ("done", "there")
