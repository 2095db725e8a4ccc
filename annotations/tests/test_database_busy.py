"""What people meet while somebody else holds the database, or its disk is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, connections
from django.test import Client
from django.urls import reverse

from annotations import queue
from annotations.models import Annotation, Kind, Membership, Project, User
from annotations.tests.factories import make_assignment, make_item


@contextmanager
def held_by_another() -> Iterator[None]:
    """Let another connection hold what a submit must write, and this one lose patience soon."""
    other = connections.create_connection("default")
    sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout=50" if sqlite else "SET lock_timeout='50ms'")
    with other.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE" if sqlite else "BEGIN")
        if not sqlite:
            cursor.execute("LOCK TABLE annotations_assignment, django_session IN EXCLUSIVE MODE")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")
            other.close()
            if not sqlite:  # whoever has the connection next has its patience back
                with connection.cursor() as restored:
                    restored.execute("RESET lock_timeout")
            connection.close()


@contextmanager
def full_disk() -> Iterator[None]:
    """Let the database have no room for a long text."""
    sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        if sqlite:
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA max_page_count=1")  # as few as there are
        else:
            cursor.execute(
                "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file'; END $$"
            )
            cursor.execute(
                "CREATE TRIGGER no_room BEFORE INSERT ON annotations_annotation "
                "EXECUTE FUNCTION no_room()"
            )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            room = "PRAGMA max_page_count=1073741823" if sqlite else "DROP FUNCTION no_room CASCADE"
            cursor.execute(room)


@pytest.mark.django_db(transaction=True)
def test_it_answers_503_and_takes_the_same_submit_a_moment_later(
    client: Client, project: Project, bob: User
) -> None:
    make_item(project)
    assignment = queue.lease_next(bob, project)
    assert assignment is not None
    client.force_login(bob)
    submit = reverse("annotations:submit", args=[assignment.pk])
    with held_by_another():
        refused = client.post(submit, {"choice": "tie"})
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "5"
    assert "what you wrote is still there" in refused.text
    assert not Annotation.objects.exists()
    assert client.post(submit, {"choice": "tie"}).status_code == 303
    assert Annotation.objects.get().annotator == bob


@pytest.mark.django_db(transaction=True)
def test_what_finds_no_room_is_refused_and_taken_when_there_is_room(
    client: Client, project: Project, bob: User
) -> None:
    item = make_item(project, Kind.DEMONSTRATION)
    submit = reverse("annotations:submit", args=[make_assignment(item, bob).pk])
    answer = {"text": "Snow falls. " * 1_500}
    client.force_login(bob)
    with full_disk():
        refused = client.post(submit, answer)
    assert refused.status_code == 503
    assert "what you wrote is still there" in refused.text
    assert not Annotation.objects.exists()
    assert client.post(submit, answer).status_code == 303
    assert Annotation.objects.get().annotator == bob


@pytest.mark.django_db(transaction=True)
def test_a_session_that_cannot_be_kept_now_has_not_ended(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    client.raise_request_exception = False
    client.force_login(alice)
    page = reverse("annotations:members", args=[project.pk])
    membership = Membership.objects.get(project=project, user=bob)
    removal = reverse("annotations:change_membership", args=[project.pk, membership.pk])
    assert client.post(removal, {"action": "remove"}).status_code == 303
    with held_by_another():
        refused = client.get(page)  # it says once who was removed
    assert refused.status_code == 503
    assert "what you wrote is still there" in refused.text
    assert "Bob is no longer a member" in client.get(page).text
