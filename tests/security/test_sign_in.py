"""Guessing passwords is slow, and nobody can keep somebody else out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotations import services
from annotations.models import SignInAttempt, User
from annotations.services import sign_in
from conftest import PASSWORD

HOME, THERE = "192.0.2.7", "198.51.100.9"


def try_it(username: str, password: str, address: str = HOME, **headers: str) -> Any:
    return Client(headers=headers).post(
        reverse("annotations:sign_in"),
        {"username": username, "password": password},
        REMOTE_ADDR=address,
    )


def fail(name: str, address: str, times: int) -> None:
    """Let attempts fail without the page, which hashes a password for each."""
    for _ in range(times):
        services.admit(name, address)


def test_after_some_wrong_passwords_the_right_one_waits_too(bob: User) -> None:
    fail("bob", HOME, sign_in.MOST_OF_NAME_HERE - 1)
    assert try_it("bob", "wrong").status_code == 422
    refused = try_it("bob", PASSWORD)
    assert refused.status_code == 429
    assert "Wait a quarter of an hour" in refused.text
    assert refused["Retry-After"] == "900"
    assert SignInAttempt.objects.count() == sign_in.MOST_OF_NAME_HERE  # waiting makes it no longer
    # From where he usually is he comes in, and in time from everywhere.
    assert try_it("bob", PASSWORD, THERE).status_code == 303
    SignInAttempt.objects.update(created_at=timezone.now() - sign_in.WINDOW)
    assert try_it("bob", PASSWORD).status_code == 303


def test_a_name_in_other_letters_is_the_same_name(bob: User) -> None:
    """Full-width and mathematical letters sign in as plain ones, so they count as these."""
    assert try_it("ｂ𝒐ⓑ", PASSWORD, THERE).status_code == 303
    fail("𝓫ｏｂ", HOME, sign_in.MOST_OF_NAME_HERE - 1)
    assert try_it("ⓑⓞⓑ", "wrong").status_code == 422
    assert try_it("bob", PASSWORD).status_code == 429


def test_sessions_that_are_over_are_forgotten(bob: User) -> None:
    over = {"expire_date": timezone.now() - timedelta(minutes=1)}
    Session.objects.create(session_key="over", **over)
    assert try_it("bob", PASSWORD).status_code == 303
    [session] = Session.objects.all()
    assert session.session_key != "over"


def test_a_sign_in_waits_for_no_million_of_them(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "SESSIONS_AT_ONCE", 2)
    for day in range(1, 4):
        over = timezone.now() - timedelta(days=day)
        Session.objects.create(session_key=f"over-{day}", expire_date=over)
    sign_in.admit("bob", HOME)
    assert [session.session_key for session in Session.objects.all()] == ["over-1"]


def test_it_answers_the_same_for_names_that_nobody_has(bob: User) -> None:
    def answers(username: str) -> list[tuple[int, str]]:
        fail(username, HOME, sign_in.MOST_OF_NAME_HERE - 1)
        tried = [try_it(username, "wrong") for _ in range(2)]
        return [
            (a.status_code, a.text.replace(username, "").split("csrfmiddlewaretoken")[0])
            for a in tried
        ]

    assert answers("bob") == answers("nobody")
    assert [status for status, _ in answers("someone")] == [422, 429]


def test_many_names_from_one_address_are_refused(bob: User) -> None:
    first = services.admit("name", HOME)
    SignInAttempt.objects.bulk_create(
        SignInAttempt(name_digest=str(number), address_digest=first.address_digest)
        for number in range(sign_in.MOST_HERE)
    )
    assert try_it("bob", PASSWORD).status_code == 429
    assert try_it("bob", PASSWORD, THERE).status_code == 303


def test_one_name_from_many_addresses_is_refused_but_where_its_owner_is_known(bob: User) -> None:
    assert try_it("bob", PASSWORD).status_code == 303
    name = SignInAttempt.objects.get().name_digest
    SignInAttempt.objects.bulk_create(
        SignInAttempt(name_digest=name, address_digest=str(number))
        for number in range(sign_in.MOST_OF_NAME)
    )
    assert try_it("BOB", PASSWORD, THERE).status_code == 429
    assert try_it("bob", PASSWORD).status_code == 303


def test_a_machine_cannot_hide_among_its_own_addresses(bob: User) -> None:
    for number in range(sign_in.MOST_OF_NAME_HERE):
        services.admit("bob", f"2001:db8::{number:x}")
    with pytest.raises(services.TooManyAttempts):
        services.admit("bob", "2001:db8::ffff")


def test_a_forged_header_changes_nothing_and_a_proxy_is_believed(bob: User, settings: Any) -> None:
    fail("bob", HOME, sign_in.MOST_OF_NAME_HERE)
    forged = {"X-Forwarded-For": "203.0.113.1"}
    assert try_it("bob", PASSWORD, **forged).status_code == 429
    settings.BEHIND_PROXY = True
    behind = {"X-Forwarded-For": f"203.0.113.1, {HOME}"}
    assert try_it("bob", PASSWORD, "127.0.0.1", **behind).status_code == 429
    behind = {"X-Forwarded-For": f"{HOME}, {THERE}"}
    assert try_it("bob", PASSWORD, "127.0.0.1", **behind).status_code == 303


def test_it_keeps_no_names_and_no_addresses_and_nothing_for_long(bob: User) -> None:
    fail("bob", HOME, 2)
    kept = str(list(SignInAttempt.objects.values()))
    assert "bob" not in kept
    assert HOME not in kept
    SignInAttempt.objects.update(created_at=timezone.now() - timedelta(days=2))
    fail("other", HOME, 1)
    assert SignInAttempt.objects.count() == 1


def test_signing_in_forgets_what_failed_before_and_gives_a_new_session(bob: User) -> None:
    fail("bob", HOME, 3)
    client = Client()
    client.get("/sign-in/")
    client.session["planted"] = True
    before = client.session.session_key
    data = {"username": "bob", "password": PASSWORD}
    client.post(reverse("annotations:sign_in"), data, REMOTE_ADDR=HOME)
    assert client.session.session_key != before
    assert list(SignInAttempt.objects.values_list("succeeded", flat=True)) == [True]
