"""What a labeller's pages promise, through HTTP."""

from __future__ import annotations

import gzip
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from annotations.models import Annotation, Assignment, Kind, Membership, Project, User
from annotations.tests.factories import (
    make_assignment,
    make_completion,
    make_item,
    make_prompt,
    run_out,
)

HTMX = {"HTTP_HX_REQUEST": "true"}
HOSTILE = '<script>alert("x")</script>\n<img src=x onerror=alert(1)>'


def page_of(assignment: Assignment) -> str:
    return reverse("annotations:assignment", args=[assignment.pk])


def submit_of(assignment: Assignment) -> str:
    return reverse("annotations:submit", args=[assignment.pk])


def skip_of(assignment: Assignment) -> str:
    return reverse("annotations:skip", args=[assignment.pk])


def shown(html: str, attribute: str) -> list[str]:
    """Return the plain texts of the elements that carry a data attribute."""
    return [unescape(text) for text in re.findall(rf"{attribute}[^>]*>(.*?)</div>", html, re.S)]


def test_it_hands_out_the_next_item(bobs: Client, project: Project) -> None:
    make_item(project)
    response = bobs.post(reverse("annotations:start", args=[project.pk]))
    assert response.status_code == 303
    assert response.url == page_of(Assignment.objects.get())


def test_it_hands_out_the_kind_that_was_asked_for(bobs: Client, project: Project) -> None:
    make_item(project, Kind.DEMONSTRATION)
    make_item(project, Kind.RANKING)
    bobs.post(reverse("annotations:start", args=[project.pk]), {"kind": "ranking"})
    assert Assignment.objects.get().item.kind == Kind.RANKING


def test_it_says_so_when_nothing_is_left(bobs: Client, project: Project) -> None:
    response = bobs.post(reverse("annotations:start", args=[project.pk]), follow=True)
    assert response.redirect_chain[-1] == (reverse("annotations:done", args=[project.pk]), 303)
    assert "Nothing is left for you right now" in response.text


@pytest.mark.parametrize("kind", Kind.values)
def test_it_shows_prompt_completions_and_guidelines(
    bobs: Client, project: Project, bob: User, kind: str
) -> None:
    item = make_item(project, kind)
    assignment = make_assignment(item, bob)
    html = bobs.get(page_of(assignment)).text
    texts = dict(item.completions.values_list("id", "text"))
    assert shown(html, "data-prompt") == [item.prompt.text]
    assert shown(html, "data-completion") == [texts[i] for i in assignment.shown_order]
    assert f"How to do a {kind}." in html


def test_it_keeps_the_stored_order(bobs: Client, project: Project, bob: User) -> None:
    item = make_item(project, texts=("first", "second"))
    ids = sorted(item.completions.values_list("id", flat=True), reverse=True)
    assignment = make_assignment(item, bob, shown_order=ids)
    assert shown(bobs.get(page_of(assignment)).text, "data-completion") == ["second", "first"]


@pytest.mark.parametrize("kind", [Kind.COMPARISON, Kind.RANKING])
def test_it_does_not_tell_who_or_what_wrote_a_completion(
    bobs: Client, project: Project, bob: User, alice: User, kind: str
) -> None:
    alice.username = alice.first_name = "zzauthor"
    alice.save()
    prompt = make_prompt(project)
    for filler in range(3):
        make_completion(prompt, f"not shown {filler}")
    completions = [
        make_completion(prompt, "one", id=987_654_001, source_name="secret-model"),
        make_completion(prompt, "two", id=987_654_002, author=alice),
    ]
    item = make_item(project, kind, prompt=prompt, completions=completions, batch="secret-batch")
    html = bobs.get(page_of(make_assignment(item, bob))).text
    for secret in ("secret-model", "zzauthor", "secret-batch", "987654", "imported", "human"):
        assert secret not in html, secret
    assert "evaluation" not in html


