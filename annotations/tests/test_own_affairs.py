"""What is about an owner themselves is decided by another one, if there is one."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from annotations import services
from annotations.models import (
    FlagDecision,
    KindDecision,
    Membership,
    PayEntry,
    Project,
    Recall,
    Role,
    User,
)
from annotations.tests.factories import make_careless


def qualify_oneself(project: Project, alice: User) -> KindDecision:
    return services.decide_kind(
        project, alice, "rating", "granted", reason="I made them.", decided_by=alice
    )


def pay_oneself(project: Project, alice: User) -> PayEntry:
    return services.adjust_pay(
        project, alice, Decimal(5), currency="USD", reason="Well done.", made_by=alice, key=uuid4()
    )


def lift_ones_own_recall(project: Project, alice: User) -> Recall:
    recalled = Recall.objects.create(
        project=project, annotator=alice, reason="Guessed.", created_by=project.created_by
    )
    return services.lift_recall(recalled, lifted_by=alice, reason="I did not.")


def dismiss_ones_own_flag(project: Project, alice: User) -> FlagDecision:
    if not project.items.exists():
        make_careless(project, alice, *User.objects.filter(username__in=("bea", "ben")))
    return services.decide_flag(
        project,
        "one_sided",
        [alice.pk],
        verdict="dismissed",
        reason="I looked.",
        decided_by=alice,
    )


@pytest.mark.parametrize(
    "act", [qualify_oneself, pay_oneself, lift_ones_own_recall, dismiss_ones_own_flag]
)
def test_another_owner_decides_where_there_is_one(
    project: Project, alice: User, carol: User, act: Callable[[Project, User], object]
) -> None:
    other = Membership.objects.get(user=carol)
    other.role = Role.OWNER
    other.save()
    with pytest.raises(services.ServiceError, match="Leave it to another owner"):
        act(project, alice)
    Recall.objects.all().delete()
    other.state = Membership.State.PAUSED  # and so cannot
    other.save()
    assert act(project, alice)


def test_pages_leave_to_others_what_is_about_oneself(
    client: Client, project: Project, alice: User, bea: User, ben: User, carol: User
) -> None:
    make_careless(project, alice, bea, ben)
    client.force_login(alice)
    own, statement, flags = (
        reverse("annotations:person", args=[project.pk, alice.pk]),
        reverse("annotations:statement", args=[project.pk, alice.pk]),
        reverse("annotations:flags", args=[project.pk]),
    )
    assert "so you decide about yourself, and the audit log" in client.get(own).text
    assert "Write to the statement" in client.get(statement).text
    assert "so you decide about yourself; your name" in client.get(flags).text
    Membership.objects.filter(user=carol).update(role=Role.OWNER)
    assert "Another owner can decide" in client.get(own).text
    assert "Write to the statement" not in client.get(statement).text
    assert "another owner decides" in client.get(flags).text
    assert 'value="dismissed"' not in client.get(flags).text
