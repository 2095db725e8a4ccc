"""Coming in by a link, pausing and leaving."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotations import queue, services
from annotations.models import Annotation, Assignment, Invitation, Item, Membership, Project, User
from annotations.tests.factories import make_assignment, make_item

GOOD = {
    "username": "dora",
    "name": "Dora",
    "password1": "pond-frog-seven",
    "password2": "pond-frog-seven",
}


def url(name: str, project: Project, *args: object) -> str:
    return reverse(f"annotations:{name}", args=[project.pk, *args])


def link(project: Project, **changes: Any) -> tuple[Invitation, str]:
    values: dict[str, Any] = {
        "role": "annotator",
        "uses": 1,
        "days": 7,
        "made_by": project.created_by,
        **changes,
    }
    invitation, secret = services.invite(project, **values)
    return invitation, reverse("annotations:invitation", args=[secret])


def is_member(project: Project, **user: str) -> bool:
    return Membership.objects.filter(
        project=project, **{f"user__{name}": value for name, value in user.items()}
    ).exists()


def test_an_owner_makes_a_link_that_is_shown_once(
    client: Client, project: Project, alice: User
) -> None:
    client.force_login(alice)
    page = url("invitations", project)
    made = client.post(page, {"role": "reviewer", "uses": "3", "days": "2"}).text
    (secret,) = re.findall(r"http://testserver/invitations/([\w-]+)/", made)
    assert secret not in client.get(page).text
    invitation = Invitation.objects.get()
    assert (invitation.role, invitation.uses) == ("reviewer", 3)
    assert secret not in str(Invitation.objects.values().get())
    for wrong in ({"role": "owner"}, {"uses": "0"}, {"days": "9999"}):
        refused = client.post(page, {"role": "annotator", "uses": "1", "days": "1"} | wrong)
        assert refused.status_code == 422
    assert Invitation.objects.count() == 1


@pytest.mark.parametrize("username", ["bob", "carol", "eve", "charlie"])
def test_only_owners_invite_and_revoke(client: Client, project: Project, username: str) -> None:
    invitation, _ = link(project)
    client.force_login(User.objects.get(username=username))
    assert client.get(url("invitations", project)).status_code == 404
    page = url("revoke_invitation", project, invitation.pk)
    assert (client.post(page).status_code, client.get(page).status_code) == (404, 405)


def test_a_visitor_signs_up_by_a_link_and_only_by_one(client: Client, project: Project) -> None:
    _invitation, page = link(project)
    shown = client.get(page)
    assert "Haiku" in shown.text
    assert f"/sign-in/?next={page}" in shown.text
    assert client.post(page, GOOD).status_code == 303
    assert "Hello, Dora" in client.get("/").text
    member = Membership.objects.get(user__username="dora")
    assert (member.project, member.role) == (project, "annotator")
    assert Client().get(page).status_code == 410
    assert Client().post(page, GOOD | {"username": "dan"}).status_code == 410
    assert not User.objects.filter(username="dan").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": "bob"},
        {"username": "BOB"},
        {"username": "a b"},
        {"username": "Imported-1-file"},  # is kept for who said something in a file
        {"password2": "something-else-7"},
        {"password1": "123", "password2": "123"},
        {"name": ""},
    ],
)
def test_a_sign_up_that_cannot_be_uses_nothing_up(
    client: Client, project: Project, wrong: dict[str, str]
) -> None:
    invitation, page = link(project)
    response = client.post(page, GOOD | wrong)
    assert response.status_code == 422
    assert 'class="error"' in response.text or "notice--bad" in response.text
    invitation.refresh_from_db()
    assert invitation.used == 0


def test_somebody_with_an_account_comes_in_with_it(
    client: Client, project: Project, charlie: User, bob: User
) -> None:
    invitation, page = link(project)
    client.force_login(bob)
    assert client.post(page).status_code == 303
    assert Membership.objects.get(project=project, user=bob).role == "annotator"
    invitation.refresh_from_db()
    assert invitation.used == 0  # bob was in already
    client.force_login(charlie)
    assert client.get(page).status_code == 200
    assert not is_member(project, username="charlie")
    assert client.post(page).status_code == 303
    assert is_member(project, username="charlie")


@pytest.mark.parametrize("why", ["revoked", "expired", "used up"])
def test_a_link_that_is_over_says_so_and_lets_nobody_in(
    client: Client, project: Project, alice: User, charlie: User, why: str
) -> None:
    invitation, page = link(project)
    if why == "revoked":
        client.force_login(alice)
        client.post(url("revoke_invitation", project, invitation.pk))
    elif why == "expired":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        Invitation.objects.update(used=1)
    invitation.refresh_from_db()
    assert invitation.state == why
    client.force_login(charlie)
    assert "Ask the one who sent it" in client.get(page).text
    assert client.post(page).status_code == 410
    with pytest.raises(services.ServiceError, match="lets nobody in"):
        services.accept_invitation(invitation, charlie)
    assert not is_member(project, username="charlie")
    assert client.get(reverse("annotations:invitation", args=["guess"])).status_code == 404


@pytest.mark.parametrize("how", ["removed", "made an engineer"])
def test_the_links_of_who_owns_no_longer_let_nobody_in(
    project: Project, alice: User, charlie: User, how: str
) -> None:
    services.add_member(project, charlie, "owner")
    invitation, _ = link(project, made_by=charlie, role="engineer")
    others, _ = link(project)
    member = Membership.objects.get(project=project, user=charlie)
    if how == "removed":
        services.remove_member(member)
    else:
        services.set_role(member, "engineer")
    invitation.refresh_from_db()
    others.refresh_from_db()
    assert (invitation.state, others.state) == ("revoked", "open")


def test_the_database_lets_in_no_more_than_were_invited(project: Project) -> None:
    link(project)
    with pytest.raises(IntegrityError), transaction.atomic():
        Invitation.objects.update(used=2)
    with pytest.raises(IntegrityError), transaction.atomic():
        Invitation.objects.update(role="owner")


# Pausing and leaving


def test_pausing_returns_what_is_held_and_keeps_what_was_begun(
    client: Client, project: Project, bob: User
) -> None:
    assignment = make_assignment(make_item(project), bob)
    services.save_draft(assignment, {"reason": ["half a thought"]}, revision=0)
    client.force_login(bob)
    page = url("rest", project)
    assert client.get(page).status_code == 405
    assert client.post(page).status_code == 303
    assignment.refresh_from_db()
    assert (assignment.state, assignment.draft) == ("expired", {"reason": ["half a thought"]})
    assert Item.objects.get().open_slots == 1
    assert queue.lease_next(bob, project) is None
    assert client.get(url("project", project)).status_code == 404
    assert "Come back" in client.get("/").text
    client.post(page, {"back": "1"})
    again = queue.lease_next(bob, project)
    assert again == assignment
    assert again.draft == {"reason": ["half a thought"]}


def test_nobody_comes_back_whom_an_owner_paused(
    client: Client, project: Project, bob: User
) -> None:
    services.pause_member(Membership.objects.get(project=project, user=bob))
    client.force_login(bob)
    for act in ({}, {"back": "1"}):
        client.post(url("rest", project), act)
        assert Membership.objects.get(project=project, user=bob).state == "paused"


def test_nobody_ends_an_owners_pause_by_leaving_and_coming_back(
    client: Client, project: Project, bob: User
) -> None:
    _invitation, page = link(project, uses=5)
    services.pause_member(Membership.objects.get(project=project, user=bob))
    client.force_login(bob)
    refused = client.post(url("leave", project))
    assert refused.status_code == 409
    assert "Ask them to resume it" in refused.text
    client.post(page)
    assert Membership.objects.get(project=project, user=bob).state == "paused"


@pytest.mark.parametrize("act", [services.rest, services.come_back, services.leave])
@pytest.mark.parametrize("before", ["active", "resting"])
def test_an_owners_pause_holds_against_what_was_asked_for_just_before(
    project: Project, bob: User, act: Any, before: str
) -> None:
    mine = Membership.objects.get(project=project, user=bob)
    Membership.objects.filter(id=mine.pk).update(state=before)
    mine.refresh_from_db()
    services.pause_member(Membership.objects.get(id=mine.pk))
    with pytest.raises(services.ServiceError, match="paused"):
        act(mine)
    assert Membership.objects.get(id=mine.pk).state == "paused"


def test_who_was_removed_or_left_needs_a_new_link(
    client: Client, project: Project, bob: User
) -> None:
    _invitation, page = link(project, uses=5)
    make_assignment(make_item(project), bob)
    services.remove_member(Membership.objects.get(project=project, user=bob))
    client.force_login(bob)
    assert client.post(page).status_code == 409
    assert not is_member(project, username="bob")
    _invitation, new = link(project)
    assert client.post(new).status_code == 303
    assert is_member(project, username="bob")


def test_leaving_asks_first_and_keeps_annotations(
    client: Client, project: Project, bob: User
) -> None:
    services.submit_comparison(make_assignment(make_item(project), bob), "tie")
    make_assignment(make_item(project), bob)
    client.force_login(bob)
    page = url("leave", project)
    assert "1 item that you have begun" in client.get(page).text
    assert is_member(project, username="bob")
    assert client.post(page).status_code == 303
    assert not is_member(project, username="bob")
    assert Annotation.objects.filter(annotator=bob).count() == 1
    assert not Assignment.objects.filter(state="leased").exists()


def test_the_last_owner_neither_pauses_nor_leaves(
    client: Client, project: Project, alice: User
) -> None:
    client.force_login(alice)
    client.post(url("rest", project))
    refused = client.post(url("leave", project))
    assert refused.status_code == 409
    assert "last owner" in refused.text
    assert Membership.objects.get(user=alice).state == "active"


def test_an_outsider_has_nothing_to_leave(client: Client, project: Project, charlie: User) -> None:
    client.force_login(charlie)
    assert client.get(url("leave", project)).status_code == 404
    assert client.post(url("rest", project)).status_code == 404
