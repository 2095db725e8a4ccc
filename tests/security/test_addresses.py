"""Every address of the site, every role, one's own objects and those of others.

The addresses are those that the resolver knows, so a new one fails here until somebody has said who
may open it. Objects are made once for all of it: what an act changes is rolled back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.base import BaseStorage
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.db import connection, transaction
from django.http import Http404, HttpResponseBase
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from annotations.models import Membership, Project, Role, User
from tests.security.addresses import BY_PROXY, BY_TOKEN, LETS_IN
from tests.security.world import ANSWER, AUTHOR, RUNS, World, make_project_of, make_world

PEOPLE = {"o": "alice", "e": "eve", "r": "carol", "a": "bob", "x": "ben", "c": "charlie"}
LABELLERS = "ax"
WORDS = {"kind", "panel", "ending", "content"}
"""Parameters of addresses that name no object of a project."""
NOT_THERE, NOT_SO = 404, 405


def addresses(patterns: list[Any] | None = None, space: str = "") -> dict[str, URLPattern]:
    """Return every address of the site but the admin's, by its full name."""
    found: dict[str, URLPattern] = {}
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace != "admin":
                inner = f"{pattern.namespace}:" if pattern.namespace else space
                found |= addresses(pattern.url_patterns, inner)
        else:
            found[f"{space}{pattern.name or pattern.pattern}"] = pattern
    return found


ADDRESSES = addresses()
OURS = {name: pattern for name, pattern in ADDRESSES.items() if name in LETS_IN}


def test_it_is_written_down_who_may_open_each_address() -> None:
    assert set(ADDRESSES) == set(LETS_IN) | BY_TOKEN | BY_PROXY


@pytest.fixture
def world(project: Project) -> World:
    person = {name: User.objects.get(username=name) for name in ("alice", "eve", "bob")}
    return make_world(
        project, labeller=person["bob"], owner=person["alice"], engineer=person["eve"]
    )


class Silent(BaseStorage):
    """Messages that nobody reads."""

    def _get(self, *args: Any, **kwargs: Any) -> tuple[list[Any], bool]:
        return [], True

    def _store(self, *args: Any, **kwargs: Any) -> list[Any]:
        return []


def knock(user: User | AnonymousUser, name: str, method: str, arguments: dict[str, Any]) -> int:
    """Return the status that a view itself answers with: quick, for doors that stay shut."""
    request = RequestFactory().generic(method, reverse(name, kwargs=arguments))
    request.user, request.session = user, SessionStore()  # type: ignore[assignment]  # as middleware
    request._messages = Silent(request)  # type: ignore[attr-defined]  # as the middleware does
    try:
        response: HttpResponseBase = ADDRESSES[name].callback(request, **arguments)
    except Http404:
        return NOT_THERE
    to_sign_in = response.status_code == 302 and "/sign-in/" in response["Location"]
    return 401 if to_sign_in else response.status_code


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log no refusals: there are thousands, and writing them takes as long as they do."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@contextmanager
def undone() -> Iterator[None]:
    """Roll back what happens inside."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def parameters_of(name: str) -> list[str]:
    return list(ADDRESSES[name].pattern.converters)


def is_shut(statuses: set[int], *, visitor: bool = False) -> bool:
    """Say whether nothing was opened: at least one method would have done something."""
    refused = {401} if visitor else {NOT_THERE}
    return statuses <= refused | {NOT_SO} and statuses != {NOT_SO}


def shut_out(user: User | AnonymousUser, names: Any, arguments: Callable[[str], Any]) -> list[str]:
    """Return the addresses that are not shut for a person, with what they answered."""
    visitor = isinstance(user, AnonymousUser)
    found = []
    for name in names:
        given = arguments(name)
        statuses = {knock(user, name, method, given) for method in ("GET", "POST")}
        if not is_shut(statuses, visitor=visitor):  # then what was done does not matter any more
            found.append(f"{user} at {name}: {sorted(statuses)}")
    return found


def test_what_is_not_for_a_person_does_not_exist(world: World, charlie: User) -> None:
    """Other roles, other labellers, strangers, visitors, the operator and owners of elsewhere."""
    opened: list[str] = []

    def here(name: str) -> dict[str, Any]:
        return world.arguments(name, parameters_of(name))

    for letter, username in PEOPLE.items():
        person = User.objects.get(username=username)
        opened += shut_out(person, [name for name in OURS if letter not in LETS_IN[name]], here)
    shut = [name for name in OURS if "v" not in LETS_IN[name]]
    opened += shut_out(AnonymousUser(), [name for name in shut if LETS_IN[name]], here)

    inside = [name for name in shut if parameters_of(name)]
    make_project_of(charlie, "Elsewhere")
    root = User.objects.create_superuser("root")
    # An owner of elsewhere everywhere; the operator and the other roles at every third address.
    opened += shut_out(charlie, inside, here) + shut_out(root, inside[1::3], here)
    for number, role in enumerate((Role.ENGINEER, Role.REVIEWER, Role.ANNOTATOR)):
        Membership.objects.filter(user=charlie).update(role=role)
        opened += shut_out(charlie, inside[number::3], here)
    assert not opened, "\n".join(opened)


def test_objects_of_another_project_are_not_reached_through_ones_own(
    world: World, charlie: User
) -> None:
    """An owner cannot name their own project and somebody else's object in one address."""
    elsewhere = make_project_of(charlie, "Elsewhere")
    through_own = [
        name
        for name in OURS
        if {"project_id"} < set(parameters_of(name))
        and set(parameters_of(name)) - {"project_id"} - WORDS
    ]
    opened = shut_out(
        charlie,
        through_own,
        lambda name: world.arguments(name, parameters_of(name)) | {"project_id": elsewhere.pk},
    )
    assert through_own
    assert not opened, "\n".join(opened)


