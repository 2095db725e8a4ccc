"""What is stored about a person: all of it, and nothing about others."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotations import services
from annotations.models import (
    Annotation,
    AutomaticPause,
    CorrectionDraft,
    FlagDecision,
    Item,
    Kind,
    Membership,
    Project,
    User,
)
from annotations.selectors import stored_about
from annotations.selectors.own_data import NOT_TOLD
from annotations.tests.factories import (
    make_assignment,
    make_completion,
    make_item,
    make_prompt,
    make_replies,
)
from annotations.tests.test_people import work


def take(client: Client) -> Any:
    response = client.get(reverse("annotations:own_data_file"))
    assert response["Content-Disposition"].startswith("attachment")
    return json.loads(b"".join(response.streaming_content))  # type: ignore[attr-defined]  # streams


def leave_traces(project: Project, person: User) -> None:
    """Let there be a row of every part that a person can have without a model."""
    owner = project.created_by
    work(project, person)
    assignment = make_assignment(make_item(project, Kind.DEMONSTRATION), person)
    services.save_draft(assignment, {"text": [f"a secret of {person}"]}, revision=0)
    services.acknowledge(person, project.guideline_versions.first())
    services.adjust_pay(
        project,
        person,
        Decimal("1.50"),
        currency="EUR",
        reason=f"For {person}.",
        made_by=owner,
        key=uuid4(),
    )
    services.write_note(project, person, f"Dear {person}.", owner)
    services.hold_out(project, person, owner)
    item = make_item(project, purpose="gold")
    left, right = sorted(item.completions.values_list("id", flat=True))
    Item.objects.filter(id=item.pk).update(gold={"left": left, "right": right, "outcome": "tie"})
    item.refresh_from_db()
    services.practise_with(item, "So.")
    services.answer_practice(person, item, "tie")


def test_the_file_has_everything_of_oneself_and_nothing_of_others(
    client: Client, project: Project, bob: User, bea: User
) -> None:
    leave_traces(project, bob)
    leave_traces(project, bea)
    client.force_login(bob)
    mine = take(client)
    text = json.dumps(mine)
    assert mine["account"]["username"] == "bob"
    assert "Dear Bob." in text
    assert "a secret of Bob" in text
    assert "Bea" not in text
    assert "bea" not in text
    assert "password" not in text
    assert "gold" not in text
    empty = {name for name, rows in mine.items() if not rows}
    nothing = {"battles", "flags", "guideline_drafts", "pauses", "recalls", "reports", "tests"}
    drafts = {"correction_drafts", "kind_decisions", "prompts", "turns"}
    assert empty == nothing | drafts | {"test_texts", "verdicts"}
    assert mine["pay"][0]["amount_micros"] == 1_500_000
    assert {row["kind"] for row in mine["annotations"]} == {
        "comparison",
        "demonstration",
        "ranking",
        "rating",
        "rewrite",
    }


NOT_IN_THE_FILE = {
    "DailyWork": "what is reckoned from the annotations",
    "DailyCost": "what is reckoned from the ledger",
    "Completion": "its text stands beside the annotation that holds it",
    "TwoFactor": "a secret",
    "RecoveryCode": "a secret",
    "ApiToken": "on the page of tokens",
    "Chat": "on its own page",
    "Praise": "on the pages of chats and battles",
    "LogEntry": "the operator's log of the admin site",
} | dict.fromkeys(
    (
        "AuditEntry", "Automation", "CompletionScore", "DatasetSnapshot", "Endpoint", "Gate",
        "GuidelineVersion", "Import", "Invitation", "PayRate", "Project", "Promotion", "Push",
        "RatingScheme", "Reask", "RegressionCase", "Round", "Run", "TicketEvent", "Webhook",
    ),
    "what somebody did for a project, in its pages and its log",
)  # fmt: skip


def test_every_table_that_names_a_person_is_in_the_file_or_has_its_reason(bob: User) -> None:
    pointing = [one for one in User._meta.get_fields(include_hidden=True) if one.one_to_many]
    pointing += [one for one in User._meta.related_objects if one.one_to_one]
    tables = {one.related_model for one in pointing}
    naming = {table.__name__ for table in tables if not table._meta.auto_created}
    told = {part.rows.model.__name__ for part in stored_about(bob)}
    assert naming - told == set(NOT_IN_THE_FILE)


def test_it_has_what_somebody_said_and_wrote_beside_their_annotations(
    client: Client, project: Project, bob: User, bea: User
) -> None:
    for person in (bob, bea):
        name = person.first_name
        talk = make_assignment(make_item(project, Kind.CONVERSATION), person)
        make_replies(talk, "one", "other")
        make_prompt(project, f"Asked by {name}", origin="annotator", created_by=person)
        work(project, person)
        said = Annotation.objects.filter(annotator=person).first()
        fields = {"reason": [f"{name} thinks again"]}
        CorrectionDraft.objects.create(annotation=said, annotator=person, fields=fields)
    client.force_login(bob)
    mine = take(client)
    assert [row["text"] for row in mine["prompts"]] == ["Asked by Bob"]
    assert [row["number"] for row in mine["turns"]] == [0]
    assert [row["fields"]["reason"] for row in mine["correction_drafts"]] == [["Bob thinks again"]]
    assert "Bea" not in json.dumps(mine)


def test_evidence_that_counts_gold_is_not_told(
    client: Client, project: Project, alice: User, bob: User, bea: User
) -> None:
    for detector, other in (("random", None), ("copier_on_gold", bea), ("copier", bea)):
        FlagDecision.objects.create(
            project=project,
            person=bob,
            other=other,
            detector=detector,
            n=9,
            evidence="3 of 9.",
            verdict="dismissed",
            reason="-",
            decided_by=alice,
        )
    client.force_login(bob)
    AutomaticPause.objects.create(
        project=project, person=bob, detector="random", p=0, n=9, evidence="x"
    )
    mine = take(client)
    told = [(row["sign"], row["evidence"]) for row in mine["flags"]]
    assert told == [
        ("Random answers", NOT_TOLD),
        ("Two with the same wrong answers to gold items", NOT_TOLD),
        ("Two who answer alike", "3 of 9."),
    ]
    assert [(row["sign"], row["evidence"]) for row in mine["pauses"]] == [told[0]]


def test_the_file_speaks_of_things_and_not_of_tables(
    client: Client, project: Project, bob: User
) -> None:
    leave_traces(project, bob)
    client.force_login(bob)
    mine = take(client)
    keys = {key for name, rows in mine.items() if name != "account" for row in rows for key in row}
    assert {"project", "prompt", "outcome", "rewrite"} <= keys
    assert not {key for key in keys if "__" in key}


def test_what_was_done_stays_after_leaving_and_can_still_be_had(
    client: Client, project: Project, bob: User
) -> None:
    leave_traces(project, bob)
    services.remove_member(Membership.objects.get(project=project, user=bob))
    client.force_login(bob)
    mine = take(client)
    assert not mine["memberships"]
    assert mine["annotations"]
    assert mine["pay"]


def test_the_page_counts_what_the_file_has(client: Client, project: Project, bob: User) -> None:
    leave_traces(project, bob)
    client.force_login(bob)
    mine = take(client)
    assert {part.name: part.count for part in stored_about(bob)} == {
        name: len(rows) for name, rows in mine.items() if name != "account"
    }
    page = client.get(reverse("annotations:own_data"))
    assert "What you have annotated" in page.text


def test_the_file_takes_as_many_queries_for_much_as_for_little(
    client: Client, project: Project, bob: User
) -> None:
    client.force_login(bob)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            take(client)
        return len(captured)

    leave_traces(project, bob)
    little = queries()
    work(project, bob)
    make_completion(make_item(project).prompt, "mine", author=bob)
    assert queries() == little


def test_it_is_for_those_who_signed_in_and_only_read(client: Client, bob: User) -> None:
    for name in ("own_data", "own_data_file"):
        address = reverse(f"annotations:{name}")
        assert client.get(address).status_code == 302
    client.force_login(bob)
    for name in ("own_data", "own_data_file"):
        assert client.post(reverse(f"annotations:{name}")).status_code == 405
