"""What becomes of a reported answer, and who sees it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from annotations import exports, queue, services
from annotations.models import (
    Assignment,
    Completion,
    Item,
    Kind,
    Project,
    Prompt,
    RegressionCase,
    Ticket,
    TicketReport,
    User,
)
from annotations.services import ServiceError, tickets
from annotations.tests.factories import (
    make_assignment,
    make_base,
    make_comparison,
    make_completion,
    make_item,
    make_prompt,
    make_prompt_in,
    make_replies,
)

HTMX = {"HTTP_HX_REQUEST": "true"}
FROGS = {"kind": "pattern", "parameters": {"pattern": "frogs frogs"}}
NAMES = ("ticket", "ask_for_rewrite", "change_check", "dismiss_ticket", "take_up_ticket")


def report(project: Project, user: User, text: str = "frogs frogs", **changes: Any) -> Ticket:
    prompt = changes.pop("prompt", None) or make_prompt_in(project, "train")
    completion = make_completion(prompt, text, checkpoint_id=make_base(project))
    return services.report(completion, user, "repeats", "again and again", source="queue")


def rewrite(ticket: Ticket, author: User, text: str = "one frog") -> Ticket:
    """Let a person rewrite the reported answer, as the queue hands it to them."""
    assignment = queue.lease_next(author, ticket.project, Kind.REWRITE)
    assert assignment is not None
    assert assignment.item_id == Item.objects.get(ticket=ticket).pk
    services.submit_rewrite(assignment, text)
    ticket.refresh_from_db()
    return ticket


def test_a_report_opens_a_ticket_and_a_second_one_joins_it(
    project: Project, bob: User, bea: User
) -> None:
    ticket = report(project, bob)
    assert (ticket.state, ticket.reason, ticket.project) == ("open", "repeats", project)
    assert services.report(ticket.completion, bea, "false", source="chat") == ticket
    services.report(ticket.completion, bob, "harmful", "changed my mind", source="queue")
    reports = ticket.reports.values_list("reporter__username", "reason", "words")
    assert list(reports) == [("bob", "harmful", "changed my mind"), ("bea", "false", "")]
    assert ticket.events.count() == 1


def test_it_refuses_reports_without_end(
    project: Project, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "MOST_REPORTS_AN_HOUR", 1)
    ticket = report(project, bob)
    with pytest.raises(ServiceError, match="report again later"):
        report(project, bob)
    with pytest.raises(ServiceError, match="Choose what is wrong"):
        services.report(ticket.completion, bob, "boring", source="queue")


def test_an_answer_from_a_chat_is_kept_once_with_its_prompt(
    project: Project, bob: User, bea: User
) -> None:
    said = [{"role": "user", "content": "Hello"}]
    later = [*said, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "A frog!"}]
    base = make_base(project)
    for user in (bob, bea):
        ticket = services.report_answer(
            project, later, "No.\n", user, "off_topic", source="chat", checkpoint_id=base
        )
    completion = Completion.objects.get()
    assert (completion.text, completion.checkpoint_id) == ("No.\n", base)
    assert completion.prompt.messages == later
    assert ticket.reports.count() == 2
    # What was said later goes with what the conversation began with (a prompt lives in one split).
    assert completion.prompt.split == make_prompt(project, messages=said).split
    with pytest.raises(ServiceError, match="message of the user"):
        services.report_answer(project, later[:2], "x", bob, "false", source="chat")


def test_a_ticket_becomes_a_rewrite_and_a_case_and_data(project: Project, bob: User) -> None:
    make_item(project, Kind.REWRITE)
    ticket = report(project, bob)
    services.ask_for_rewrite(ticket, project.created_by, **FROGS)
    ticket.refresh_from_db()
    assert ticket.state == "rewriting"
    assert list(exports.regression_cases(project.pk)) == []  # binds with the rewrite
    rewrite(ticket, bob)  # goes ahead of the older item
    assert ticket.state == "rewritten"
    (case,) = exports.regression_cases(project.pk)
    assert (case["ticket_id"], case["rewrite"], case["is_fixed"]) == (ticket.pk, "one frog", False)
    assert (case["kind"], case["answers"], case["reported"]) == ("pattern", 4, "frogs frogs")
    (demonstration,) = exports.demonstrations(project.pk)
    assert demonstration["completion"][0]["content"] == "one frog"
    (pair,) = exports.preferences(project.pk)
    assert pair["rejected_id"] == ticket.completion_id
    labels = [row["label"] for row in exports.judgements(project.pk)]
    assert sorted(labels) == [False, True]


@pytest.mark.parametrize(
    ("outcome", "pair"), [("left", ("a frog", "frogs frogs")), ("right", ("frogs frogs", "a frog"))]
)
def test_a_rewrite_and_the_comparisons_of_its_original_make_a_chain(
    project: Project, bob: User, bea: User, outcome: str, pair: tuple[str, str]
) -> None:
    """Edited > reported, beside chosen > rejected: as many pairs as people said something."""
    prompt = make_prompt_in(project, "train")
    other, reported = make_completion(prompt, "a frog"), make_completion(prompt, "frogs frogs")
    compared = make_item(project, prompt=prompt, completions=[other, reported], open_slots=0)
    make_comparison(compared, bea, outcome, "slightly")
    ticket = services.report(reported, bob, "repeats", source="queue")
    services.ask_for_rewrite(ticket, project.created_by, **FROGS)
    rewrite(ticket, bob)
    pairs = [
        (row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in exports.preferences(project.pk)
    ]
    assert sorted(pairs) == sorted([pair, ("one frog", "frogs frogs")])
    assert exports.preference_counts(project.pk).pairs == len(pairs)
    assert len(list(exports.demonstrations(project.pk))) == 1
    assert len(list(exports.judgements(project.pk))) == 4


def test_undoing_the_rewrite_lets_the_ticket_wait_again(project: Project, bob: User) -> None:
    ticket = report(project, bob)
    services.ask_for_rewrite(ticket, project.created_by, **FROGS)
    rewrite(ticket, bob)
    services.undo(Assignment.objects.get(annotator=bob))
    ticket.refresh_from_db()
    assert ticket.state == "rewriting"
    assert list(exports.regression_cases(project.pk)) == []


def test_a_rejected_rewrite_is_asked_for_again(project: Project, bob: User, carol: User) -> None:
    Project.objects.filter(id=project.pk).update(review_percent=100)
    ticket = report(project, bob)
    services.ask_for_rewrite(ticket, project.created_by, **FROGS)
    rewrite(ticket, bob)
    with pytest.raises(ServiceError, match="nothing was asked for"):
        services.ask_for_rewrite(ticket, project.created_by, **FROGS)
    review = queue.lease_next(carol, project, Kind.REVIEW)
    assert review is not None
    services.submit_review(review, "reject", reason="worse")
    assert list(exports.regression_cases(project.pk)) == []
    services.ask_for_rewrite(ticket, project.created_by, **FROGS)
    rewrite(ticket, carol, "two toads")
    assert ticket.state == "rewritten"
    assert [row["rewrite"] for row in exports.regression_cases(project.pk)] == ["two toads"]


def test_nobody_is_asked_to_rewrite_their_own_text(project: Project, bob: User) -> None:
    own = make_completion(make_prompt(project), "frogs frogs", author=bob)
    ticket = services.report(own, bob, "repeats", source="queue")
    services.ask_for_rewrite(ticket, project.created_by, **FROGS)
    assert queue.lease_next(bob, project) is None


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"kind": "pattern", "parameters": {"pattern": "toads"}}, "would not see the fault"),
        ({"kind": "pattern", "parameters": {"pattern": "(frogs"}}, "cannot be read"),
        ({"kind": "rubric", "parameters": {"rules": ["lines"]}}, "how many lines"),
        ({**FROGS, "answers": 17}, "1 to 16 answers"),
    ],
)
def test_it_refuses_a_check_that_would_not_help(
    project: Project, bob: User, check: dict[str, Any], words: str
) -> None:
    ticket = report(project, bob)
    with pytest.raises(ServiceError, match=words):
        services.ask_for_rewrite(ticket, project.created_by, **check)
    assert not RegressionCase.objects.exists()
    assert not Item.objects.exists()


def test_another_check_forgets_what_the_one_before_found(project: Project, bob: User) -> None:
    ticket = report(project, bob)
    services.ask_for_rewrite(ticket, project.created_by, **FROGS)
    rewrite(ticket, bob)
    services.fix_ticket(ticket.pk, make_base(project), "passed")
    services.change_check(ticket, project.created_by, **FROGS, answers=2)
    ticket.refresh_from_db()
    assert (ticket.state, ticket.fixed_by, ticket.case.version) == ("rewritten", None, 2)
    with pytest.raises(ServiceError, match="rewrite fails this check"):
        services.change_check(
            ticket, project.created_by, kind="pattern", parameters={"pattern": "frog"}
        )


def test_a_dismissed_ticket_wants_nothing_until_it_is_taken_up(project: Project, bob: User) -> None:
    ticket = report(project, bob)
    services.ask_for_rewrite(ticket, project.created_by, **FROGS)
    with pytest.raises(ServiceError, match="Say why"):
        services.dismiss(ticket, project.created_by, " ")
    services.dismiss(ticket, project.created_by, "It is a joke.")
    assert queue.lease_next(bob, project) is None
    services.take_up_again(ticket, project.created_by)
    assert rewrite(ticket, bob).state == "rewritten"
    with pytest.raises(ServiceError, match="its regression case stays"):
        services.dismiss(ticket, project.created_by, "Enough.")


def test_the_database_keeps_what_holds_of_tickets(project: Project, bob: User) -> None:
    ticket = report(project, bob)
    for changes in ({"state": "fixed"}, {"state": "rewriting"}, {"state": "lost"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Ticket.objects.filter(id=ticket.pk).update(**changes)
    with pytest.raises(IntegrityError), transaction.atomic():
        TicketReport.objects.create(ticket=ticket, reporter=bob, reason="false", source="queue")


# Pages


@pytest.mark.parametrize(
    "kind", [Kind.COMPARISON, Kind.RANKING, Kind.RATING, Kind.REWRITE, Kind.ASSEMBLY]
)
def test_a_labeller_reports_what_they_see_and_stays_where_they_are(
    client: Client, project: Project, bob: User, kind: str
) -> None:
    client.force_login(bob)
    assignment = make_assignment(make_item(project, kind), bob)
    page = client.get(reverse("annotations:assignment", args=[assignment.pk])).text
    url = reverse("annotations:report_shown", args=[assignment.pk])
    assert f'hx-post="{url}"' in page
    sent = {"position": "1", "reason": "false", "words": "<b>no</b>", "panel": "report"}
    response = client.post(url, sent, **HTMX)
    assert response.status_code == 200
    assert "Reported" in response.text
    assert Ticket.objects.get().completion_id == assignment.shown_order[0]
    assignment.refresh_from_db()
    assert assignment.state == "leased"
    without_script = client.post(url, sent)
    assert without_script.status_code == 303
    assert without_script.url == reverse("annotations:assignment", args=[assignment.pk])


def test_the_panel_says_nothing_of_who_wrote_what(
    client: Client, project: Project, bob: User, bea: User
) -> None:
    """Ids would: what was sampled first has the lower one. Nor does it tell of others' reports."""
    client.force_login(bob)
    prompt = make_prompt(project)
    base = make_base(project)
    completions = [make_completion(prompt, text, checkpoint_id=base) for text in ("one", "two")]
    assignment = make_assignment(make_item(project, prompt=prompt, completions=completions), bob)
    url = reverse("annotations:assignment", args=[assignment.pk])

    def panel() -> str:
        found = re.search(r'<details class="report".*?</details>', client.get(url).text, re.S)
        assert found
        return re.sub(r'value="[A-Za-z0-9]{64}"', "", found[0])

    before = panel()
    services.report(completions[0], bea, "false", source="queue")
    assert panel() == before
    assert "base" not in before
    # The only numbers are places, the assignment's address and lengths.
    assert set(re.findall(r'value="(\d+)"', before)) == {"1", "2"}