# What is open ------------------------------------------------------------------------------


@contextmanager
def writes() -> Iterator[list[str]]:
    """Collect the statements that change something, beside sessions and what is noted of use."""
    found: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("INSERT", "UPDATE", "DELETE")) and "django_session" not in sql:
            found.append(sql[:120])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield found


def bodies(response: Any) -> str:
    content = response.streaming_content if response.streaming else [response.content]
    return b"".join(content).decode("utf-8", "replace")


@pytest.mark.long
def test_who_is_let_in_sees_pages_that_change_nothing_and_run_nothing(world: World) -> None:
    """Hostile texts stay texts, and who labels learns neither authors nor others' answers."""
    problems: list[str] = []
    seen: set[str] = set()
    for letter in "oearx":
        client = Client(raise_request_exception=False)
        client.force_login(User.objects.get(username=PEOPLE[letter]))
        for name in OURS:
            # The same page for another role is the same template: labellers' alone are seen twice.
            if letter in LETS_IN[name] and (letter == "a" or name not in seen):
                seen.add(name)
                address = reverse(name, kwargs=world.arguments(name, parameters_of(name)))
                with undone(), writes() as changed:
                    response = client.get(address)
                    text = bodies(response)
                problems += faults(
                    f"{PEOPLE[letter]} at {address}", letter, response, text, changed
                )
    assert not problems, "\n".join(problems)


def faults(where: str, letter: str, response: Any, text: str, changed: list[str]) -> list[str]:
    """Return what is wrong with an answer to somebody who may ask for it."""
    found = [f"{where} writes: {statement}" for statement in changed]
    if response.status_code >= 500 or response.status_code == NOT_THERE:
        found.append(f"{where}: {response.status_code}")
    policy = response.get("Content-Security-Policy", "")
    if "script-src 'self';" not in f"{policy};" or "unsafe" in policy:
        found.append(f"{where} has the policy {policy!r}")
    if response.get("X-Content-Type-Options") != "nosniff":
        found.append(f"{where} may be taken for another type")
    if response["Content-Type"].startswith("text/html"):
        found += [f"{where} runs {sign}" for sign in RUNS if sign in text]
    elif "attachment" not in response.get("Content-Disposition", "") and text:
        found.append(f"{where} is shown as {response['Content-Type']}")
    if letter in LABELLERS:
        found += [f"{where} tells a {mark}" for mark in (AUTHOR, ANSWER) if mark in text]
    return found


def test_nothing_is_done_for_another_site(world: World) -> None:
    """Every act asks for the token of the page it comes from, whoever is signed in."""
    exempt = {name for name, found in ADDRESSES.items() if hasattr(found.callback, "csrf_exempt")}
    assert exempt <= BY_TOKEN
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.project.created_by)
    address = reverse("annotations:settings", args=[world.project.pk])
    for method in ("post", "put", "patch", "delete"):
        assert getattr(client, method)(address).status_code == 403
    for name in BY_TOKEN:
        address = reverse(name, kwargs=world.arguments(name, parameters_of(name)))
        assert client.post(address).status_code in (401, 404, 405)
