"""Programs of owners invite, pay, decide about flags and settle with people, as their pages do."""

from __future__ import annotations

import pytest
from django.test import Client

from annotations import services
from annotations.models import (
    FlagDecision,
    Invitation,
    Kind,
    Membership,
    PayEntry,
    PayRate,
    Project,
    User,
)
from annotations.selectors import is_held_out
from annotations.tests.factories import make_assignment, make_careless, make_item
from annotations.tests.test_api import Program, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(project: Project, alice: User) -> Program:
    return Program(alice, project)


@pytest.fixture
def labeller(project: Project, bob: User) -> Program:
    return Program(bob, project)


def test_a_link_is_told_once_lets_in_and_is_revoked(
    owner: Program, project: Project, charlie: User, client: Client
) -> None:
    path = f"projects/{project.pk}/invitations"
    key = {"Idempotency-Key": "one"}
    made = owner.post(path, {"role": "reviewer", "uses": 2, "days": 3}, **key).json()
    problem_of(
        owner.post(path, {"role": "reviewer", "uses": 2, "days": 3}, **key), 409, "not-possible"
    )
    client.force_login(charlie)
    client.post(made["path"])
    assert Membership.objects.get(user=charlie).role == "reviewer"
    (listed,) = owner.get(path).json()["items"]
    assert (listed["state"], listed["used"], "path" in listed) == ("open", 1, False)
    problem_of(owner.post(path, {"role": "owner"}), 422, "wrong-body")
    assert owner.post(f"{path}/{made['id']}/revoke").json()["state"] == "revoked"
    assert Invitation.objects.get().revoked_at is not None


def test_rates_and_statements_are_those_of_the_ledger(
    owner: Program, labeller: Program, project: Project, bob: User
) -> None:
    rates = f"projects/{project.pk}/rates"
    rate = owner.post(rates, {"per_item": "0.30", "currency": "EUR"})
    assert (rate.status_code, rate.json()["per_item"]) == (201, "0.300000")
    late = owner.post(rates, {"per_item": "1", "currency": "EUR", "starts_on": "2020-01-01"})
    assert "today or later" in problem_of(late, 409, "not-possible")["detail"]
    given = make_assignment(make_item(project), bob)
    services.submit_comparison(given, "left", "better", reason="")
    services.undo(given)
    services.submit_comparison(given, "right", "better", reason="")
    person = f"projects/{project.pk}/people/{bob.pk}"
    entries = labeller.get(f"{person}/pay-entries").json()["items"]
    assert [(one["source"], one["amount"]) for one in entries] == [
        ("work", "0.300000"),
        ("reversal", "-0.300000"),
        ("work", "0.300000"),
    ]
    bonus = {"amount": "1.25", "currency": "EUR", "reason": "For the hard ones."}
    for _ in range(2):
        owner.post(f"{person}/adjustments", bonus, **{"Idempotency-Key": "bonus"})
    assert PayEntry.objects.filter(source="adjustment").count() == 1
    found = labeller.get(f"{person}/statement").json()
    (own,) = found["statements"]
    assert (own["answers"], own["work"], own["adjusted"], own["total"]) == (
        1,
        "0.30",
        "1.25",
        "1.55",
    )
    assert [one["amount"] for one in found["by_kind"]] == ["0.30"]
    everybody = owner.get(f"projects/{project.pk}/statements?period={found['period']}").json()
    assert everybody["statements"] == [own]
    assert owner.get(f"projects/{project.pk}/statements?period=2001-01").json()["statements"] == []
    problem_of(owner.get(f"projects/{project.pk}/statements?period=9999-01"), 404, "not-found")


