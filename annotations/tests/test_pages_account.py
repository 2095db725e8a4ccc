"""What the page of one's own keys promises, through HTTP."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotations.keys import ACTIONS, bindings_for, check_bindings
from annotations.models import Kind, Project, User
from annotations.tests.factories import make_assignment, make_item


def account() -> str:
    return reverse("annotations:account")


def test_the_keys_of_the_page_do_not_contradict_each_other() -> None:
    assert check_bindings({}) == {}


def test_a_visitor_is_asked_to_sign_in(client: Client, db: None) -> None:
    assert client.get(account()).status_code == 302


def test_who_mistypes_a_password_is_told_what_to_do_and_types_it_again(
    client: Client, bob: User
) -> None:
    response = client.post(reverse("annotations:sign_in"), {"username": "bob", "password": "x"})
    assert response.status_code == 422
    assert "ask whoever runs this site" in response.text
    [field] = [line for line in response.text.splitlines() if "autofocus" in line]
    assert 'type="password"' in field


def test_every_key_can_be_changed_in_one_place(bobs: Client) -> None:
    page = bobs.get(account())
    for action in ACTIONS:
        assert page.text.count(f'name="{action.name}"') == 1, action
    assert all(fields for _, fields in page.context["form"].groups())


def test_own_keys_are_kept_and_shown_where_they_act(
    bobs: Client, project: Project, bob: User
) -> None:
    response = bobs.post(account(), {"skip": "k", "up": "w", "send": "enter"})
    assert response.status_code == 303
    bob.refresh_from_db()
    assert bob.keys == {"skip": "k", "up": "w"}
    page = reverse("annotations:assignment", args=[make_assignment(make_item(project), bob).pk])
    assert 'Skip <kbd aria-hidden="true">k</kbd>' in bobs.get(page).text


def test_two_actions_of_one_page_cannot_share_a_key(bobs: Client, bob: User) -> None:
    response = bobs.post(account(), {"diff": "g"})
    assert response.status_code == 422
    assert "already does “Open or close the guidelines”" in response.text
    assert 'value="g"' in response.text
    bob.refresh_from_db()
    assert bob.keys == {}


def test_actions_of_different_pages_may_share_a_key(bobs: Client, bob: User) -> None:
    assert bobs.post(account(), {"diff": "x"}).status_code == 303


@pytest.mark.parametrize("key", ["ab", "Escape", "Tab", "\x00", "\u202e", "x" * 30])
def test_what_is_no_key_is_refused_with_a_sentence(bobs: Client, bob: User, key: str) -> None:
    response = bobs.post(account(), {"diff": key})
    assert response.status_code == 422
    assert 'class="error"' in response.text
    bob.refresh_from_db()
    assert bob.keys == {}


def test_keys_can_be_swapped(bobs: Client, bob: User) -> None:
    assert bobs.post(account(), {"skip": "g", "guidelines": "s"}).status_code == 303
    bob.refresh_from_db()
    assert bob.keys == {"skip": "g", "guidelines": "s"}


def test_all_keys_can_be_reset(bobs: Client, bob: User) -> None:
    bob.keys = {"skip": "k"}
    bob.save()
    bobs.post(account(), {"reset": "1", "skip": "k"})
    bob.refresh_from_db()
    assert bob.keys == {}
    assert bindings_for(bob) == {action.name: action.key for action in ACTIONS}


def test_sending_on_choice_is_a_choice(bobs: Client, project: Project, bob: User) -> None:
    page = reverse("annotations:assignment", args=[make_assignment(make_item(project), bob).pk])
    assert "data-sends-on-choice" not in bobs.get(page).text
    bobs.post(account(), {"sends_on_choice": "on"})
    assert "data-sends-on-choice" in bobs.get(page).text


def test_every_kind_of_work_can_be_sent_skipped_and_undone_by_key() -> None:
    for kind in Kind:
        names = {action.name for action in ACTIONS if kind in action.kinds}
        assert {"send", "skip", "undo", "help", "guidelines"} <= names
