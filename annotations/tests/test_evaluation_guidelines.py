"""Evaluations may be judged by guidelines of their own, other than what models learn from."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotations import queue, selectors, services
from annotations.algorithms.clauses import Case, write_case
from annotations.exports.everything import all_annotations
from annotations.models import (
    EVALUATION,
    GENERAL,
    Assignment,
    GuidelineCase,
    GuidelineVersion,
    Item,
    Kind,
    Project,
    User,
)
from annotations.selectors.screening import gold_items
from annotations.tests.factories import make_assignment, make_comparison, make_item

HTMX = {"HTTP_HX_REQUEST": "true"}
CASE = Case("Is it safe?", "Yes, trust me.", "I don't know.", "right")


@pytest.fixture
def evaluated(project: Project) -> Item:
    return make_item(project, purpose=Item.Purpose.EVALUATION, batch="evaluation-1")


def publish(project: Project, alice: User, text: str = "Truth comes first.") -> GuidelineVersion:
    return services.publish_guideline(project, EVALUATION, text, alice, note="Truth first")


def lease(user: User, project: Project) -> Assignment:
    assignment = queue.lease_next(user, project, Kind.COMPARISON)
    assert assignment is not None
    return assignment


def text_of_case(expected: str) -> str:
    case = Case(CASE.prompt, CASE.first, CASE.second, expected)
    return "# Be careful\n\nPlease.\n\n" + write_case(case) + "\n"


def test_evaluations_are_stamped_with_guidelines_of_their_own_once_there_are_some(
    project: Project, alice: User, bob: User, bea: User, evaluated: Item
) -> None:
    Item.objects.filter(pk=evaluated.pk).update(overlap=2, open_slots=2)
    assert lease(bob, project).guideline_version == selectors.guideline_in_force(
        project, Kind.COMPARISON
    )
    own = publish(project, alice)
    assert lease(bea, project).guideline_version == own
    made = services.submit_comparison(lease(bea, project), "tie", "")
    assert made.guideline_version == own
    make_item(project)
    assert lease(bea, project).guideline_version != own


def test_a_general_part_begins_them_and_makes_none(project: Project, alice: User) -> None:
    services.publish_guideline(project, GENERAL, "Be kind.", alice)
    assert selectors.guideline_in_force(project, EVALUATION) is None
    own = publish(project, alice)
    assert own.full_text.startswith("Be kind.")
    services.publish_guideline(project, GENERAL, "Be honest.", alice)
    newest = selectors.guideline_in_force(project, EVALUATION)
    assert newest is not None
    assert newest.full_text == "Be honest.\n\nTruth comes first.\n"


def test_they_are_read_beside_what_a_labeller_knows_before_the_first_evaluation(
    client: Client, project: Project, alice: User, bob: User, evaluated: Item
) -> None:
    own = publish(project, alice)
    plain = make_assignment(make_item(project), bob)
    client.force_login(bob)
    sent = client.post(
        reverse("annotations:submit", args=[plain.pk]), {"choice": "tie"}, follow=True
    )
    held = Assignment.objects.get(item=evaluated)
    acknowledge = reverse("annotations:acknowledge", args=[own.pk])
    assert sent.redirect_chain[-1][0] == f"{acknowledge}?assignment={held.pk}"
    assert "guidelines of its own: “Final evaluation”" in sent.text
    assert "<ins>" in sent.text
    assert '<li dir="auto">Truth first</li>' in sent.text
    work = client.post(acknowledge, {"assignment": held.pk}, follow=True).text
    assert "Judge this one by the guidelines for the final evaluation." in work
    assert "Guidelines for the final evaluation, version 1" in work
    make_item(project)
    make_item(project, purpose=Item.Purpose.EVALUATION)
    for said_then, is_evaluation in ((held, False), (None, True)):
        at = said_then or Assignment.objects.get(state="leased")
        url = reverse("annotations:submit", args=[at.pk])
        page = client.post(url, {"choice": "tie"}, **HTMX).text
        # Neither is news any more; each comes with its own text.
        assert ("Judge this one by" in page) == is_evaluation
        assert ("By the guidelines for “Final evaluation”." in page) == is_evaluation
        assert ("How to do a comparison." in page) != is_evaluation


def test_who_knows_them_alone_reads_the_others_too(
    project: Project, alice: User, bob: User, evaluated: Item
) -> None:
    own = publish(project, alice)
    services.submit_comparison(lease(bob, project), "tie", "")
    make_item(project)
    version = lease(bob, project).guideline_version
    assert version is not None
    assert selectors.known_guideline(bob, version) == own
    assert selectors.notes_since(own, version) == []


def test_an_empty_version_takes_them_out_of_use(
    client: Client, project: Project, alice: User, bob: User, evaluated: Item
) -> None:
    with pytest.raises(services.ServiceError, match="empty"):
        publish(project, alice, " ")
    own = publish(project, alice, text_of_case("right"))
    services.make_gold_of_cases(own, "be-careful", alice)
    editor = reverse("annotations:edit_guideline", args=[project.pk, EVALUATION])
    client.force_login(alice)
    overview = reverse("annotations:project", args=[project.pk])
    assert "<h3>Final evaluation</h3>" in client.get(overview).text
    sent = {"text": "", "note": "As before", "begun_from": "1", "publish": "1"}
    page = client.post(editor, sent, follow=True)
    assert "judged by the guidelines of their kind from the next item on" in page.text
    assert "out of use" in page.text
    assert "<h3>Final evaluation</h3>" not in client.get(overview).text
    assert lease(bob, project).guideline_version == selectors.guideline_in_force(
        project, Kind.COMPARISON
    )
    assert not Item.objects.filter(purpose="gold", open_slots__gt=0).exists()
    services.publish_guideline(project, GENERAL, "Be kind.", alice)
    assert project.guideline_versions.filter(kind=EVALUATION).count() == 2
    assert "How to do a comparison." in client.get(editor).text


def test_the_first_draft_begins_with_what_evaluations_are_judged_by_now(
    client: Client, project: Project, alice: User
) -> None:
    client.force_login(alice)
    page = client.get(reverse("annotations:edit_guideline", args=[project.pk, EVALUATION])).text
    assert "How to do a comparison." in page
    assert "they can tell an evaluation from other work" in page


def test_a_case_may_expect_another_answer_there_than_for_training(
    project: Project, alice: User, bob: User
) -> None:
    training = services.publish_guideline(project, Kind.COMPARISON, text_of_case("left"), alice)
    services.make_gold_of_cases(training, "be-careful", alice)
    own = publish(project, alice, text_of_case("right"))
    assert GuidelineCase.objects.get(version=own).conflicts == []
    assert services.make_gold_of_cases(own, "be-careful", alice).made == 1
    assert services.make_gold_of_cases(own, "be-careful", alice).there == 1
    gold = Item.objects.filter(purpose="gold").latest("id")
    held = queue.lease_item(bob, gold)
    assert held is not None
    assert held.guideline_version == own
    assert gold not in gold_items(project, Kind.COMPARISON)
    assert [clause.served for clause in selectors.served_clauses(own)] == [1]
    assert [clause.served for clause in selectors.served_clauses(training)] == [1]
    general = selectors.check_guideline(project, GENERAL, text_of_case("left"), None)
    assert [one["item"] for one in general.clauses[0].cases[0].conflicts] == [gold.pk]


def test_gold_is_known_by_the_guidelines_that_its_answer_was_given_by(
    project: Project, alice: User, bob: User, bea: User, evaluated: Item
) -> None:
    own = publish(project, alice)
    annotation = services.submit_comparison(lease(bob, project), "left", "better")
    gold = services.make_gold(annotation)
    Project.objects.update(gold_percent=100)
    # Nothing else is judged by these guidelines now, so they would say what it is.
    assert queue.lease_next(bea, project) is None
    make_item(project, purpose=Item.Purpose.EVALUATION)
    held = lease(bea, project)
    assert (held.item, held.guideline_version) == (gold, own)
    publish(project, alice, "")
    with pytest.raises(services.ServiceError, match="out of use"):
        services.make_gold(annotation)


def test_reports_and_files_tell_both_parts_apart(
    project: Project, alice: User, bob: User, bea: User, evaluated: Item
) -> None:
    own = publish(project, alice)
    training = selectors.guideline_in_force(project, Kind.COMPARISON)
    for item, version in ((evaluated, own), (make_item(project), training)):
        for person in (bob, bea):
            make_comparison(item, person, outcome="left", guideline_version=version)
    found = selectors.agreement_overview(project)
    assert found is not None
    parts = sorted(line.part for line in found.versions)
    assert parts == ["final evaluation, version 1", "version 1"]
    rows = [(row["guidelines"], row["guideline_version"]) for row in all_annotations(project)]
    assert rows == [(EVALUATION, 1)] * 2 + [(Kind.COMPARISON, 1)] * 2