def test_money_takes_a_scope_of_its_own(project: Project, alice: User, bob: User) -> None:
    program = Program(alice, project, scopes=("read", "write"))
    rate = program.post(f"projects/{project.pk}/rates", {"per_item": "1", "currency": "EUR"})
    problem_of(rate, 403, "missing-scope")
    taken = {"amount": "-1", "currency": "EUR", "reason": "x", "below_zero": True}
    path = f"projects/{project.pk}/people/{bob.pk}/adjustments"
    problem_of(program.post(path, taken), 403, "missing-scope")
    assert not PayRate.objects.exists()
    assert not PayEntry.objects.exists()


def test_a_labeller_reads_no_statement_but_their_own(
    labeller: Program, project: Project, ben: User
) -> None:
    for what in ("", "/statement", "/pay-entries", "/notes"):
        path = f"projects/{project.pk}/people/{ben.pk}{what}"
        problem_of(labeller.get(path), 404, "not-found")


def test_flags_come_with_their_evidence_and_are_decided(
    owner: Program, project: Project, bob: User, bea: User, ben: User
) -> None:
    make_careless(project, bob, bea, ben)
    found = owner.get(f"projects/{project.pk}/flags").json()
    (flag,) = (one for one in found["flags"] if one["detector"] == "one_sided")
    assert "40 of 40" in flag["evidence"]
    assert [one["username"] for one in flag["people"]] == ["bob"]
    decisions = f"projects/{project.pk}/flag-decisions"
    body = {"detector": "one_sided", "people": [bob.pk], "verdict": "paused", "reason": "So."}
    assert owner.post(decisions, body).status_code == 201
    gone = owner.post(decisions, {**body, "detector": "nothing"})
    assert "Look at the list again" in problem_of(gone, 409, "not-possible")["detail"]
    (kept,) = owner.get(decisions).json()["items"]
    assert (kept["id"], kept["verdict"]) == (FlagDecision.objects.get().pk, "paused")
    assert Membership.objects.get(user=bob).state == "paused"


def test_an_owner_settles_with_one_person_and_they_read_it(
    owner: Program, labeller: Program, project: Project, bob: User
) -> None:
    person = f"projects/{project.pk}/people/{bob.pk}"
    note = owner.post(f"{person}/notes", {"text": "Count the syllables."}).json()
    assert labeller.get(f"{person}/notes").json()["items"] == [note]
    problem_of(owner.post(f"notes/{note['id']}/read"), 404, "not-found")
    assert labeller.post(f"notes/{note['id']}/read").json()["read_at"]
    assert owner.ask("PUT", f"{person}/held-out", {"is_held_out": True}).json()["is_held_out"]
    assert is_held_out(bob, project)
    body = {"kind": "ranking", "decision": "withdrawn", "reason": "Not yet."}
    assert owner.post(f"{person}/qualification", body).status_code == 201
    report = labeller.get(person).json()
    standing = next(one for one in report["kinds"] if one["kind"] == Kind.RANKING)
    assert (standing["is_open"], standing["decision"]["reason"]) == (False, "Not yet.")
    # One's own share of gold items would say which items they are.
    assert report["gold"] is None
    assert report["is_held_out"] is None
    assert owner.get(person).json()["gold"]["all"]["n"] == 0


def test_a_person_pauses_comes_back_and_leaves(
    labeller: Program, project: Project, bob: User
) -> None:
    held = make_assignment(make_item(project), bob)
    path = f"projects/{project.pk}"
    assert labeller.post(f"{path}/rest").json()["state"] == "resting"
    held.refresh_from_db()
    assert held.state == "expired"
    problem_of(labeller.post(f"{path}/next"), 404, "not-found")
    assert labeller.post(f"{path}/come-back").json()["state"] == "active"
    assert labeller.post(f"{path}/leave").status_code == 204
    assert not Membership.objects.filter(user=bob).exists()


def test_the_last_owner_stays(owner: Program, project: Project) -> None:
    problem_of(owner.post(f"projects/{project.pk}/leave"), 409, "not-possible")
    problem_of(owner.post(f"projects/{project.pk}/rest"), 409, "not-possible")
