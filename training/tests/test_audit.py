"""The audit log: who did what, and why, for good."""

from __future__ import annotations

import pytest
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from annotations.models import Membership, Project, User
from annotations.tests.factories import make_careless
from training import services
from training.models import AuditEntry
from training.services import ServiceError, promote_checkpoint, record
from training.tests.factories import make_checkpoint


def test_a_promotion_stands_in_the_log_with_its_reason(
    client: Client, project: Project, eve: User
) -> None:
    checkpoint = make_checkpoint(project, name="first")
    promote_checkpoint(checkpoint, promoted_by=eve, reason="It is <b>the</b> first.")
    entry = AuditEntry.objects.get()
    assert (entry.user, entry.action) == (eve, "promoted")
    assert (entry.subject_kind, entry.subject_id) == ("checkpoint", checkpoint.pk)
    client.force_login(eve)
    page = client.get(reverse("training:audit", args=[project.pk])).content.decode()
    assert "first promoted" in page
    assert "It is &lt;b&gt;the&lt;/b&gt; first." in page


def test_what_nobody_did_was_done_by_the_platform(client: Client, project: Project) -> None:
    record(project, None, "promoted", make_checkpoint(project), "The gate opened.", {"n": 40})
    assert AuditEntry.objects.get().facts == {"n": 40}
    client.force_login(project.created_by)
    page = client.get(reverse("training:audit", args=[project.pk])).content.decode()
    assert "by itself" in page


def test_it_refuses_an_act_without_a_reason(project: Project, eve: User) -> None:
    with pytest.raises(ServiceError, match="Say why"):
        record(project, eve, "promoted", make_checkpoint(project), " \n")
    with pytest.raises(IntegrityError, match="audit_says_why"):
        AuditEntry.objects.create(
            project=project, user=eve, action="x", subject_kind="x", subject_id=1, reason=""
        )


def test_an_entry_is_never_changed_or_deleted(project: Project, eve: User) -> None:
    entry = record(project, eve, "promoted", make_checkpoint(project), "Because.")
    entry.reason = "Something nicer."
    with pytest.raises(TypeError, match="never changed"):
        entry.save()
    with pytest.raises(TypeError, match="never deleted"):
        entry.delete()
    assert AuditEntry.objects.get().reason == "Because."


def said_of(client: Client, project: Project, user: User) -> list[str]:
    """Return what stands in the log, newest first, and see that its page shows all of it."""
    client.force_login(user)
    page = client.get(reverse("training:audit", args=[project.pk])).text
    entries = AuditEntry.objects.filter(project=project)
    assert all(entry.subject_name in page for entry in entries)
    return [f"{entry.subject_name} {entry.action}: {entry.reason}" for entry in entries]


def test_an_endpoint_stands_in_the_log_and_its_key_does_not(
    client: Client, project: Project, eve: User, alice: User
) -> None:
    server = services.Server("https://192.0.2.1.example/v1", "llama-9", 5)
    added = services.add_endpoint(project, "llama", server, key="sk-1", created_by=eve)
    services.change_endpoint(added, server, changed_by=alice)
    slower = services.Server(server.url, "llama-10", 50)
    services.change_endpoint(added, slower, key="sk-2", changed_by=alice)
    services.change_endpoint(added, slower, forget_key=True, changed_by=alice)
    services.delete_checkpoint(added.checkpoint, deleted_by=alice, reason="It moved.")
    assert said_of(client, project, eve) == [
        "llama deleted: It moved.",
        "llama changed: Now: no key any more.",
        "llama changed: Now: model llama-10, seconds for an answer 50, another key.",
        "llama added: https://192.0.2.1.example/v1 is asked for llama-9, with a key.",
    ]
    assert "sk-" not in str(list(AuditEntry.objects.values()))


def test_a_token_stands_in_the_log_of_each_project_that_it_reaches(
    client: Client, project: Project, eve: User
) -> None:
    token, secret = services.create_api_token(eve, name="bot", projects=[project], days=7)
    services.revoke_api_token(token)
    services.revoke_api_token(token)
    assert said_of(client, project, eve) == [
        f"Token bot ({secret[:8]}…) revoked: It lets no program in any more.",
        f"Token bot ({secret[:8]}…) made: For 7 days, good for: models.",
    ]
    assert secret not in str(list(AuditEntry.objects.values()))


def test_a_pause_by_a_flag_alone_stands_in_the_log_without_a_name(
    client: Client, project: Project, eve: User, bob: User, bea: User, ben: User
) -> None:
    make_careless(project, bob, bea, ben)
    services.pause_flagged()
    assert not AuditEntry.objects.exists()
    project.flag_pause = "very_sure"
    project.save()
    services.pause_flagged()
    (line,) = said_of(client, project, eve)
    assert line.startswith("Pause")
    assert "made: " in line
    assert "Bob" not in line
    assert AuditEntry.objects.get().facts["person"] == bob.pk


def test_what_owners_do_with_members_stands_in_the_log_without_names(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    client.force_login(alice)
    member = Membership.objects.get(project=project, user=bob)
    page = reverse("annotations:change_membership", args=[project.pk, member.pk])
    for change in (
        {"action": "role", "role": "reviewer"},
        {"action": "role", "role": "reviewer"},  # the same again says nothing, here and below
        {"action": "pause", "role": ""},
        {"action": "pause", "role": ""},
        {"action": "resume", "role": ""},
        {"action": "resume", "role": ""},
        {"action": "remove", "role": ""},
    ):
        assert client.post(page, change).status_code == 303
    again = {"username": bob.username, "role": "engineer"}
    assert client.post(reverse("annotations:members", args=[project.pk]), again).status_code == 303
    entries = list(AuditEntry.objects.filter(project=project).order_by("id"))
    assert [(entry.action, entry.reason) for entry in entries] == [
        ("given another role", "From annotator to reviewer."),
        ("paused", "They get no work until they are resumed."),
        ("resumed", "They can work again."),
        ("removed", "What they annotated stays."),
        ("brought in", "As engineer."),
    ]
    assert {entry.user for entry in entries} == {alice}
    assert {entry.subject_name for entry in entries} == {f"Person {bob.pk}"}
    assert not any(bob.username in str(entry.facts) + entry.reason for entry in entries)


def test_who_set_the_arena_and_the_rounds_stands_in_the_log(
    client: Client, project: Project, eve: User
) -> None:
    services.set_arena(
        project,
        is_open=True,
        daily_limit=9,
        learns_from_arena=False,
        checkpoints=[],
        changed_by=eve,
    )
    services.set_automation(
        project, mode="promoting", new_comparisons=40, settings_from="last", changed_by=eve
    )
    assert said_of(client, project, eve) == [
        f"Automation of {project} set: On, promotion included. A round trains after 40 new "
        "judgements; settings: The last round's runs.",
        f"Arena of {project} set: Everybody may ask, 9 a day. Votes teach nothing. Who fights: "
        "the promoted and the newest.",
    ]
