"""A code beside the password: asked for, taken once, not in the way of who lost a phone."""

from __future__ import annotations

import re
from typing import Any

import pyotp
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from annotations import services
from annotations.models import Project, RecoveryCode, TwoFactor, User
from annotations.models.sign_in import SignInAttempt
from annotations.services import sign_in
from conftest import PASSWORD

PAGE = "/account/codes/"


@pytest.fixture
def app(client: Client, alice: User) -> pyotp.TOTP:
    """Set codes up as alice would, and return her app."""
    client.force_login(alice)
    assert "It is <strong>off</strong>" in client.get(PAGE).text
    assert client.post(PAGE, {"begin": "1", "password": "a guess"}).status_code == 422
    client.post(PAGE, {"begin": "1", "password": PASSWORD})
    shown = client.get(PAGE).text
    assert 'src="data:image/svg+xml' in shown
    app = pyotp.TOTP(services.secret_of(alice))
    assert not services.asks_for_code(alice)
    assert client.post(PAGE, {"confirm": "1", "code": "000000"}).status_code == 422
    done = client.post(PAGE, {"confirm": "1", "code": app.now()})
    client.recovery = re.findall(r"<li>([0-9a-f-]{23})</li>", done.text)  # type: ignore[attr-defined]
    client.logout()
    TwoFactor.objects.update(last_step=0)  # as if half a minute had passed
    return app


def show_password(client: Client, **data: str) -> Any:
    data = {"username": "alice", "password": PASSWORD, **data}
    return client.post(reverse("annotations:sign_in"), data)


def show_code(client: Client, code: str) -> Any:
    return client.post(reverse("annotations:sign_in_code"), {"code": code})


def test_a_password_alone_opens_nothing(client: Client, app: pyotp.TOTP) -> None:
    asked = show_password(client, next="/account/")
    assert asked["Location"] == reverse("annotations:sign_in_code")
    assert client.get("/")["Location"].startswith("/sign-in/")
    assert show_code(client, "123").status_code == 422
    assert show_code(client, f" {app.now()[:3]} {app.now()[3:]}")["Location"] == "/account/"
    assert client.get("/").status_code == 200


def test_a_code_is_taken_once(client: Client, app: pyotp.TOTP) -> None:
    code = app.now()
    show_password(client)
    assert show_code(client, code).status_code == 303
    client.logout()
    show_password(client)
    again = show_code(client, code)
    assert again.status_code == 422
    assert "Wait for the next one" in again.text


def test_each_recovery_code_lets_in_once(client: Client, app: pyotp.TOTP) -> None:
    codes = client.recovery  # type: ignore[attr-defined]
    assert len(codes) == 10
    for expected in (303, 422):
        show_password(client)
        assert show_code(client, codes[0].upper()).status_code == expected
        client.logout()
    assert RecoveryCode.objects.count() == 9
    assert not {code.replace("-", "") for code in codes} & set(
        RecoveryCode.objects.values_list("digest", flat=True)
    )


def test_codes_are_not_guessed(client: Client, app: pyotp.TOTP, alice: User) -> None:
    show_password(client)
    for _ in range(sign_in.MOST_OF_NAME_HERE):
        assert show_code(client, "000000").status_code == 422
    refused = show_code(client, app.now())
    assert "tried too often" in refused.text


def test_nobody_is_asked_for_a_code_who_showed_no_password(client: Client, app: Any) -> None:
    assert client.get(reverse("annotations:sign_in_code"))["Location"] == "/sign-in/"
    assert show_code(client, app.now())["Location"] == "/sign-in/"
    assert "That took too long" in client.get(reverse("annotations:sign_in")).text


def test_a_changed_password_asks_again(client: Client, app: Any, alice: User) -> None:
    show_password(client)
    alice.set_password("an0ther-long-one")
    alice.save()
    assert show_code(client, app.now())["Location"] == "/sign-in/"


def test_it_is_turned_off_with_the_password_and_by_the_operator(
    client: Client, app: Any, alice: User
) -> None:
    client.force_login(alice)
    secret = TwoFactor.objects.get().encrypted_secret
    assert app.secret not in secret
    assert client.post(PAGE, {"off": "1", "password": "no"}).status_code == 422
    again = client.post(PAGE, {"codes": "1", "password": PASSWORD}).text
    assert client.recovery[0] not in again  # type: ignore[attr-defined]
    assert services.asks_for_code(alice)
    client.post(PAGE, {"off": "1", "password": PASSWORD})
    assert not services.asks_for_code(alice)
    services.begin_two_factor(alice)
    services.confirm_two_factor(alice, pyotp.TOTP(services.secret_of(alice)).now())
    call_command("reset_two_factor", "alice")
    assert show_password(client)["Location"] == "/"


def test_another_secret_key_closes_nothing_while_the_one_before_counts(
    client: Client, app: pyotp.TOTP, alice: User, settings: Any
) -> None:
    before, settings.SECRET_KEY = settings.SECRET_KEY, "another-key-that-is-long-enough-" * 2
    with pytest.raises(services.ServiceError, match="SECRET_KEY has changed"):
        services.check_code(alice, app.now(), "")
    with pytest.raises(CommandError, match="put the key of before back"):
        call_command("renew_secrets")
    settings.SECRET_KEY_FALLBACKS = [before]
    services.check_code(alice, client.recovery[0], "")  # type: ignore[attr-defined]
    call_command("renew_secrets")
    settings.SECRET_KEY_FALLBACKS = []
    services.check_code(alice, app.now(), "")


def test_a_new_password_ends_every_other_session(client: Client, bob: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(bob)
    client.force_login(bob)
    page = reverse("annotations:password")
    new = {"new_password1": "pond-frog-seven", "new_password2": "pond-frog-seven"}
    assert client.post(page, {"old_password": "no", **new}).status_code == 422
    assert len(SignInAttempt.objects.filter(succeeded=False)) == 1
    weak = {"old_password": PASSWORD, "new_password1": "12345678", "new_password2": "12345678"}
    assert client.post(page, weak).status_code == 422
    assert not SignInAttempt.objects.filter(succeeded=False)  # it is no guess
    assert client.post(page, {"old_password": PASSWORD, **new}).status_code == 303
    assert client.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302
    for _ in range(sign_in.MOST_OF_NAME_HERE):
        services.admit("bob", "127.0.0.1")
    assert client.post(page, {"old_password": PASSWORD, **new}).status_code == 429


def test_a_new_password_tells_of_the_tokens_that_it_does_not_end(
    client: Client, project: Project, bob: User
) -> None:
    client.force_login(bob)
    page, told = reverse("annotations:password"), "Tokens still let programs in as you."
    new = {"new_password1": "pond-frog-seven", "new_password2": "pond-frog-seven"}
    assert told not in client.post(page, {"old_password": PASSWORD, **new}, follow=True).text
    services.make_api_token(bob, name="x", projects=[project], scopes=["read"], days=1)
    again = {"old_password": "pond-frog-seven", **new}
    assert told in client.post(page, again, follow=True).text
