"""Who asks to be forgotten is found nowhere any more, and what they annotated is unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from annotations import services
from annotations.models import (
    Annotation,
    Assignment,
    AutomaticPause,
    FlagDecision,
    Import,
    Kind,
    Project,
    Recall,
    ScreeningAnswer,
    TestAttempt,
    TestVerdict,
    Ticket,
    TicketReport,
    User,
)
from annotations.tests.factories import (
    make_assignment,
    make_completion,
    make_item,
    make_prompt,
)
from annotations.tests.test_people import work
from conftest import PASSWORD
from training.models import AuditEntry, Automation, Chat, ChatMessage
from training.services import erase_person, record
from training.tests.factories import make_base

NAMES = ("wilhelmina", "Mina Murray", "mina@example.org")
PAY = "annotations.migrations.0008_pay_forgets_names"
AUDIT = "training.migrations.0004_audit_is_never_changed"
WORK = ("annotation", "comparison", "ranking", "rankedcompletion", "demonstration", "completion")


@pytest.fixture(autouse=True)
def guarded(db: None) -> None:
    """Install what the migrations install: most tests run on tables made without them."""
    with connection.cursor() as cursor:
        for migration in (PAY, AUDIT):
            for statement in import_module(migration).guards(connection.vendor):
                cursor.execute(statement)


@pytest.fixture
def mina(project: Project) -> User:
    """Has worked, talked and been talked about."""
    username, name, email = NAMES
    first, last = name.split()
    person = User.objects.create_user(username, email, PASSWORD, first_name=first, last_name=last)
    services.add_member(project, person, "annotator")
    work(project, person)
    alice = project.created_by
    assignment = make_assignment(make_item(project, Kind.DEMONSTRATION), person)
    services.save_draft(assignment, {"text": [f"by {name}"]}, revision=0)
    services.write_note(project, person, f"Dear {name}, well done.", alice)
    services.write_note(project, alice, f"Watch {username}.", alice)
    services.adjust_pay(
        project,
        person,
        Decimal("1.50"),
        currency="EUR",
        reason=f"For {name}.",
        made_by=alice,
        key=uuid4(),
    )
    FlagDecision.objects.create(
        project=project,
        person=person,
        detector="fast",
        n=9,
        evidence=f"{name} took 2 s",
        verdict="dismissed",
        reason=f"{username} is quick",
        decided_by=alice,
    )
    AutomaticPause.objects.create(
        project=project, person=person, detector="fast", p=0.001, n=9, evidence=f"{name}: 2 s"
    )
    recalled = Recall.objects.create(
        project=project, annotator=person, reason=f"{name} guessed", created_by=alice
    )
    record(project, alice, "recalled", recalled, f"{username} guessed.", {"who": email})
    written = make_item(project, Kind.DEMONSTRATION)
    attempt = TestAttempt.objects.create(
        project=project, kind=Kind.DEMONSTRATION, person=person, items=[1], pass_percent=75
    )
    answer = ScreeningAnswer.objects.create(
        person=person, item=written, attempt=attempt, said=f"by {name}", is_right=False
    )
    TestVerdict.objects.create(answer=answer, passes=True, reason=f"{username}?", judged_by=alice)
    services.decide_kind(
        project, person, "rating", "withdrawn", reason=f"As {name} asked.", decided_by=alice
    )
    reported = make_completion(make_prompt(project), "no haiku")
    ticket = Ticket.objects.create(project=project, completion=reported, reason="other")
    TicketReport.objects.create(
        ticket=ticket, reporter=alice, reason="other", words=f"{name} found it", source="queue"
    )
    skipped = make_assignment(make_item(project), alice)
    Assignment.objects.filter(id=skipped.pk).update(skip_note=f"As {username} said.")
    Import.objects.create(
        project=project, name=f"{name}.jsonl", size=1, sha256="", container="jsonl",
        format="table", annotator=username, created_by=alice,
        bad=[{"line": 2, "message": f'"{username}" does not say which is better.'}],
    )  # fmt: skip
    Automation.objects.create(
        project=project, changed_by=alice, asks=f"This went on in the name of {name}."
    )
    token, _ = services.make_api_token(
        alice, name=f"for {name}", projects=[project], scopes=["read"], days=1
    )
    token.answers.create(key="1", digest="", status=201, body=f'{{"username": "{username}"}}')
    base = make_base(project)
    chat = Chat.objects.create(
        project=project, person=person, title=name, left=base, temperature=1, top_p=1,
        max_new_tokens=9,
    )  # fmt: skip
    ChatMessage.objects.create(chat=chat, turn=0, role="user", text=f"I am {name}")
    LogEntry.objects.log_actions(alice.pk, [person], CHANGE, f"Changed {username}.")
    return person


def everything() -> Iterator[tuple[str, str]]:
    """Yield each row of each table as text, with the table's name."""
    for model in apps.get_models(include_auto_created=True):
        for row in model._base_manager.values_list():
            yield model._meta.db_table, str(row)