def test_an_evaluation_looks_like_any_other_comparison(
    bobs: Client, project: Project, bob: User
) -> None:
    item = make_item(project, purpose="evaluation")
    assert "evaluation" not in bobs.get(page_of(make_assignment(item, bob))).text


@pytest.mark.parametrize("kind", Kind.values)
def test_it_shows_markup_as_text(bobs: Client, project: Project, bob: User, kind: str) -> None:
    item = make_item(project, kind, prompt=make_prompt(project, HOSTILE))
    item.completions.update(text=HOSTILE)
    html = bobs.get(page_of(make_assignment(item, bob))).text
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert shown(html, "data-prompt") == [HOSTILE]


def test_a_direction_override_ends_where_its_text_ends(
    bobs: Client, project: Project, bob: User
) -> None:
    item = make_item(project, texts=("\u202egnirts", "plain"))
    html = bobs.get(page_of(make_assignment(item, bob))).text
    assert re.search(r'<div class="verbatim" data-completion dir="auto">\u202egnirts</div>', html)


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_it_keeps_a_demonstration(
    bobs: Client, project: Project, bob: User, headers: dict[str, Any]
) -> None:
    assignment = make_assignment(make_item(project, Kind.DEMONSTRATION), bob)
    bobs.post(submit_of(assignment), {"text": " one\r\ntwo\r\n"}, **headers)
    assert Annotation.objects.get().demonstration.completion.text == " one\ntwo\n"


@pytest.mark.parametrize(
    ("choice", "outcome", "strength"),
    [
        ("left-significantly", "left", "significantly"),
        ("right-negligibly", "right", "negligibly"),
        ("tie", "tie", ""),
        ("both_bad", "both_bad", ""),
    ],
)
def test_it_keeps_a_comparison_as_it_was_seen(
    bobs: Client, project: Project, bob: User, choice: str, outcome: str, strength: str
) -> None:
    item = make_item(project)
    ids = sorted(item.completions.values_list("id", flat=True), reverse=True)
    assignment = make_assignment(item, bob, shown_order=ids)
    bobs.post(submit_of(assignment), {"choice": choice, "reason": "because"})
    comparison = Annotation.objects.get().comparison
    assert [comparison.left_id, comparison.right_id] == ids
    assert (comparison.outcome, comparison.strength) == (outcome, strength)
    assert comparison.annotation.reason == "because"


def test_it_keeps_a_ranking_in_tiers(bobs: Client, project: Project, bob: User) -> None:
    assignment = make_assignment(make_item(project, Kind.RANKING), bob)
    first, second, third, fourth = assignment.shown_order
    places = {"tier-1": 2, "tier-2": 1, "tier-3": 2, "tier-4": 4}
    bobs.post(submit_of(assignment), places)
    entries = Annotation.objects.get().ranking.entries
    assert dict(entries.values_list("completion_id", "tier")) == {
        second: 0,
        first: 1,
        third: 1,
        fourth: 2,
    }


def test_the_answer_to_a_submit_is_the_next_item(bobs: Client, project: Project, bob: User) -> None:
    assignment = make_assignment(make_item(project), bob)
    waiting = make_item(project)
    response = bobs.post(submit_of(assignment), {"choice": "tie"}, **HTMX)
    following = Assignment.objects.get(item=waiting)
    assert response.status_code == 200
    assert response["HX-Push-Url"] == page_of(following)
    assert shown(response.text, "data-prompt") == [waiting.prompt.text]
    assert "Saved." in response.text
    assert "<html" not in response.text


def test_guidelines_are_sent_again_only_when_they_change(
    bobs: Client, project: Project, bob: User
) -> None:
    assignment = make_assignment(make_item(project), bob)
    make_item(project)
    same = bobs.post(submit_of(assignment), {"choice": "tie"}, **HTMX)
    assert "How to do a comparison." not in same.text
    make_item(project, Kind.RANKING)
    following = Assignment.objects.get(state="leased")
    other = bobs.post(submit_of(following), {"choice": "tie"}, **HTMX)
    assert "How to do a ranking." in other.text


