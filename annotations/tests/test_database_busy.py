"""What a labeller meets while somebody else holds the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, connections
from django.test import Client
from django.urls import reverse

from annotations import queue
from annotations.models import Annotation, Project, User
from annotations.tests.factories import make_item


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
            cursor.execute("LOCK TABLE annotations_assignment IN EXCLUSIVE MODE")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")
            other.close()
            if not sqlite:  # whoever has the connection next has its patience back
                with connection.cursor() as restored:
                    restored.execute("RESET lock_timeout")
            connection.close()


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
