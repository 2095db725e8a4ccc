"""Bob at work: signed in, and with an assignment."""

from __future__ import annotations

import pytest
from django.test import Client

from annotations.models import Assignment, Kind, Project, User
from annotations.tests.factories import make_assignment, make_item


@pytest.fixture
def bobs(client: Client, bob: User) -> Client:
    client.force_login(bob)
    return client


@pytest.fixture
def writing(project: Project, bob: User) -> Assignment:
    return make_assignment(make_item(project, Kind.DEMONSTRATION), bob)


@pytest.fixture
def comparing(project: Project, bob: User) -> Assignment:
    return make_assignment(make_item(project), bob)
