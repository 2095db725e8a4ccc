"""What holds for every answer, and for the one way in."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.urls import resolve, reverse

from annotations import services
from annotations.models import Project, User
from annotations.templatetags.texts import shown_text
from annotations.tests.test_api import Program
from labelstudio_llm.middleware import DatabaseBusyMiddleware


def test_there_is_no_second_place_to_sign_in(client: Client, project: Project, bob: User) -> None:
    shown = client.get("/admin/login/", {"next": "/admin/"})
    assert shown["Location"] == "/sign-in/?next=%2Fadmin%2F"
    assert client.post("/admin/login/", {"username": "root"}).status_code == 405
    client.force_login(bob)
    assert client.get("/admin/", follow=True).status_code == 404


def test_the_operator_comes_to_the_admin_site(client: Client, db: None) -> None:
    User.objects.create_superuser("root", password="a-long-pass-word")
    data = {"username": "root", "password": "a-long-pass-word", "next": "/admin/"}
    assert client.post(reverse("annotations:sign_in"), data, follow=True).status_code == 200
    assert client.get("/admin/").status_code == 200


def test_nothing_of_a_person_stays_in_the_browser(
    client: Client, project: Project, bob: User
) -> None:
    client.force_login(bob)
    for page in ("/", reverse("annotations:project", args=[project.pk]), "/no-such-page/"):
        assert "no-store" in client.get(page)["Cache-Control"], page


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/healthz", 200),
        ("/sign-in/", 200),
        ("/sign-in", 301),
        ("/no-such-page/", 404),
        ("/sign-out/", 405),
        ("/admin/login/", 302),
        ("/api/v1/", 200),
        ("/api/v1/openapi.json", 200),
        ("/api/v1/me", 401),
        ("/v1/models", 401),
    ],
)
def test_every_answer_bears_the_policy(client: Client, db: None, address: str, status: int) -> None:
    answer = client.get(address)
    assert answer.status_code == status
    assert_strict(answer)


def test_refusals_before_any_page_bear_the_policy(db: None, settings: Any) -> None:
    assert_strict(Client().get("/sign-in/", headers={"host": "evil.example"}))
    assert_strict(Client(enforce_csrf_checks=True).post("/sign-in/"))
    settings.SECURE_SSL_REDIRECT = True
    refused, moved = Client(), Client()
    assert_strict(refused.get("/sign-in/", headers={"host": "evil.example"}))
    assert moved.get("/sign-in/").status_code == 301
    assert_strict(moved.get("/sign-in/"))


def test_the_admin_site_bears_the_policy(client: Client, db: None) -> None:
    client.force_login(User.objects.create_superuser("root"))
    for address in ("/admin/", "/admin/annotations/user/", "/admin/annotations/user/add/"):
        page = client.get(address)
        assert page.status_code == 200
        assert_strict(page)


def assert_strict(answer: Any) -> None:
    """Nothing runs but files of ours: there is no inline script that a nonce would have to tell."""
    policy = answer["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "base-uri 'none'"} <= set(policy)
    assert "unsafe" not in answer["Content-Security-Policy"]
    if answer.get("Content-Type", "").startswith("text/html"):
        assert not re.search(r"<script(?![^>]*\ssrc=)|<[^>]*\son\w+=|javascript:", answer.text)


def test_a_forged_host_is_refused(client: Client, db: None) -> None:
    assert client.get("/sign-in/", headers={"host": "evil.example"}).status_code == 400


def test_it_never_leads_out_of_the_site(client: Client, project: Project, bob: User) -> None:
    client.force_login(bob)
    for wanted in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1"):
        response = client.get(reverse("annotations:sign_in"), {"next": wanted})
        assert response["Location"] == "/", wanted


def test_no_secret_reaches_the_log(
    client: Client, project: Project, bob: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _, secret = services.invite(project, role="annotator", uses=1, days=1, made_by=bob)
    page = reverse("annotations:invitation", args=[secret])
    wrong = {"username": "dora", "password1": "canary-one", "password2": "canary-two"}
    assert client.post(page, wrong).status_code == 422
    data = {"username": "bob", "password": "canary-three"}
    assert client.post(reverse("annotations:sign_in"), data).status_code == 422
    assert client.get("/v1/models", headers={"authorization": "Bearer canary-four"})
    assert "Unprocessable" in caplog.text
    assert secret not in caplog.text
    assert "canary" not in caplog.text


def test_the_secret_of_an_invitation_is_not_logged_where_the_database_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = RequestFactory().get("/invitations/canary-six/")
    request.resolver_match = resolve(request.path)
    busy = DatabaseBusyMiddleware(lambda _: HttpResponse())
    refused = busy.process_exception(request, OperationalError("away"))
    assert refused is not None
    assert refused.status_code == 503
    assert "/invitations/<str:secret>/ had no database" in caplog.text
    assert "canary" not in caplog.text


def test_the_password_of_a_broker_that_is_away_is_told_nowhere(
    client: Client, project: Project, eve: User, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings.CELERY_BROKER_URL = "redis://:canary-five@127.0.0.1:1/0"
    ready = client.get("/readyz")
    assert (ready.status_code, "broker does not answer" in ready.text) == (503, True)
    asked = Program(eve, project).get("me")  # its limit is counted in the broker
    assert "Requests are not counted" in caplog.text
    assert "canary" not in caplog.text + ready.text + asked.text


def test_what_nobody_sees_in_a_text_is_told() -> None:
    """Two texts that differ never look alike without a word."""
    plain = render_to_string("annotations/_text.html", shown_text(Project(), "a frog"))
    hidden = render_to_string("annotations/_text.html", shown_text(Project(), "a \u202efrog"))
    assert "nobody sees" not in plain
    assert "Has characters that nobody sees: right-to-left override." in hidden
    assert 'dir="auto"' in hidden