def test_a_reply_in_a_conversation_can_be_reported(
    client: Client, project: Project, bob: User
) -> None:
    client.force_login(bob)
    assignment = make_assignment(make_item(project, Kind.CONVERSATION), bob)
    url = reverse("annotations:report_shown", args=[assignment.pk])
    sent = {"position": "2", "reason": "broken"}
    assert client.post(url, sent, **HTMX).status_code == 422  # nothing is shown yet
    turn = make_replies(assignment)
    assert client.post(url, sent, **HTMX).status_code == 200
    assert Ticket.objects.get().completion == turn.second


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"reason": "false"}, "Choose which answer"),
        ({"position": "3", "reason": "false"}, "not shown any more"),
        ({"position": "1"}, "Choose what is wrong"),
        ({"position": "1", "reason": "boring"}, "reasons that are shown"),
        ({"position": "one", "reason": "false", "panel": '"><script>'}, "whole number"),
    ],
)
def test_a_report_that_says_too_little_is_told_so(
    client: Client, project: Project, bob: User, sent: dict[str, str], words: str
) -> None:
    client.force_login(bob)
    assignment = make_assignment(make_item(project), bob)
    url = reverse("annotations:report_shown", args=[assignment.pk])
    response = client.post(url, {"words": "so <i>bad</i>", **sent}, **HTMX)
    assert response.status_code == 422
    assert words in response.text
    assert "so &lt;i&gt;bad" in response.text
    assert "<script>" not in response.text
    assert not Ticket.objects.exists()


