"""A streamed completion reaches its reader, ends when asked to, and fails in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annotations.models import Project
from training import generations, replies, streaming, streams
from training.models import Checkpoint
from training.streaming import Busy, Done, Failed, Generation, Heartbeat, Token, Waiting
from training.tests import brokers, scripted_replies
from training.tests.factories import make_checkpoint

pytestmark = pytest.mark.django_db(transaction=True)

FOR_EVER = scripted_replies.FOR_EVER


@pytest.fixture(scope="module")
def broker_url() -> Iterator[str]:
    with brokers.running() as url:
        yield url


@pytest.fixture(autouse=True)
def service(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker_url: str
) -> Iterator[None]:
    settings.VAR_DIR = tmp_path
    settings.REPLIES_IDLE_SECONDS = 20
    settings.REPLIES_COMMAND = scripted_replies.command("streams")
    settings.CELERY_BROKER_URL = broker_url
    monkeypatch.setattr(streaming, "POLL_S", 0.1)
    monkeypatch.setattr(replies, "LISTEN_S", 0.01)
    monkeypatch.setattr(streaming.tasks, "hint_replies", lambda: None)
    yield
    streams._client(broker_url).flushall()


@pytest.fixture
def policy(project: Project) -> Checkpoint:
    return make_checkpoint(project)


def ask(checkpoint: Checkpoint, text: str = "an old pond", **changes: Any) -> Generation:
    return Generation(checkpoint.pk, [{"role": "user", "content": text}], **changes)


def text_of(events: list[streaming.Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


def last_of(events: list[streaming.Event]) -> streaming.Event:
    return events[-1]


def test_its_pieces_come_in_order_and_end_with_what_it_cost(policy: Checkpoint) -> None:
    with brokers.serving():
        events = list(streaming.events(streaming.begin(ask(policy, seed=4))))
    assert text_of(events) == f"an old pond ({Path(policy.path).name})"
    assert events[-1] == Done(
        "stop", {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}, 4
    )


def test_several_are_written_side_by_side_and_followed_together(policy: Checkpoint) -> None:
    names = [streaming.begin(ask(policy, f"frog {n}")) for n in range(3)]
    with brokers.serving():
        events = list(streaming.events_of(names))
    for number in range(3):
        assert text_of([e for n, e in events if n == number]).startswith(f"frog {number}")
    first_end = next(i for i, (_, e) in enumerate(events) if isinstance(e, Done))
    assert {n for n, e in events[:first_end] if isinstance(e, Token)} == {0, 1, 2}


def test_who_waits_is_told_their_place_and_how_long(policy: Checkpoint) -> None:
    names = [streaming.begin(ask(policy, seed=FOR_EVER)) for _ in range(18)]
    assert next(streaming.events(names[17])) == Waiting(18, 12)
    assert next(streaming.events(names[0])) == Waiting(1, 1)


def test_a_stop_ends_it_at_once_whether_it_waits_or_is_being_written(policy: Checkpoint) -> None:
    waits = streaming.begin(ask(policy))
    streaming.stop(waits)
    assert isinstance(last_of(list(streaming.events(waits))), Done)
    name = streaming.begin(ask(policy, seed=FOR_EVER))
    with brokers.serving():
        events: list[streaming.Event] = []
        for event in streaming.events(name):
            events.append(event)
            if len(events) == 5:
                streaming.stop(name)
                asked = time.monotonic()
        assert time.monotonic() - asked < 2
    assert isinstance(events[-1], Done)
    assert (events[-1].finish_reason, events[-1].seed) == ("stop", FOR_EVER)


def test_what_nobody_reads_any_more_is_stopped(
    policy: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "READER_S", 1)
    name = streaming.begin(ask(policy, seed=FOR_EVER))
    with brokers.serving():
        reading = streaming.events(name)
        while not isinstance(next(reading), Token):
            pass
        reading.close()
        end = time.monotonic() + 10
        while "ended in" not in (log := (replies.service_folder() / "log.txt").read_text()):
            assert time.monotonic() < end, log
            time.sleep(0.05)


def test_what_a_reader_leaves_is_written_on_and_read_again_from_its_beginning(
    policy: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "READER_S", 1)
    name = streaming.begin(ask(policy, seed=FOR_EVER))
    with brokers.serving():
        reading = streaming.events(name)
        first = next(event for event in reading if isinstance(event, Token))
        streaming.leave(name, seconds=30)
        reading.close()
        time.sleep(1.5)
        again = streaming.events(name)
        assert next(event for event in again if isinstance(event, Token)) == first
        streaming.stop(name)
        assert isinstance(last_of(list(again)), Done)


def test_one_that_takes_too_long_ends_where_it_is(
    policy: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "LIMIT_S", 1.0)
    with brokers.serving():
        events = list(streaming.events(streaming.begin(ask(policy, seed=FOR_EVER))))
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason == "length"
    assert text_of(events)


def test_messages_that_do_not_fit_are_refused_in_words(policy: Checkpoint) -> None:
    with brokers.serving():
        events = list(streaming.events(streaming.begin(ask(policy, "much too long"))))
    assert events[-1] == Failed("It is too long. Shorten it.", is_refusal=True)


def test_a_checkpoint_that_cannot_answer_is_named_as_such(
    policy: Checkpoint, project: Project
) -> None:
    reward = make_checkpoint(project, kind=Checkpoint.Kind.REWARD)
    gone = Generation(10**6, [{"role": "user", "content": "frog"}])
    names = [streaming.begin(ask(reward)), streaming.begin(gone)]
    with brokers.serving():
        ends = dict(streaming.events_of(names))
    assert ends[0] == Failed(generations.NO_POLICY, is_refusal=True)
    assert ends[1] == Failed(generations.GONE, is_refusal=True)


def test_what_a_child_dies_over_twice_fails_and_the_next_one_is_answered(
    policy: Checkpoint,
) -> None:
    with brokers.serving():
        events = list(streaming.events(streaming.begin(ask(policy, "poison"))))
        assert events[-1] == Failed(generations.STOPPED_OVER_IT)
        events = list(streaming.events(streaming.begin(ask(policy))))
    assert isinstance(events[-1], Done)


def test_a_service_that_ends_tells_its_readers(policy: Checkpoint) -> None:
    name = streaming.begin(ask(policy, seed=FOR_EVER))
    reading = streaming.events(name)
    with brokers.serving():
        while not isinstance(next(reading), Token):
            pass
    assert last_of(list(reading)) == Failed(streams.DIED)


def test_a_service_that_was_killed_is_missed(policy: Checkpoint) -> None:
    name = streaming.begin(ask(policy))
    streams.take()
    streams.write(name, {"event": "taken", "service": "killed"})
    assert last_of(list(streaming.events(name))) == Failed(streams.DIED)


def test_without_a_worker_it_says_which_one_is_missing(
    policy: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "NO_SERVICE_S", 0.5)
    events = list(streaming.events(streaming.begin(ask(policy))))
    assert Heartbeat() in events
    assert events[-1] == Failed(streaming.NO_SERVICE)
    assert streams.count_waiting() == 0


def test_an_id_that_nobody_knows_fails(policy: Checkpoint) -> None:
    assert list(streaming.events("nonsense")) == [Failed(streaming.UNKNOWN)]


def test_a_full_queue_says_when_to_come_back(policy: Checkpoint) -> None:
    for _ in range(streaming.MOST_WAITING):
        streaming.begin(ask(policy))
    with pytest.raises(Busy, match="Try again in 40 seconds") as raised:
        streaming.begin(ask(policy))
    assert raised.value.seconds == 40


def test_who_is_sent_away_comes_back_after_those_who_were_before(
    policy: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "MOST_WAITING", 0)

    def told() -> int:
        with pytest.raises(Busy) as raised:
            streaming.begin(ask(policy))
        return raised.value.seconds

    streams.note_pace(34.0)  # 16 side by side take 14.8 seconds, with what was expected before
    assert [told() for _ in range(4)] == [15, 16, 17, 18]
    clock = time.time() + 16.5
    monkeypatch.setattr(streams.time, "time", lambda: clock)
    assert told() == 17  # two of them are due, and count no more
    streams.note_pace(10_000.0)
    assert told() == streaming.LONGEST_AWAY_S


def test_a_process_follows_only_so_many_streams(
    policy: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "MOST_READERS", 1)
    one, two = streaming.begin(ask(policy)), streaming.begin(ask(policy))
    first = streaming.events(one)
    next(first)
    streams.note_pace(110.0)  # 30 seconds each, with what was expected before
    with pytest.raises(Busy, match="Try again in 30 seconds"):
        streaming.begin(ask(policy))
    events = list(streaming.events(two))
    assert isinstance(events[-1], Failed)
    assert events[-1].again_in == 32
    assert "Too many people ask the models at this moment. Try again in 32" in events[-1].message
    first.close()
    streaming.begin(ask(policy))


def test_a_broker_that_is_away_is_said_at_once(policy: Checkpoint, settings: Any) -> None:
    name = streaming.begin(ask(policy))
    settings.CELERY_BROKER_URL = "redis+socket:///nowhere/valkey.sock"
    with pytest.raises(streaming.Unavailable, match="broker"):
        streaming.begin(ask(policy))
    assert list(streaming.events(name)) == [Failed(streaming.AWAY)]
    streaming.stop(name)


def test_what_no_model_reads_is_not_even_queued(policy: Checkpoint) -> None:
    with pytest.raises(streaming.Unavailable, match="Shorten"):
        streaming.begin(ask(policy, "x" * (streaming.LONGEST_REQUEST + 1)))
    name = streaming.begin(ask(policy, "a\0b \ud800"))
    _, request = streams.take() or ("", {})
    assert request["messages"][0]["content"] == "ab ?"
    assert name


def test_streams_leave_pages_as_many_threads_as_they_need(settings: Any) -> None:
    procfile = (settings.BASE_DIR / "Procfile").read_text()
    threads = int(procfile.partition("--threads ")[2].split()[0])
    assert threads >= streaming.MOST_READERS + 8