def test_without_scripts_it_goes_on_by_redirect(bobs: Client, project: Project, bob: User) -> None:
    assignment = make_assignment(make_item(project), bob)
    waiting = make_item(project)
    response = bobs.post(submit_of(assignment), {"choice": "tie"})
    assert response.status_code == 303
    assert response.url == page_of(Assignment.objects.get(item=waiting))


def test_after_the_last_item_it_sends_the_browser_to_a_page_that_says_so(
    bobs: Client, project: Project, bob: User
) -> None:
    assignment = make_assignment(make_item(project), bob)
    response = bobs.post(submit_of(assignment), {"choice": "tie"}, **HTMX)
    assert response["HX-Redirect"] == reverse("annotations:done", args=[project.pk])


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Kind.DEMONSTRATION, {"text": " \n "}),
        (Kind.DEMONSTRATION, {"text": "a\x00b"}),
        (Kind.DEMONSTRATION, {"text": "x" * 5_000_000}),
        (Kind.DEMONSTRATION, {}),
        (Kind.COMPARISON, {"reason": "no choice"}),
        (Kind.COMPARISON, {"choice": "left"}),
        (Kind.COMPARISON, {"choice": "tie", "reason": "x" * 2_001}),
        (Kind.RANKING, {"tier-1": 1}),
        (Kind.RANKING, {"tier-1": 1, "tier-2": 2, "tier-3": 3, "tier-4": 5}),
    ],
)
@pytest.mark.parametrize("headers", [{}, HTMX])
def test_it_refuses_what_it_cannot_keep_and_says_why(
    bobs: Client,
    project: Project,
    bob: User,
    kind: str,
    data: dict[str, Any],
    headers: dict[str, Any],
) -> None:
    assignment = make_assignment(make_item(project, kind), bob)
    response = bobs.post(submit_of(assignment), data, **headers)
    assert response.status_code == 422
    assert 'role="alert"' in response.text
    assert not Annotation.objects.exists()


def test_a_refused_form_loses_nothing(bobs: Client, project: Project, bob: User) -> None:
    writing = make_assignment(make_item(project, Kind.DEMONSTRATION), bob)
    text = "\nfirst line </textarea> kept\n" + "x" * 20_000
    response = bobs.post(submit_of(writing), {"text": text})
    area = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", response.text, re.S)
    assert area is not None
    assert unescape(area[1]) == text
    comparing = make_assignment(make_item(project), bob)
    response = bobs.post(submit_of(comparing), {"reason": "the moon"})
    assert 'value="the moon"' in response.text
    ranking = make_assignment(make_item(project, Kind.RANKING), bob)
    response = bobs.post(submit_of(ranking), {"tier-2": "3"})
    assert re.search(r'name="tier-2" value="3"[^>]* checked', response.text)
    assert response.text.count(" checked") == 1


def test_a_second_submit_changes_nothing_and_goes_on(
    bobs: Client, project: Project, bob: User
) -> None:
    assignment = make_assignment(make_item(project), bob)
    bobs.post(submit_of(assignment), {"choice": "tie"})
    response = bobs.post(submit_of(assignment), {"choice": "both_bad"})
    assert response.status_code == 303
    assert Annotation.objects.get().comparison.outcome == "tie"


def test_what_was_sent_too_late_is_kept(bobs: Client, project: Project, bob: User) -> None:
    assignment = run_out(make_assignment(make_item(project), bob))
    assert bobs.get(page_of(assignment)).status_code == 200
    bobs.post(submit_of(assignment), {"choice": "tie"})
    assert Annotation.objects.count() == 1


def test_an_answer_to_a_skipped_item_is_refused_with_its_text(
    bobs: Client, project: Project, bob: User
) -> None:
    assignment = make_assignment(make_item(project, Kind.DEMONSTRATION), bob)
    bobs.post(skip_of(assignment), {"reason": "unsure"})
    response = bobs.post(submit_of(assignment), {"text": "late words"}, **HTMX)
    assert response.status_code == 409
    assert "late words" in response.text
    assert 'role="alert"' in response.text


