"""Promotions that are taken back, by new rows that say what they undo."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Project, User
from training import selectors, services
from training.models import AuditEntry, Checkpoint, Promotion, Round
from training.services import ServiceError
from training.tests.factories import make_checkpoint


@pytest.fixture
def promoted(project: Project, alice: User) -> list[Promotion]:
    """Return the promotions of three checkpoints, one after the other."""
    return [
        services.promote_checkpoint(
            make_checkpoint(project, name=name),
            promoted_by=alice,
            reason=f"{name} is next.",
            override=True,
        )
        for name in ("first", "second", "third")
    ]


def demote(project: Project, by: User) -> Checkpoint:
    return services.demote(project, demoted_by=by, reason="It rhymes too much.").checkpoint


def address(name: str, pk: int) -> str:
    return reverse(f"training:{name}", args=[pk])


def test_demoting_goes_back_step_by_step(
    project: Project, eve: User, promoted: list[Promotion]
) -> None:
    assert demote(project, eve).name == "second"
    assert demote(project, eve).name == "first"
    with pytest.raises(ServiceError, match="Nothing was promoted before"):
        demote(project, eve)
    assert [str(one.checkpoint) for one in Promotion.objects.order_by("id")] == [
        "first",
        "second",
        "third",
        "second",
        "first",
    ]


def test_what_was_undone_does_not_come_back_by_demoting(
    project: Project, eve: User, alice: User, promoted: list[Promotion]
) -> None:
    assert demote(project, eve).name == "second"
    services.promote_checkpoint(
        make_checkpoint(project, name="fourth"), promoted_by=alice, reason="New.", override=True
    )
    assert demote(project, eve).name == "second"
    assert demote(project, eve).name == "first"


def test_a_rollback_says_what_it_undoes_and_why(
    project: Project, eve: User, promoted: list[Promotion]
) -> None:
    made = services.roll_back(promoted[0], rolled_back_by=eve, reason=" It was better. ")
    assert (made.checkpoint.name, made.restores, made.promoted_by) == ("first", promoted[0], eve)
    assert made.reason == "It was better."
    assert made.evidence["undoes"] == promoted[2].pk
    assert selectors.promoted_checkpoint(project) == promoted[0].checkpoint
    entry = AuditEntry.objects.filter(action="demoted").get()
    assert (entry.subject_name, entry.user, entry.reason) == ("third", eve, "It was better.")
    with pytest.raises(ServiceError, match="already"):
        services.roll_back(promoted[0], rolled_back_by=eve, reason="Again.")


def test_it_refuses_without_a_reason_or_files(
    project: Project, eve: User, promoted: list[Promotion]
) -> None:
    with pytest.raises(ServiceError, match="Say why"):
        services.roll_back(promoted[0], rolled_back_by=eve, reason=" ")
    Checkpoint.objects.filter(name="first").update(path="projects/0/gone")
    promoted[0].checkpoint.refresh_from_db()
    with pytest.raises(ServiceError, match=r"damaged: manifest\.json is missing"):
        services.roll_back(promoted[0], rolled_back_by=eve, reason="Back.")
    assert Promotion.objects.count() == 3


def test_an_open_round_ends_with_its_policy(
    project: Project, eve: User, promoted: list[Promotion]
) -> None:
    services.open_round(project)
    demote(project, eve)
    ended = Round.objects.get()
    assert ended.ended_at is not None
    assert ended.promotion is None
    assert "third was demoted" in ended.decision


def test_the_page_shows_the_history_and_takes_a_promotion_back(
    client: Client, project: Project, eve: User, promoted: list[Promotion]
) -> None:
    client.force_login(eve)
    page = client.get(address("checkpoints", project.pk)).content.decode()
    assert "Roll back to first" in page
    assert "Roll back to third" not in page
    refused = client.post(address("roll_back", promoted[0].pk), {"reason": ""}, follow=True)
    assert b"Say why" in refused.content
    client.post(address("roll_back", promoted[0].pk), {"reason": "<b>Bad</b> rhymes."})
    page = client.get(address("checkpoints", project.pk)).content.decode()
    assert "undoes third" in page
    assert "Demote first" not in page  # nothing was promoted before it
    refused = client.post(address("demote", project.pk), {"reason": "No."}, follow=True)
    assert b"Nothing was promoted before" in refused.content
    assert "&lt;b&gt;Bad&lt;/b&gt; rhymes." in page


@pytest.mark.parametrize("name", ["bob", "carol", "charlie"])
def test_only_who_trains_takes_back(
    client: Client, project: Project, promoted: list[Promotion], name: str
) -> None:
    client.force_login(User.objects.get(username=name))
    targets: list[tuple[str, Any]] = [("roll_back", promoted[0].pk), ("demote", project.pk)]
    for target, pk in targets:
        assert client.post(address(target, pk), {"reason": "No."}).status_code == 404
    assert Promotion.objects.count() == 3


def test_taking_back_is_no_page(
    client: Client, project: Project, eve: User, promoted: list[Promotion]
) -> None:
    client.force_login(eve)
    for target, pk in (("roll_back", promoted[0].pk), ("demote", project.pk)):
        assert client.get(address(target, pk)).status_code == 405
