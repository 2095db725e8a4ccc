"""Short requests wait for each other, a few at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from django.http import HttpResponse

from annotations.views import request
from annotations.views.request import AT_ONCE, AuthenticatedRequest, in_line


def test_no_more_work_at_once_than_have_a_place_and_all_are_answered() -> None:
    at_work, most, lock, full = 0, 0, threading.Lock(), threading.Event()

    @in_line
    def view(_request: AuthenticatedRequest, number: int) -> HttpResponse:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
            if at_work == AT_ONCE:
                full.set()
        full.wait(10)
        with lock:
            at_work -= 1
        if number == 3:
            raise ValueError("a place is given back whatever happens")
        return HttpResponse(str(number))

    def ask(number: int) -> str:
        try:
            return view(cast(AuthenticatedRequest, None), number).content.decode()
        except ValueError:
            return "failed"

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(ask, range(12)))
    assert answers == [str(number) if number != 3 else "failed" for number in range(12)]
    assert most == AT_ONCE


def test_nobody_waits_for_ever_behind_those_who_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "MOST_PATIENCE", 0.01)
    answered = threading.Event()

    @in_line
    def view(_request: AuthenticatedRequest, is_stuck: bool) -> HttpResponse:
        if is_stuck:
            answered.wait(10)
        return HttpResponse("stuck" if is_stuck else "done")

    nobody = cast(AuthenticatedRequest, None)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        stuck = [threads.submit(view, nobody, True) for _ in range(AT_ONCE)]
        try:
            assert [view(nobody, False).content for _ in range(AT_ONCE + 1)] == [b"done"] * (
                AT_ONCE + 1
            )
        finally:
            answered.set()
        assert [one.result(10).content for one in stuck] == [b"stuck"] * AT_ONCE