def test_what_people_wrote_is_reviewed_instead_of_reported(
    client: Client, project: Project, bob: User
) -> None:
    client.force_login(bob)
    assignment = make_assignment(make_item(project, Kind.REVIEW), bob)
    assert (
        "data-report"
        not in client.get(reverse("annotations:assignment", args=[assignment.pk])).text
    )


def test_only_those_who_decide_see_tickets(
    client: Client, project: Project, bob: User, charlie: User
) -> None:
    ticket = report(project, bob)
    people = {user.username: user for user in User.objects.all()}
    list_url = reverse("annotations:tickets", args=[project.pk])
    for name, status in [
        ("alice", 200),
        ("eve", 200),
        ("carol", 200),
        ("bob", 404),
        ("charlie", 404),
    ]:
        client.force_login(people[name])
        assert client.get(list_url).status_code == status, name
        assert client.get(reverse("annotations:ticket", args=[ticket.pk])).status_code == status
        if status == 404:
            for action in NAMES[1:]:
                url = reverse(f"annotations:{action}", args=[ticket.pk])
                assert client.post(url).status_code == 404, (name, action)
    client.force_login(people["bob"])
    assert list_url not in client.get(reverse("annotations:project", args=[project.pk])).text


def test_the_wrong_method_changes_nothing(client: Client, project: Project, alice: User) -> None:
    ticket = report(project, alice)
    client.force_login(alice)
    for action in NAMES[1:]:
        assert client.get(reverse(f"annotations:{action}", args=[ticket.pk])).status_code == 405
    assert client.post(reverse("annotations:ticket", args=[ticket.pk])).status_code == 405


