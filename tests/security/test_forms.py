"""What no browser would send, to every form and every address: refused, never an error of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Project, User
from tests.security.addresses import LETS_IN
from tests.security.test_addresses import (
    OURS,
    PEOPLE,
    bodies,
    parameters_of,
    quiet,
    undone,
    world,
)
from tests.security.world import HOSTILE, World

__all__ = ["quiet", "world"]  # the fixtures

pytestmark = pytest.mark.long

NASTY = {
    "a NUL": "%00",
    "half a character": "%ED%A0%80",
    "no UTF-8": "%FF%FE",
    "no number": "NaN",
    "no end": "1e999",
    "below zero": "-1",
    "a number beyond all": "9" * 400,
    "a long text": quote_plus(HOSTILE) * 200,
    "backwards": quote_plus("\u202eabc\u200b"),
    "deep": "%5B" * 20_000,
    "nothing": "",
    "other digits": quote_plus("٣²"),
}
ROUNDS = 3

TRAVERSAL = {
    "created_by__password__startswith": "pbkdf2",
    "user__password__regex": ".*",
    "_connector": "OR 1=1) --",
    "order": "password",
    "order_by": "created_by__password",
    "sort": "-user__email",
}


@dataclass
class Form:
    """A form of a page: where it goes, and what it would send untouched."""

    address: str
    kept: dict[str, str] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)


class Forms(HTMLParser):
    """Reads the forms of a page, and which parameters its links have."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address, self.forms, self.parameters = address, [], set()
        self.open: Form | None = None
        self.select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.parameters |= {name for name, _ in parse_qsl(urlsplit(found.get("href", "")).query)}
        if tag == "form":
            self.open = Form(found.get("action") or found.get("hx-post") or self.address)
            if found.get("method", "").lower() == "post":
                self.forms.append(self.open)
        elif self.open and (name := found.get("name")):
            sort = found.get("type", "text")
            if tag in ("textarea", "input") and sort not in ("hidden", "checkbox", "radio", "file"):
                self.open.typed.append(name)
            elif tag == "select":
                self.select = name
            elif tag in ("input", "button"):
                self.open.kept.setdefault(name, found.get("value", "on"))
        elif self.open and tag == "option" and self.select:
            self.open.kept.setdefault(self.select, found.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.open = None
        if tag == "select":
            self.select = ""


def send(client: Client, address: str, fields: dict[str, str]) -> int:
    """Post fields whose values are encoded already; return the status, and undo what was done."""
    body = "&".join(f"{quote_plus(name)}={value}" for name, value in fields.items())
    with undone():
        response = client.post(address, body, content_type="application/x-www-form-urlencoded")
        bodies(response)
    return int(response.status_code)


def read(client: Client, letter: str, world: World) -> Forms:
    """Return every form that a person finds."""
    everything = Forms("")
    for name in OURS:
        if letter in LETS_IN[name]:
            address = reverse(name, kwargs=world.arguments(name, parameters_of(name)))
            with undone():
                response = client.get(address)
                page = Forms(address)
                if response.get("Content-Type", "").startswith("text/html"):
                    page.feed(bodies(response))
            everything.forms += [form for form in page.forms if form.address.startswith("/")]
            everything.parameters |= page.parameters
    return everything


@pytest.mark.parametrize("letter", ["o", "e", "a"])
def test_no_form_breaks_on_what_no_browser_sends(
    world: World, project: Project, letter: str
) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get(username=PEOPLE[letter]))
    found = read(client, letter, world)
    forms: dict[Any, Form] = {}
    for form in found.forms:
        if "sign-out" not in form.address:
            forms[form.address, tuple(form.typed), tuple(form.kept)] = form
    assert len(forms) > 10
    broken = []
    values = list(NASTY.items())
    for number, form in enumerate(forms.values()):
        kept = {name: quote_plus(text) for name, text in form.kept.items()}
        for turn in range(ROUNDS):
            # Each field something else, so that a few rounds try each value somewhere in each form.
            picked = {
                name: values[(number + place + turn * len(values) // ROUNDS) % len(values)]
                for place, name in enumerate(form.typed or list(kept))
            }
            sent = kept | {name: value for name, (_, value) in picked.items()}
            if (status := send(client, form.address, sent)) >= 500:
                sorts = {name: sort for name, (sort, _) in picked.items()}
                broken.append(f"{form.address} answers {status} to {sorts}")
    assert not broken, "\n".join(broken)


def test_no_page_breaks_on_a_parameter_or_looks_things_up_by_it(world: World) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get(username="alice"))
    names = read(client, "o", world).parameters | {"page", "q", "kind", "since", "until", "seen"}
    broken = []
    for name in OURS:
        if "o" not in LETS_IN[name]:
            continue
        address = reverse(name, kwargs=world.arguments(name, parameters_of(name)))
        values = list(NASTY.values())
        for turn in range(ROUNDS):
            query = "&".join(
                f"{quote_plus(key)}={values[(place + turn * 4) % len(values)][:6000]}"
                for place, key in enumerate(sorted(names))
            )
            with undone():
                response = client.get(f"{address}?{query}")
                bodies(response)
            if response.status_code >= 500:
                broken.append(f"{address}?{query[:300]}: {response.status_code}")
        with undone():
            plain, asked = client.get(address), client.get(address, TRAVERSAL)
            # A page whose form is sent by GET may say that this is no answer to it.
            if asked.status_code not in (plain.status_code, 400, 404, 422):
                broken.append(f"{address} answers {asked.status_code} to {list(TRAVERSAL)}")
    assert not broken, "\n".join(broken)