def tables_that_name_her() -> set[str]:
    return {
        table
        for table, row in everything()
        if any(name.lower() in row.lower() for name in (*NAMES, "murray"))
    }


def collected() -> dict[str, list[Any]]:
    return {name: list(apps.get_model("annotations", name).objects.values()) for name in WORK}


def test_nothing_names_who_asked_to_be_forgotten(client: Client, mina: User) -> None:
    client.post(reverse("annotations:sign_in"), {"username": mina.username, "password": PASSWORD})
    before = collected()
    assert len(tables_that_name_her()) > 8
    response = client.post(reverse("training:erase_me"), {"password": PASSWORD}, follow=True)
    assert "Nothing here carries your name" in response.text
    assert tables_that_name_her() == set()
    assert collected() == before
    assert Annotation.objects.filter(annotator=mina).exists()
    assert not Assignment.objects.filter(annotator=mina).exclude(draft=None).exists()
    mina.refresh_from_db()
    assert (str(mina), mina.is_active) == (f"erased:{mina.pk}", False)
    assert not client.login(username=mina.username, password=PASSWORD)
    said = AuditEntry.objects.get(action="erased")
    assert (said.subject_name, said.user) == (str(mina), mina)


def test_what_was_decided_about_them_by_hand_goes_without_their_name_in_it(
    mina: User, bob: User, project: Project
) -> None:
    for person in (mina, bob):
        services.decide_kind(
            project, person, "ranking", "granted", reason="A nurse.", decided_by=project.created_by
        )
    erase_person(mina, by=None)
    kept = AuditEntry.objects.filter(action="granted").order_by("id")
    assert list(kept.values_list("reason", "facts")) == [
        ("(erased)", {}),
        ("A nurse.", {"person": bob.pk, "kind": "ranking"}),
    ]


def test_it_needs_the_password_and_a_person_who_is_there(
    client: Client, mina: User, project: Project
) -> None:
    page = reverse("training:erase_me")
    assert client.get(page).status_code == 302
    client.force_login(mina)
    assert client.delete(page).status_code == 405
    assert "What goes" in client.get(page).text
    wrong = client.post(page, {"password": "a guess"})
    assert wrong.status_code == 422
    assert "not your password" in wrong.text
    mina.refresh_from_db()
    assert mina.username == NAMES[0]


def test_the_last_owner_hands_over_first(client: Client, project: Project, alice: User) -> None:
    client.force_login(alice)
    refused = client.post(reverse("training:erase_me"), {"password": PASSWORD})
    assert "Make somebody else an owner first" in refused.text
    alice.refresh_from_db()
    assert alice.is_active
    assert project.memberships.filter(user=alice).exists()


def test_the_operator_erases_who_cannot_sign_in(mina: User, capsys: Any) -> None:
    call_command("erase_person", mina.username)
    assert f"erased:{mina.pk}" in capsys.readouterr().out
    assert tables_that_name_her() == set()
    erase_person(User.objects.get(pk=mina.pk), by=None)  # twice is once
    with pytest.raises(CommandError, match="Nobody has the name"):
        call_command("erase_person", "nobody")


def test_who_is_named_alike_is_left_alone(mina: User, project: Project) -> None:
    kept = record(project, None, "demoted", project, "Wilhelminas were better.")
    erase_person(mina, by=None)
    kept.refresh_from_db()
    assert kept.reason == "Wilhelminas were better."


@pytest.mark.parametrize(("model", "migration"), [("AuditEntry", AUDIT), ("PayEntry", PAY)])
def test_a_log_is_neither_changed_nor_deleted(mina: User, model: str, migration: str) -> None:
    """Only what it says about a person can go, and only as a whole."""
    rows = next(found for found in apps.get_models() if found.__name__ == model)._base_manager
    columns = {field.column for field in rows.model._meta.concrete_fields}
    assert columns == set(import_module(migration).COLUMNS)
    table = rows.model._meta.db_table
    changes = [f"UPDATE {table} SET reason = 'Nothing happened.'", f"DELETE FROM {table}"]
    changes.append(f"UPDATE {table} SET created_at = '2020-01-01 00:00:00+00'")
    for change in changes:
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)
    assert rows.update(reason="(erased)")