def test_reviewers_do_not_learn_which_checkpoint_answered(
    client: Client, project: Project, bob: User, carol: User, eve: User
) -> None:
    ticket = report(project, bob)
    Ticket.objects.filter(id=ticket.pk).update(reason="other")
    for url in (
        reverse("annotations:tickets", args=[project.pk]),
        reverse("annotations:ticket", args=[ticket.pk]),
    ):
        client.force_login(eve)
        assert ">base<" in client.get(url).text
        client.force_login(carol)
        assert ">base<" not in client.get(url).text
    assert "Bob" in client.get(url).text


def test_it_filters_tickets(client: Client, project: Project, eve: User) -> None:
    ticket = report(project, eve)
    client.force_login(eve)
    url = reverse("annotations:tickets", args=[project.pk])
    link = reverse("annotations:ticket", args=[ticket.pk])
    base = ticket.completion.checkpoint_id
    for query, is_there in [
        ("", True),
        ("?state=open", True),
        ("?state=fixed", False),
        ("?reason=repeats", True),
        ("?reason=false", False),
        (f"?checkpoint={base}", True),
        (f"?checkpoint={base + 1}", False),
        ("?state=nonsense&page=x", True),
    ]:
        assert (link in client.get(url + query).text) == is_there, query


def test_a_reviewer_asks_for_a_rewrite_on_the_page(
    client: Client, project: Project, bob: User, carol: User
) -> None:
    ticket = report(project, bob, "<script>frogs frogs</script>")
    client.force_login(carol)
    page = client.get(reverse("annotations:ticket", args=[ticket.pk])).text
    assert "&lt;script&gt;frogs" in page
    assert "again and again" in page
    style = (settings.BASE_DIR / "static/css/components.css").read_text(encoding="utf-8")
    for kind in RegressionCase.Kind.values:  # only what the chosen check needs is shown
        assert f'data-check="{kind}"' in page
        assert f'form:has([value="{kind}"]:checked) [data-check]' in style
    url = reverse("annotations:ask_for_rewrite", args=[ticket.pk])
    bad = client.post(url, {"kind": "pattern", "pattern": "(((", "answers": "4"})
    assert bad.status_code == 422
    assert "cannot be read" in bad.text
    assert 'value="((("' in bad.text
    for sent in (
        {"kind": "rubric", "rules": ["syllables"], "syllables": "5-7-5", "answers": "2"},
        {"kind": "reward", "margin": "", "answers": "2"},
    ):
        client.post(url, sent)
        case = RegressionCase.objects.get()
        assert (case.kind, case.created_by) == (sent["kind"], carol)
        assert (
            "Its regression case"
            in client.get(reverse("annotations:ticket", args=[ticket.pk])).text
        )
        url = reverse("annotations:change_check", args=[ticket.pk])
    ticket.refresh_from_db()
    assert ticket.state == "rewriting"
    dismissed = client.post(
        reverse("annotations:dismiss_ticket", args=[ticket.pk]), {"words": "a joke"}, follow=True
    )
    assert "a joke" in dismissed.text
    client.post(reverse("annotations:take_up_ticket", args=[ticket.pk]))
    assert Ticket.objects.get().state == "rewriting"


def test_a_prompt_of_a_ticket_stays_in_its_split(project: Project, bob: User) -> None:
    ticket = report(project, bob, prompt=make_prompt_in(project, "test"))
    services.ask_for_rewrite(ticket, project.created_by, **FROGS)
    rewrite(ticket, bob)
    assert [row["split"] for row in exports.demonstrations(project.pk)] == ["test"]
    assert [row["split"] for row in exports.regression_cases(project.pk)] == ["test"]
    assert Prompt.objects.count() == 1