def test_it_skips_with_a_reason_and_goes_on(bobs: Client, project: Project, bob: User) -> None:
    assignment = make_assignment(make_item(project), bob)
    waiting = make_item(project)
    response = bobs.post(skip_of(assignment), {"reason": "harmful", "note": "no"}, **HTMX)
    assignment.refresh_from_db()
    assert (assignment.skip_reason, assignment.skip_note) == ("harmful", "no")
    assert shown(response.text, "data-prompt") == [waiting.prompt.text]


def test_it_does_not_skip_without_a_reason(bobs: Client, project: Project, bob: User) -> None:
    assignment = make_assignment(make_item(project), bob)
    response = bobs.post(skip_of(assignment), {"reason": "bored"})
    assert response.status_code == 422
    assignment.refresh_from_db()
    assert assignment.state == Assignment.State.LEASED


def test_a_closed_assignment_says_so(bobs: Client, project: Project, bob: User) -> None:
    assignment = make_assignment(make_item(project), bob)
    bobs.post(submit_of(assignment), {"choice": "tie"})
    assert "You have answered this item" in bobs.get(page_of(assignment)).text


@pytest.mark.parametrize("name", ["assignment", "submit", "skip"])
@pytest.mark.parametrize("stranger", ["charlie", "alice", "bea"])
def test_nobody_else_reaches_an_assignment(
    client: Client, project: Project, bob: User, request: Any, name: str, stranger: str
) -> None:
    assignment = make_assignment(make_item(project), bob)
    client.force_login(request.getfixturevalue(stranger))
    url = reverse(f"annotations:{name}", args=[assignment.pk])
    response = client.get(url) if name == "assignment" else client.post(url, {"choice": "tie"})
    assert response.status_code == 404
    assert not Annotation.objects.exists()


@pytest.mark.parametrize("name", ["start", "submit", "skip"])
def test_it_changes_nothing_on_get(bobs: Client, project: Project, bob: User, name: str) -> None:
    assignment = make_assignment(make_item(project), bob)
    key = project.pk if name == "start" else assignment.pk
    assert bobs.get(reverse(f"annotations:{name}", args=[key])).status_code == 405


def test_a_signed_out_page_is_told_so_instead_of_being_swapped(
    client: Client, project: Project, bob: User
) -> None:
    assignment = make_assignment(make_item(project), bob)
    response = client.post(submit_of(assignment), {"choice": "tie"}, **HTMX, follow=False)
    assert response.status_code == 302
    assert client.get(response.url, **HTMX).status_code == 401


def test_one_who_was_paused_while_working_loses_nothing(
    bobs: Client, project: Project, bob: User
) -> None:
    assignment = make_assignment(make_item(project), bob)
    Membership.objects.filter(user=bob).update(state=Membership.State.PAUSED)
    response = bobs.post(submit_of(assignment), {"choice": "tie"}, follow=True)
    assert Annotation.objects.count() == 1
    assert "paused" in response.text


@pytest.mark.parametrize("kind", Kind.values)
def test_a_labelling_page_weighs_little(
    bobs: Client, project: Project, bob: User, kind: str
) -> None:
    html = bobs.get(page_of(make_assignment(make_item(project, kind), bob))).text
    files = {
        path.partition("static/")[2] for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', html)
    }
    assert "js/label.js" in files
    imported = {
        f"js/{name}"
        for file in files
        if file.startswith("js/")
        for name in re.findall(r'from "\./([\w.]+)"', content_of(file))
    }
    assert imported <= files, "a module that the page does not name costs a round trip"
    sizes = {file: len(gzip.compress(content_of(file).encode())) for file in files}
    assert len(gzip.compress(html.encode())) + sum(sizes.values()) <= 100 * 1024


def content_of(file: str) -> str:
    """Return what a static file of ours holds."""
    path = finders.find(file)
    assert isinstance(path, str), file
    return Path(path).read_text(encoding="utf-8")
