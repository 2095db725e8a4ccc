"""Work in hand, through HTTP: drafts, handing in, undo, corrections, and what comes next."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotations import queue, services
from annotations.models import (
    Annotation,
    Assignment,
    CorrectionDraft,
    Kind,
    Membership,
    Project,
    Retraction,
    User,
)
from annotations.tests.factories import make_assignment, make_item, run_out

HTMX = {"HTTP_HX_REQUEST": "true"}


def url(name: str, assignment: Assignment) -> str:
    return reverse(f"annotations:{name}", args=[assignment.pk])


def change(project: Project, **values: object) -> None:
    Project.objects.filter(id=project.pk).update(**values)


# Drafts


def test_it_saves_a_draft_and_shows_it_again(bobs: Client, writing: Assignment) -> None:
    sent = {"text": "old pond\r\n</textarea>", "draft_revision": "0", "active_ms": "12"}
    response = bobs.post(url("draft", writing), sent)
    assert response.json()["revision"] == 1
    assert response.json()["state"] == "leased"
    assert response.json()["counts"] == {"words": 3, "lines": 2}
    html = bobs.get(url("assignment", writing)).text
    assert re.search(r"<textarea[^>]*>\nold pond\n&lt;/textarea&gt;</textarea>", html)
    assert 'name="draft_revision" value="1"' in html


@pytest.mark.parametrize(
    ("kind", "fields", "pattern"),
    [
        (Kind.COMPARISON, {"choice": "tie"}, r'value="tie"[^>]* checked'),
        (Kind.COMPARISON, {"reason": "hm"}, r'name="reason"[^>]* value="hm"'),
        (Kind.RANKING, {"tier-2": "3"}, r'name="tier-2" value="3"[^>]* checked'),
    ],
)
def test_every_kind_comes_back_as_it_was_left(
    bobs: Client, project: Project, bob: User, kind: str, fields: dict[str, str], pattern: str
) -> None:
    assignment = make_assignment(make_item(project, kind), bob)
    bobs.post(url("draft", assignment), {**fields, "draft_revision": "0"})
    html = bobs.get(url("assignment", assignment)).text
    assert re.search(pattern, html)
    assert 'class="error"' not in html


def test_a_stale_tab_is_told_what_is_stored(bobs: Client, writing: Assignment) -> None:
    bobs.post(url("draft", writing), {"text": "newer", "draft_revision": "0"})
    response = bobs.post(url("draft", writing), {"text": "older", "draft_revision": "0"})
    assert response.status_code == 409
    assert response.json() == {"revision": 1, "fields": {"text": ["newer"]}}


def test_a_draft_of_what_is_closed_is_gone(bobs: Client, comparing: Assignment) -> None:
    bobs.post(url("submit", comparing), {"choice": "tie"})
    response = bobs.post(url("draft", comparing), {"choice": "tie", "draft_revision": "0"})
    assert (response.status_code, response.json()) == (410, {"state": "submitted"})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"text": "frog"}, "Reload"),
        ({"text": "frog", "draft_revision": "-1"}, "Reload"),
        ({"text": "frog", "draft_revision": "x"}, "Reload"),
        ({"text": "frog", "draft_revision": "9" * 40}, "Reload"),
        ({"text": "a\x00b", "draft_revision": "0"}, "NUL"),
        ({"text": "x" * 5_000_000, "draft_revision": "0"}, "Shorten"),
    ],
)
def test_it_says_why_a_draft_is_not_kept(
    bobs: Client, writing: Assignment, fields: dict[str, str], sentence: str
) -> None:
    response = bobs.post(url("draft", writing), fields)
    assert response.status_code == 422
    assert sentence in response.json()["error"]
    writing.refresh_from_db()
    assert writing.draft is None


@pytest.mark.parametrize("active_ms", ["-5", "1e9", "x", "9" * 40, ""])
def test_an_absurd_time_is_no_time(bobs: Client, writing: Assignment, active_ms: str) -> None:
    sent = {"text": "frog", "draft_revision": "0", "active_ms": active_ms}
    assert bobs.post(url("draft", writing), sent).status_code == 200
    assert bobs.post(url("submit", writing), {**sent, "draft_revision": "1"}).status_code == 303
    assert (Annotation.objects.get().active_ms or 0) < 60_000


@pytest.mark.parametrize(
    "name", ["draft", "undo", "correct", "discard_correction", "assignment_history"]
)
@pytest.mark.parametrize("stranger", ["charlie", "alice", "bea"])
def test_nobody_else_reaches_an_assignment(
    client: Client, comparing: Assignment, request: Any, name: str, stranger: str
) -> None:
    client.force_login(request.getfixturevalue(stranger))
    sent = {"draft_revision": "0", "choice": "tie"}
    is_page = name in ("correct", "assignment_history")
    response = (
        client.get(url(name, comparing)) if is_page else client.post(url(name, comparing), sent)
    )
    assert response.status_code == 404
    comparing.refresh_from_db()
    assert comparing.draft is None


@pytest.mark.parametrize("name", ["draft", "undo"])
def test_it_changes_nothing_on_get(bobs: Client, comparing: Assignment, name: str) -> None:
    assert bobs.get(url(name, comparing)).status_code == 405


# Handing in


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_tab_that_knows_less_than_is_stored_hands_nothing_in(
    bobs: Client, writing: Assignment, headers: dict[str, Any]
) -> None:
    bobs.post(url("draft", writing), {"text": "newer <words>", "draft_revision": "0"})
    sent = {"text": "older words", "draft_revision": "0"}
    response = bobs.post(url("submit", writing), sent, **headers)
    assert response.status_code == 409
    assert "newer &lt;words&gt;" in response.text
    assert response.text.count("older words") == 2
    assert 'name="draft_revision" value="1"' in response.text
    assert not Annotation.objects.exists()
    bobs.post(url("submit", writing), {**sent, "draft_revision": "1"})
    assert Annotation.objects.get().demonstration.completion.text == "older words"


def test_a_tab_whose_last_draft_got_lost_on_the_way_back_hands_in(
    bobs: Client, writing: Assignment
) -> None:
    bobs.post(url("draft", writing), {"text": "frog\n", "draft_revision": "0"})
    bobs.post(url("submit", writing), {"text": "frog\r\n", "draft_revision": "0"})
    assert Annotation.objects.count() == 1


def test_what_was_handed_in_before_is_not_changed_and_the_labeller_is_told(
    bobs: Client, project: Project, comparing: Assignment
) -> None:
    bobs.post(url("submit", comparing), {"choice": "tie"})
    make_item(project)
    response = bobs.post(url("submit", comparing), {"choice": "both_bad"}, **HTMX)
    assert "handed in before" in response.text
    assert Annotation.objects.get().comparison.outcome == "tie"


@pytest.mark.parametrize(("taken", "sentence"), [(True, "kept as a surplus"), (False, "it counts")])
def test_one_who_was_too_late_is_told_what_became_of_it(
    bobs: Client, project: Project, comparing: Assignment, bea: User, taken: bool, sentence: str
) -> None:
    run_out(comparing)
    if taken:
        assert queue.lease_next(bea, project) is not None
    make_item(project)
    make_item(project)
    response = bobs.post(url("submit", comparing), {"choice": "tie"}, **HTMX)
    assert sentence in response.text
    assert Annotation.objects.get().surplus == taken
    assert sentence in bobs.get(url("assignment", comparing)).text


def test_a_surplus_that_was_taken_back_is_called_so_again(
    bobs: Client, project: Project, comparing: Assignment, bea: User
) -> None:
    run_out(comparing)
    assert queue.lease_next(bea, project) is not None
    make_item(project)
    bobs.post(url("submit", comparing), {"choice": "tie"}, **HTMX)
    bobs.post(url("undo", comparing))
    fields = {"choice": "both_bad", "draft_revision": "1"}
    response = bobs.post(url("submit", comparing), fields, **HTMX)
    assert "kept as a surplus" in response.text


def test_it_says_surplus_to_who_typed_on_after_their_time(
    bobs: Client, project: Project, bea: User, comparing: Assignment
) -> None:
    run_out(comparing)
    queue.release_expired()
    assert queue.lease_next(bea, project) is not None
    saved = bobs.post(url("draft", comparing), {"choice": "tie", "draft_revision": "0"})
    assert saved.json()["state"] == "expired"
    page = bobs.post(
        url("submit", comparing), {"choice": "tie", "draft_revision": "1"}, follow=True
    )
    assert "kept as a surplus" in page.text


# Undo


def test_the_answer_offers_to_undo(bobs: Client, project: Project, comparing: Assignment) -> None:
    make_item(project)
    response = bobs.post(url("submit", comparing), {"choice": "tie"}, **HTMX)
    assert url("undo", comparing) in response.text
    assert re.search(r'data-seconds-left="(5\d|60)"', response.text)
    following = bobs.post(reverse("annotations:start", args=[project.pk]), follow=True)
    assert url("undo", comparing) in following.text


def test_nothing_offers_to_undo_when_it_is_too_late(
    bobs: Client, project: Project, comparing: Assignment
) -> None:
    make_item(project)
    bobs.post(url("submit", comparing), {"choice": "tie"})
    Assignment.objects.filter(id=comparing.pk).update(
        closed_at=F("closed_at") - timedelta(minutes=2)
    )
    page = bobs.post(reverse("annotations:start", args=[project.pk]), follow=True)
    assert url("undo", comparing) not in page.text


def test_undo_brings_the_item_back_filled_in(
    bobs: Client, project: Project, comparing: Assignment
) -> None:
    make_item(project)
    bobs.post(url("submit", comparing), {"choice": "left-better", "reason": "the moon"})
    response = bobs.post(url("undo", comparing), **HTMX)
    assert response["HX-Push-Url"] == url("assignment", comparing)
    assert re.search(r'value="left-better"[^>]* checked', response.text)
    assert 'value="the moon"' in response.text
    bobs.post(url("submit", comparing), {"choice": "tie", "draft_revision": "1"})
    assert Annotation.objects.order_by("id").last().comparison.outcome == "tie"
    assert Annotation.objects.count() == 2


def test_undo_works_without_scripts(bobs: Client, comparing: Assignment) -> None:
    bobs.post(url("submit", comparing), {"choice": "tie"})
    page = bobs.post(url("undo", comparing), follow=True)
    assert page.redirect_chain == [(url("assignment", comparing), 303)]
    assert re.search(r'value="tie"[^>]* checked', page.text)


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_undo_says_when_it_is_too_late(
    bobs: Client, comparing: Assignment, headers: dict[str, Any]
) -> None:
    bobs.post(url("submit", comparing), {"choice": "tie"})
    Assignment.objects.update(closed_at=F("closed_at") - timedelta(minutes=2))
    bobs.post(url("undo", comparing), **headers)
    page = bobs.get(url("assignment", comparing))
    assert "too late to undo" in page.text
    assert url("correct", comparing) in page.text
    assert not Retraction.objects.exists()


def test_a_paused_member_can_still_undo(bobs: Client, comparing: Assignment, bob: User) -> None:
    bobs.post(url("submit", comparing), {"choice": "tie"})
    Membership.objects.filter(user=bob).update(state=Membership.State.PAUSED)
    assert bobs.post(url("undo", comparing), follow=True).status_code == 200
    assert Retraction.objects.exists()


# Corrections


@pytest.mark.parametrize(
    ("kind", "first", "second", "pattern"),
    [
        (Kind.DEMONSTRATION, {"text": "one"}, {"text": "two"}, r"<textarea[^>]*>\none</textarea>"),
        (
            Kind.COMPARISON,
            {"choice": "tie", "reason": "hm"},
            {"choice": "both_bad"},
            r'value="tie"[^>]* checked',
        ),
        (
            Kind.RANKING,
            {"tier-1": "1", "tier-2": "2", "tier-3": "2", "tier-4": "3"},
            {"tier-1": "2", "tier-2": "1", "tier-3": "1", "tier-4": "1"},
            r'name="tier-4" value="3"[^>]* checked',
        ),
    ],
)
def test_an_answer_can_be_corrected_from_the_history(
    bobs: Client,
    project: Project,
    bob: User,
    kind: str,
    first: dict[str, str],
    second: dict[str, str],
    pattern: str,
) -> None:
    assignment = make_assignment(make_item(project, kind), bob)
    bobs.post(url("submit", assignment), first)
    before = Annotation.objects.get()
    history = bobs.get(reverse("annotations:history", args=[project.pk])).text
    assert url("correct", assignment) in history
    page = bobs.get(url("correct", assignment)).text
    assert re.search(pattern, page)
    assert f'name="correcting" value="{before.pk}"' in page
    after = bobs.post(url("submit", assignment), {**second, "correcting": before.pk}, follow=True)
    assert "Your correction is saved" in after.text
    correction = Annotation.objects.get(supersedes=before)
    assert correction.assignment == assignment


def test_a_correction_that_cannot_be_kept_stays_a_correction(
    bobs: Client, writing: Assignment
) -> None:
    bobs.post(url("submit", writing), {"text": "one"})
    before = Annotation.objects.get()
    response = bobs.post(url("submit", writing), {"text": " ", "correcting": before.pk})
    assert response.status_code == 422
    assert f'name="correcting" value="{before.pk}"' in response.text


def test_a_correction_from_a_tab_that_was_overtaken_changes_nothing(
    bobs: Client, writing: Assignment
) -> None:
    bobs.post(url("submit", writing), {"text": "one"})
    before = Annotation.objects.get()
    bobs.post(url("submit", writing), {"text": "two", "correcting": before.pk})
    sent = {"text": "three", "correcting": before.pk}
    response = bobs.post(url("submit", writing), sent)
    assert response.status_code == 409
    assert "two</div>" in response.text
    assert "three</textarea>" in response.text
    assert Annotation.objects.count() == 2
    current = Annotation.objects.get(supersedes=before)
    assert f'name="correcting" value="{current.pk}"' in response.text
    bobs.post(url("submit", writing), {**sent, "correcting": current.pk})
    assert Annotation.objects.get(supersedes=current)


def correct(client: Client, assignment: Assignment, text: str, known: int, **more: Any) -> Any:
    """Save what a page that corrects the answer in force has so far."""
    current = services.annotation_in_force(assignment)
    assert current is not None
    sent = {"text": text, "correcting": current.pk, "draft_revision": known, **more}
    return client.post(url("draft", assignment), sent)


def test_a_correction_is_kept_until_it_is_sent(bobs: Client, writing: Assignment) -> None:
    bobs.post(url("submit", writing), {"text": "one"})
    before = Annotation.objects.get()
    assert "not sent yet" not in bobs.get(url("correct", writing)).text
    response = correct(bobs, writing, "two\r\nlines", 0)
    assert response.json()["revision"] == 1
    assert response.json()["counts"] == {"words": 2, "lines": 2}
    page = bobs.get(url("correct", writing)).text
    assert "two\nlines</textarea>" in page
    assert "not sent yet" in page
    assert 'name="draft_revision" value="1"' in page
    assert before.demonstration.completion.text == "one"
    assert Annotation.objects.count() == 1
    sent = {"text": "two", "correcting": before.pk, "draft_revision": 1}
    bobs.post(url("submit", writing), sent)
    assert Annotation.objects.get(supersedes=before).demonstration.completion.text == "two"
    assert not CorrectionDraft.objects.exists()
    assert "not sent yet" not in bobs.get(url("correct", writing)).text


def test_a_stale_tab_does_not_overwrite_a_correction(bobs: Client, writing: Assignment) -> None:
    bobs.post(url("submit", writing), {"text": "one"})
    current = Annotation.objects.get()
    correct(bobs, writing, "newer", 0)
    response = correct(bobs, writing, "older", 0)
    assert response.status_code == 409
    assert response.json() == {"revision": 1, "fields": {"text": ["newer"]}}
    assert correct(bobs, writing, "newer", 0).status_code == 200  # its own, sent again
    sent = {"text": "older", "correcting": current.pk, "draft_revision": 0}
    response = bobs.post(url("submit", writing), sent)
    assert response.status_code == 409
    assert "newer</div>" in response.text
    assert "older</textarea>" in response.text
    assert 'name="draft_revision" value="1"' in response.text
    assert Annotation.objects.count() == 1
    bobs.post(url("submit", writing), {**sent, "draft_revision": 1})
    assert Annotation.objects.get(supersedes=current).demonstration.completion.text == "older"


def test_a_correction_can_be_begun_anew(bobs: Client, writing: Assignment) -> None:
    bobs.post(url("submit", writing), {"text": "one"})
    correct(bobs, writing, "two", 0)
    page = bobs.post(url("discard_correction", writing), follow=True).text
    assert "one</textarea>" in page
    assert "not sent yet" not in page
    assert correct(bobs, writing, "three", 1).status_code == 409  # from a tab that has the old one
    assert correct(bobs, writing, "three", 2).status_code == 200


def test_my_work_shows_the_corrections_that_are_not_sent(
    bobs: Client, project: Project, writing: Assignment
) -> None:
    pages = [reverse(f"annotations:{name}", args=[project.pk]) for name in ("history", "project")]
    bobs.post(url("submit", writing), {"text": "one"})
    assert "not sent" not in bobs.get(pages[0]).text
    correct(bobs, writing, "two", 0)
    page = bobs.get(pages[0]).text
    assert "Corrections begun and not sent" in page
    assert page.count(url("correct", writing)) == 2  # above the list, and in its row
    assert "Correction not sent" in page
    assert "1 correction is begun and not sent" in bobs.get(pages[1]).text
    # A process of the version before does not say whose it is.
    assert CorrectionDraft.objects.filter(annotator__username="bob").update(annotator=None) == 1
    assert "1 correction is begun and not sent" in bobs.get(pages[1]).text
    bobs.post(url("discard_correction", writing))
    assert "not sent" not in bobs.get(pages[0]).text + bobs.get(pages[1]).text
    correct(bobs, writing, "three", 2)
    project.edits_allowed = False
    project.save()
    assert "not sent" not in bobs.get(pages[0]).text


def test_the_draft_of_a_correction_goes_with_what_it_corrects(
    bobs: Client, project: Project, writing: Assignment
) -> None:
    bobs.post(url("submit", writing), {"text": "one"})
    before = Annotation.objects.get()
    correct(bobs, writing, "half", 0)
    bobs.post(url("submit", writing), {"text": "two", "correcting": before.pk, "draft_revision": 1})
    sent = {"text": "late", "correcting": before.pk, "draft_revision": 1}
    assert bobs.post(url("draft", writing), sent).status_code == 410
    correct(bobs, writing, "three", 0)
    bobs.post(url("undo", writing))
    assert "three</textarea>" in bobs.get(url("assignment", writing)).text
    assert not CorrectionDraft.objects.exists()
    bobs.post(url("submit", writing), {"text": "four"})
    change(project, edits_allowed=False)
    response = correct(bobs, writing, "five", 0)
    assert response.status_code == 422
    assert "Ask an owner" in response.json()["error"]


@pytest.mark.parametrize("correcting", ["0", "-1", "x", "9" * 40])
def test_a_forged_correction_is_an_answer_that_was_handed_in_before(
    bobs: Client, writing: Assignment, correcting: str
) -> None:
    bobs.post(url("submit", writing), {"text": "one"})
    bobs.post(url("submit", writing), {"text": "two", "correcting": correcting})
    assert Annotation.objects.get().demonstration.completion.text == "one"


def test_a_project_can_close_its_answers(
    bobs: Client, project: Project, comparing: Assignment
) -> None:
    bobs.post(url("submit", comparing), {"choice": "tie"})
    before = Annotation.objects.get()
    change(project, edits_allowed=False)
    assert bobs.get(url("correct", comparing)).status_code == 303
    assert "does not change" in bobs.get(url("assignment", comparing)).text
    sent = {"choice": "both_bad", "correcting": before.pk}
    response = bobs.post(url("submit", comparing), sent)
    assert response.status_code == 409
    assert Annotation.objects.count() == 1


# What is handed out, and why


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"is_paused": True}, "This project is paused"),
        ({"daily_limit": 1}, "That is all for today"),
        ({"total_limit": 1}, "You have done your share"),
    ],
)
def test_it_says_why_nothing_is_handed_out(
    bobs: Client, project: Project, comparing: Assignment, values: dict[str, Any], sentence: str
) -> None:
    make_item(project)
    bobs.post(url("submit", comparing), {"choice": "tie"})
    change(project, **values)
    for left in Assignment.objects.filter(state="leased"):
        left.delete()
    page = bobs.post(reverse("annotations:start", args=[project.pk]), follow=True)
    assert sentence in page.text


def test_who_holds_other_work_is_told_why_it_comes_first(
    bobs: Client, project: Project, writing: Assignment, bob: User
) -> None:
    make_assignment(make_item(project, Kind.DEMONSTRATION), bob)
    make_item(project)
    start = reverse("annotations:start", args=[project.pk])
    page = bobs.post(start, {"kind": "comparison"}, follow=True)
    assert "You still hold this one" in page.text
    assert (
        "You still hold this one"
        not in bobs.post(start, {"kind": "demonstration"}, follow=True).text
    )


# Cost


def queries_of_submit(client: Client, assignment: Assignment) -> int:
    with CaptureQueriesContext(connection) as captured:
        response = client.post(url("submit", assignment), {"choice": "tie"}, **HTMX)
    assert response.status_code == 200
    assert "HX-Push-Url" in response
    return len(captured)


def test_submit_and_next_take_as_many_queries_however_much_there_is(
    bobs: Client, project: Project, bob: User, bea: User
) -> None:
    def grow(count: int) -> None:
        for _ in range(count):
            make_item(project, overlap=2)

    def step() -> int:
        assignment = queue.lease_next(bob, project)
        assert assignment is not None
        return queries_of_submit(bobs, assignment)

    grow(10)
    step()
    few = step()
    grow(990)
    for _ in range(20):
        assignment = queue.lease_next(bea, project)
        services.submit_comparison(assignment, "tie", "")
    many = step()
    assert many <= few <= 41
