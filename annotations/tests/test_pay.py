"""The ledger of pay: what is handed in is paid once, and nothing is ever changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Sum
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from annotations import services
from annotations.algorithms.pay import amount_micros
from annotations.models import (
    Annotation,
    Assignment,
    Kind,
    Membership,
    PayEntry,
    PayRate,
    Project,
    User,
    in_force,
)
from annotations.selectors import Period, statements_of
from annotations.tests.factories import make_assignment, make_item, run_out

CENTS_30 = Decimal("0.30")


def set_rate(project: Project, **changes: Any) -> PayRate:
    values: dict[str, Any] = {
        "kind": "",
        "per_item": CENTS_30,
        "per_hour": Decimal("12"),
        "currency": "EUR",
        "made_by": project.created_by,
        **changes,
    }
    return services.set_rate(project, **values)


def hold(project: Project, person: User, *, active_ms: int = 0, **changes: Any) -> Assignment:
    """Return an assignment whose holder has been at work for so long."""
    assignment = make_assignment(make_item(project, **changes), person)
    worked = Assignment.objects.filter(id=assignment.pk)
    worked.update(leased_at=Now() - timedelta(hours=2), active_ms=active_ms)
    assignment.refresh_from_db()
    return assignment


def earned(person: User) -> int:
    return PayEntry.objects.filter(person=person).aggregate(sum=Sum("amount_micros"))["sum"] or 0


def test_an_answer_is_paid_by_the_item_or_by_the_hour_whichever_is_more(
    project: Project, bob: User
) -> None:
    rate = set_rate(project)
    quick, slow = hold(project, bob, active_ms=30_000), hold(project, bob, active_ms=600_000)
    services.submit_comparison(quick, "tie")
    services.submit_comparison(slow, "tie")
    paid = PayEntry.objects.order_by("id").values_list("amount_micros", "active_ms", "rate")
    assert list(paid) == [(300_000, 30_000, rate.pk), (2_000_000, 600_000, rate.pk)]


def test_a_second_submit_is_not_paid(project: Project, bob: User) -> None:
    set_rate(project)
    assignment = hold(project, bob)
    for _ in range(2):
        services.submit_comparison(Assignment.objects.get(id=assignment.pk), "tie")
    assert PayEntry.objects.count() == 1


def test_a_kind_has_a_rate_of_its_own_or_that_of_all(project: Project, bob: User) -> None:
    set_rate(project, per_hour=Decimal(0))
    set_rate(project, kind=Kind.DEMONSTRATION, per_item=Decimal("2.50"), per_hour=Decimal(0))
    set_rate(project, per_item=Decimal("0.40"), per_hour=Decimal(0))
    services.submit_comparison(hold(project, bob), "tie")
    services.submit_demonstration(hold(project, bob, kind=Kind.DEMONSTRATION), "frogs")
    paid = PayEntry.objects.order_by("id").values_list("amount_micros", flat=True)
    assert list(paid) == [400_000, 2_500_000]


def test_unpaid_work_leaves_no_entry(project: Project, bob: User) -> None:
    services.submit_comparison(hold(project, bob), "tie")
    set_rate(project, starts_at=timezone.now() + timedelta(days=1))
    services.submit_comparison(hold(project, bob), "tie")
    assert not PayEntry.objects.exists()


def test_a_rate_that_changes_in_the_middle_of_a_month_holds_from_then_on(
    project: Project, bob: User
) -> None:
    set_rate(project, per_item=Decimal("0.30"), per_hour=Decimal(0))
    first = hold(project, bob)
    before = services.submit_comparison(first, "tie")
    set_rate(project, per_item=Decimal("0.50"), per_hour=Decimal(0))
    services.submit_comparison(hold(project, bob), "tie")
    # Sending old work again does not bring it under the new rate.
    services.submit_comparison(first, "both_bad", correcting=before.pk)
    (statement,) = statements_of(project, bob, Period.now())
    assert (statement.answers, statement.total) == (2, Decimal("0.80"))


def test_a_rate_of_the_past_is_refused(project: Project) -> None:
    with pytest.raises(services.ServiceError, match="begins today or later"):
        set_rate(project, starts_at=timezone.now() - timedelta(days=1))


def test_taking_back_is_a_reversal_and_sending_again_is_paid(project: Project, bob: User) -> None:
    set_rate(project)
    assignment = hold(project, bob, active_ms=120_000)
    services.submit_comparison(assignment, "tie")
    services.undo(assignment)
    services.undo(assignment)
    assert (PayEntry.objects.count(), earned(bob)) == (2, 0)
    assert PayEntry.objects.aggregate(sum=Sum("active_ms"))["sum"] == 0
    services.submit_comparison(Assignment.objects.get(id=assignment.pk), "tie")
    assert earned(bob) == 400_000


def test_surplus_and_gold_are_paid_like_everything(project: Project, bob: User, bea: User) -> None:
    set_rate(project)
    late = run_out(hold(project, bob))
    Assignment.objects.filter(id=late.pk).update(state="expired")
    late.refresh_from_db()
    assert services.submit_comparison(late, "tie").surplus
    services.submit_comparison(hold(project, bea, purpose="gold", gold={}), "tie")
    assert (earned(bob), earned(bea)) == (300_000, 300_000)


def test_what_is_found_out_about_work_changes_nothing_that_was_paid(
    project: Project, alice: User, bob: User, carol: User
) -> None:
    set_rate(project)
    said = services.submit_demonstration(hold(project, bob, kind=Kind.DEMONSTRATION), "frogs")
    wrong = {"left": 1, "right": 2, "outcome": "both_bad"}
    services.submit_comparison(hold(project, bob, purpose="gold", gold=wrong), "tie")
    before = list(PayEntry.objects.filter(person=bob).values())
    review = hold(project, carol, kind=Kind.REVIEW, subject=said)
    services.submit_review(review, "reject", reason="No frog.")
    services.hold_out(project, bob, alice)
    services.pause_member(Membership.objects.get(project=project, user=bob))
    assert list(PayEntry.objects.filter(person=bob).values()) == before


def test_pay_adds_two_queries_to_a_submit_at_most(project: Project, bob: User) -> None:
    def queries() -> int:
        assignment = hold(project, bob)
        with CaptureQueriesContext(connection) as captured:
            services.submit_comparison(assignment, "tie")
        return len([q for q in captured if "annotations_pay" in q["sql"]])

    unpaid = queries()
    set_rate(project)
    assert (unpaid, queries()) == (1, 2)


class TestLedger(TestCase):
    """Whatever people do, in whatever order: the ledger is what the answers in force earn."""

    def setUp(self) -> None:
        self.alice = User.objects.create_user("alice")
        self.bob = User.objects.create_user("bob")
        self.project = Project.objects.create(name="Haiku", created_by=self.alice)
        Membership.objects.create(project=self.project, user=self.bob, role="annotator")

    @settings(max_examples=8)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["submit", "undo", "correct", "rate", "adjust"]),
                st.integers(0, 7_000_000),
            ),
            max_size=12,
        )
    )
    def test_it_is_what_the_answers_in_force_earn_by_the_rates_of_their_time(
        self, acts: list[tuple[str, int]]
    ) -> None:
        rate: PayRate | None = None
        model: dict[int, tuple[PayRate, Annotation]] = {}  # by assignment
        adjusted = 0
        last: Assignment | None = None
        for act, number in acts:
            if act == "rate":
                rate = set_rate(self.project, per_item=Decimal(number) / 10**6)
            elif act == "adjust":
                adjusted += self.adjust(number)
            elif act == "submit" or last is None:
                last = hold(self.project, self.bob, active_ms=number)
                said = services.submit_comparison(last, "tie")
                if rate:
                    model[last.pk] = (rate, said)
            elif act == "correct" and (now := services.annotation_in_force(last)):
                said = services.submit_comparison(last, "both_bad", correcting=now.pk)
                if last.pk in model:
                    model[last.pk] = (model[last.pk][0], said)
            elif act == "undo":
                services.undo(last)
                model.pop(last.pk, None)
                last = None
        expected = sum(
            amount_micros(
                said.active_ms or 0,
                per_item=paid_by.per_item_micros,
                per_hour=paid_by.per_hour_micros,
            )
            for paid_by, said in model.values()
        )
        assert earned(self.bob) == expected + adjusted
        (standing,) = statements_of(self.project, self.bob, Period.now()) or [None]
        if standing:
            assert standing.work_micros + standing.adjusted_micros == expected + adjusted
            assert standing.answers == len(model)
        paid = PayEntry.objects.filter(source="work", reversed_by=None)
        assert not paid.exclude(annotation__in=Annotation.objects.filter(in_force())).exists()

    def adjust(self, number: int) -> int:
        entry = services.adjust_pay(
            self.project,
            self.bob,
            Decimal(number + 1) / 100,
            currency="EUR",
            reason="A bonus.",
            made_by=self.alice,
            key=uuid4(),
        )
        return entry.amount_micros


@pytest.fixture
def guarded(db: None) -> None:
    """Install what the migration installs: most tests run on tables made without it."""
    migration = import_module("annotations.migrations.0003_pay_is_never_changed")
    with connection.cursor() as cursor:
        for statement in migration.refusals(connection.vendor):
            cursor.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        lambda: PayEntry.objects.update(amount_micros=1),
        lambda: PayEntry.objects.filter(amount_micros=300_000).delete(),
        lambda: PayRate.objects.update(per_item_micros=1),
        lambda: PayRate.objects.filter(kind="review").delete(),
    ],
)
def test_the_database_refuses_to_change_or_delete_what_was_written(
    guarded: None, project: Project, bob: User, change: Callable[[], Any]
) -> None:
    set_rate(project)
    set_rate(project, kind=Kind.REVIEW)
    services.submit_comparison(hold(project, bob), "tie")
    with pytest.raises(DatabaseError), transaction.atomic():
        change()
    assert earned(bob) == 300_000


# What owners add or take


def adjust(project: Project, person: User, amount: str, **changes: Any) -> PayEntry:
    values: dict[str, Any] = {
        "currency": "EUR",
        "reason": "For the night shift.",
        "made_by": project.created_by,
        "key": uuid4(),
        **changes,
    }
    return services.adjust_pay(project, person, Decimal(amount), **values)


def test_a_bonus_is_written_once_however_often_its_form_is_sent(
    project: Project, bob: User
) -> None:
    key = uuid4()
    assert adjust(project, bob, "5.00", key=key) == adjust(project, bob, "5.00", key=key)
    assert earned(bob) == 5_000_000


def test_nothing_is_taken_below_zero_without_saying_so(project: Project, bob: User) -> None:
    adjust(project, bob, "5.00")
    with pytest.raises(services.ServiceError, match=r"left with -0\.01 EUR"):
        adjust(project, bob, "-5.01")
    adjust(project, bob, "-5.00")
    adjust(project, bob, "-1.00", below_zero=True)
    assert earned(bob) == -1_000_000


@pytest.mark.parametrize(("amount", "reason"), [("0", "Why not"), ("1", "  "), ("9e9", "Rich")])
def test_an_adjustment_needs_an_amount_and_a_reason(
    project: Project, bob: User, amount: str, reason: str
) -> None:
    with pytest.raises(services.ServiceError):
        adjust(project, bob, amount, reason=reason)
    assert not PayEntry.objects.exists()


# Pages


def test_a_month_begins_and_ends_at_midnight(project: Project, bob: User) -> None:
    adjust(project, bob, "1.00")
    assert (Period(2026, 12).next, Period.named("2026-13"), Period.named("x")) == (
        Period(2027, 1),
        None,
        None,
    )
    assert not statements_of(project, bob, Period(2026, 1))


def test_owners_see_everybody_and_people_see_themselves(
    client: Client, project: Project, alice: User, bob: User, bea: User, charlie: User
) -> None:
    set_rate(project)
    services.submit_comparison(hold(project, bob), "tie")
    everybody = reverse("annotations:pay", args=[project.pk])
    file = reverse("annotations:pay_file", args=[project.pk])
    bobs = reverse("annotations:statement", args=[project.pk, bob.pk])
    bobs_file = reverse("annotations:statement_file", args=[project.pk, bob.pk])
    adjusting = reverse("annotations:adjust_pay", args=[project.pk, bob.pk])
    seen: dict[User, list[int]] = {}
    for person in (alice, bob, bea, charlie):
        client.force_login(person)
        pages = (everybody, file, bobs, bobs_file)
        seen[person] = [client.get(page).status_code for page in pages]
        seen[person].append(client.post(adjusting, {}).status_code)
        assert client.get(adjusting).status_code == 405
        assert client.post(bobs).status_code == 405
    assert seen[alice] == [200, 200, 200, 200, 422]
    assert seen[bob] == [404, 404, 200, 200, 404]
    assert seen[bea] == [404] * 5
    assert seen[charlie] == [404] * 5


def test_an_owner_sets_a_rate_and_adds_a_bonus_from_the_pages(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    client.force_login(alice)
    page = reverse("annotations:pay", args=[project.pk])
    assert "unpaid" in client.get(page).text
    form = {"per_item": "0.305", "per_hour": "15", "currency": "eur", "kind": "", "starts_on": ""}
    assert client.post(page, form).status_code == 303
    assert "0.305 an item, at least 15.00 an hour at work, EUR" in client.get(page).text
    for wrong in ({"currency": "e1"}, {"per_item": "-1"}, {"starts_on": "2020-01-01"}):
        response = client.post(page, form | wrong)
        assert response.status_code == 422
        assert 'class="error"' in response.text
    assert PayRate.objects.count() == 1

    bobs = reverse("annotations:statement", args=[project.pk, bob.pk])
    adjusting = reverse("annotations:adjust_pay", args=[project.pk, bob.pk])
    bonus = {"amount": "-2", "currency": "EUR", "reason": "=SUM(A1)", "key": str(uuid4())}
    refused = client.post(adjusting, bonus)
    assert refused.status_code == 422
    assert "below zero" in refused.text
    assert client.post(adjusting, bonus | {"below_zero": "on"}).status_code == 303
    assert "−2.00 EUR" in client.get(bobs).text


def test_files_say_what_the_pages_say(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    set_rate(project)
    services.submit_comparison(hold(project, bob, active_ms=120_000), "tie")
    adjust(project, bob, "-0.10", reason="=SUM(A1)")
    client.force_login(alice)

    def rows(name: str, *args: object) -> list[list[str]]:
        response = client.get(reverse(f"annotations:{name}", args=[project.pk, *args]))
        text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]  # streams
        return list(csv.reader(io.StringIO(text)))

    head, row = rows("pay_file")
    assert dict(zip(head, row, strict=True)) | {"period": ""} == {
        "period": "",
        "username": "bob",
        "name": "Bob",
        "answers": "1",
        "active_seconds": "120",
        "work": "0.40",
        "adjusted": "-0.10",
        "total": "0.30",
        "currency": "EUR",
    }
    _, work, taken = rows("statement_file", bob.pk)
    assert work[2:4] == ["work", "comparison"]
    assert work[5:] == ["120000", "400000", "EUR", ""]
    assert taken[6:] == ["-100000", "EUR", "'=SUM(A1)"]


def test_who_left_still_has_a_statement_for_owners(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    adjust(project, bob, "1.00")
    services.remove_member(Membership.objects.get(project=project, user=bob))
    client.force_login(alice)
    page = reverse("annotations:statement", args=[project.pk, bob.pk])
    assert client.get(page).status_code == 200
