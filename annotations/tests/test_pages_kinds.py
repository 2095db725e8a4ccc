"""Rating, rewriting, assembling, reviewing and one's own prompts, through HTTP."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations import selectors, services
from annotations.models import (
    Annotation,
    Assembly,
    Assignment,
    Item,
    Kind,
    Project,
    Prompt,
    RatingAnswer,
    Review,
    Rewrite,
    User,
)
from annotations.tests.factories import make_assignment, make_item, make_prompt, run_out

HTMX = {"HTTP_HX_REQUEST": "true"}
HOSTILE = '<script>alert("x")</script>'
NEW_KINDS = [Kind.RATING, Kind.REWRITE, Kind.ASSEMBLY, Kind.REVIEW]
ANSWERS: dict[str, dict[str, Any]] = {
    Kind.RATING: {"rating-1-overall": "3", "rating-2-overall": "7", "rating-2-harmful": "1"},
    Kind.REWRITE: {"text": "a better\r\nhaiku"},
    Kind.ASSEMBLY: {"part-1-1": "2", "part-3-1": "1", "text": "polished"},
    Kind.REVIEW: {"decision": "accept", "text": "a frog\r\nleaps\r\nin"},
}


@pytest.fixture
def alices(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def assigned(project: Project, user: User, kind: str, **changes: Any) -> Assignment:
    return make_assignment(make_item(project, kind, **changes), user)


def submit(client: Client, assignment: Assignment, data: dict[str, Any], **headers: Any) -> Any:
    return client.post(reverse("annotations:submit", args=[assignment.pk]), data, **headers)


def page(client: Client, assignment: Assignment) -> str:
    html: str = client.get(reverse("annotations:assignment", args=[assignment.pk])).text
    return html


def of_kind(kind: str) -> Any:
    return Annotation.objects.filter(kind=kind)


# Each kind


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize("kind", NEW_KINDS)
def test_it_keeps_what_was_sent(
    bobs: Client, project: Project, bob: User, kind: str, headers: dict[str, Any]
) -> None:
    assignment = assigned(project, bob, kind)
    response = submit(bobs, assignment, {**ANSWERS[kind], "reason": "so it is"}, **headers)
    assert response.status_code in (200, 303)
    assert of_kind(kind).get().reason == "so it is"


@pytest.mark.parametrize("who", ["charlie", "bea", "alice"])
@pytest.mark.parametrize("kind", NEW_KINDS)
def test_it_hands_in_nothing_for_somebody_else(
    client: Client,
    project: Project,
    bob: User,
    kind: str,
    who: str,
    request: pytest.FixtureRequest,
) -> None:
    assignment = assigned(project, bob, kind)
    client.force_login(request.getfixturevalue(who))
    assert submit(client, assignment, ANSWERS[kind]).status_code == 404
    assert not of_kind(kind).exists()


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_it_keeps_what_comes_after_the_lease(
    bobs: Client, project: Project, bob: User, kind: str
) -> None:
    assignment = run_out(assigned(project, bob, kind))
    assert submit(bobs, assignment, ANSWERS[kind]).status_code == 303
    assert of_kind(kind).count() == 1


@pytest.mark.parametrize("kind", [Kind.REWRITE, Kind.ASSEMBLY, Kind.REVIEW])
def test_a_paste_of_five_megabytes_is_refused_with_a_sentence(
    bobs: Client, project: Project, bob: User, kind: str
) -> None:
    assignment = assigned(project, bob, kind)
    paste = {"text": "x" * 5_000_000, "decision": "fix"}
    response = submit(bobs, assignment, ANSWERS[kind] | paste)
    assert response.status_code == 422
    assert "Shorten it" in response.text
    assert not of_kind(kind).exists()


@pytest.mark.parametrize("kind", [Kind.REWRITE, Kind.ASSEMBLY, Kind.REVIEW])
def test_markup_and_direction_marks_are_text(
    bobs: Client, project: Project, bob: User, kind: str
) -> None:
    assignment = assigned(project, bob, kind)
    text = {"text": f"\u202e{HOSTILE}\r\n<b>", "decision": "fix"}
    assert submit(bobs, assignment, ANSWERS[kind] | text).status_code == 303
    fields = selectors.fields_of(of_kind(kind).get())
    assert fields["text"] == [f"\u202e{HOSTILE}\n<b>"]


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_it_answers_a_second_submit_as_the_first(
    bobs: Client, project: Project, bob: User, kind: str
) -> None:
    assignment = assigned(project, bob, kind)
    first = submit(bobs, assignment, ANSWERS[kind])
    second = submit(bobs, assignment, ANSWERS[kind])
    assert (first.status_code, first.url) == (second.status_code, second.url)
    assert of_kind(kind).count() == 1


@pytest.mark.parametrize("kind", NEW_KINDS)
@pytest.mark.parametrize("reason", ["x" * 100_000])
def test_a_reason_that_cannot_be_kept_loses_nothing(
    bobs: Client, project: Project, bob: User, kind: str, reason: str
) -> None:
    assignment = assigned(project, bob, kind)
    response = submit(bobs, assignment, {**ANSWERS[kind], "reason": reason})
    assert response.status_code == 422
    assert "Shorten it" in response.text
    assert reason in response.text
    assert not of_kind(kind).exists()


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_it_shows_what_was_sent_again_when_it_is_refused(
    bobs: Client, project: Project, bob: User, kind: str
) -> None:
    assignment = assigned(project, bob, kind)
    sent = {**ANSWERS[kind], "text": HOSTILE, "decision": "accept", "reason": "nul\x00"}
    response = submit(bobs, assignment, sent)
    assert response.status_code == 422
    assert HOSTILE not in response.text
    if kind != Kind.RATING:
        assert "&lt;script&gt;alert(&quot;x&quot;)" in response.text


# Rating


def test_it_asks_every_question_about_every_completion(
    bobs: Client, project: Project, bob: User
) -> None:
    html = page(bobs, assigned(project, bob, Kind.RATING))
    for position in (1, 2):
        assert len(re.findall(rf'type="radio" name="rating-{position}-overall"', html)) == 7
        assert len(re.findall(rf'type="checkbox" name="rating-{position}-harmful"', html)) == 1
    assert "How good is it overall?, A" in html


def test_it_keeps_points_and_flags(bobs: Client, project: Project, bob: User) -> None:
    assignment = assigned(project, bob, Kind.RATING)
    submit(bobs, assignment, ANSWERS[Kind.RATING])
    first, second = assignment.shown_order
    kept = RatingAnswer.objects.values_list("completion_id", "question", "value")
    assert set(kept) == {
        (first, "overall", 3),
        (first, "harmful", 0),
        (second, "overall", 7),
        (second, "harmful", 1),
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rating-2-overall": ""}, "Choose a point from 1 to 7."),
        ({"rating-2-overall": "8"}, "Choose a point from 1 to 7."),
        ({"rating-2-overall": "0"}, "Choose a point from 1 to 7."),
        ({"rating-2-overall": "best"}, "Choose a point from 1 to 7."),
        ({"rating-2-harmful": "7"}, "A flag is either set or not."),
        ({"rating-3-overall": "1"}, "a question that this page does not ask"),
        ({"rating-1-beauty": "1"}, "a question that this page does not ask"),
    ],
)
def test_it_says_what_is_wrong_with_a_rating(
    bobs: Client, project: Project, bob: User, change: dict[str, str], sentence: str
) -> None:
    assignment = assigned(project, bob, Kind.RATING)
    response = submit(bobs, assignment, ANSWERS[Kind.RATING] | change)
    assert response.status_code == 422
    assert sentence in response.text
    assert 'name="rating-1-overall" value="3"' in response.text
    assert re.search(r'name="rating-1-overall" value="3"[^>]* checked', response.text)
    assert not Annotation.objects.exists()


def test_a_ranking_can_ask_the_questions_first(bobs: Client, project: Project, bob: User) -> None:
    scheme = services.publish_scheme(project, services.DEFAULT_QUESTIONS, bob, before_ranking=True)
    assignment = assigned(project, bob, Kind.RANKING, texts=["a", "b"], rating_scheme=scheme)
    html = page(bobs, assignment)
    assert html.index("rating-1-quality") < html.index("tier-1") < html.index("tier-2")
    places = {"tier-1": "1", "tier-2": "2"}
    refused = submit(bobs, assignment, places)
    assert refused.status_code == 422
    assert re.search(r'name="tier-2" value="2"[^>]* checked', refused.text)
    ratings = {"rating-1-quality": "7", "rating-2-quality": "1", "rating-2-opinion": "1"}
    submit(bobs, assignment, places | ratings)
    annotation = Annotation.objects.get()
    assert annotation.ranking.entries.count() == 2
    raised = annotation.rating.answers.exclude(value=0).values_list("question", "value")
    assert list(raised) == [("quality", 7), ("quality", 1), ("opinion", 1)]


# Rewriting


def test_the_field_begins_with_the_original(bobs: Client, project: Project, bob: User) -> None:
    html = page(bobs, assigned(project, bob, Kind.REWRITE, texts=["\n a frog <jump>"]))
    assert re.search(r"<textarea[^>]*>\n\n a frog &lt;jump&gt;</textarea>", html)
    assert 'data-diff-of="text"' in html


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("haiku 0", "the original, unchanged"),
        ("haiku 0 \r\n", "the original, unchanged"),
        (" \r\n", "Your version is empty"),
        ("a\x00", "NUL"),
        ("x" * 1_000_000, "Shorten it"),
    ],
)
def test_it_says_why_a_rewrite_is_none(
    bobs: Client, project: Project, bob: User, text: str, sentence: str
) -> None:
    assignment = assigned(project, bob, Kind.REWRITE)
    response = submit(bobs, assignment, {"text": text})
    assert response.status_code == 422
    assert sentence in response.text
    assert not Rewrite.objects.exists()


# Assembling


def test_it_puts_the_numbered_parts_together_without_scripts(
    bobs: Client, project: Project, bob: User
) -> None:
    assignment = assigned(project, bob, Kind.ASSEMBLY, texts=["one\ntwo", "three\nfour"])
    sent = {"part-1-1": "2", "part-2-2": "1", "text": "", "put_together": "1"}
    response = submit(bobs, assignment, sent)
    assert ">\nfour\none</textarea>" in response.text
    assert re.search(r'name="part-2-2" value="1"', response.text)
    assert not Annotation.objects.exists()
    submit(bobs, assignment, {**sent, "text": "four,\r\none", "put_together": ""})
    assert Annotation.objects.count() == 0
    del sent["put_together"]
    submit(bobs, assignment, {**sent, "text": "four,\r\none"})
    assembly = Assembly.objects.get()
    assert assembly.completion.text == "four,\none"
    assert [part.source.text[part.start : part.end] for part in assembly.parts.all()] == [
        "four",
        "one",
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"part-1-1": "", "part-3-1": ""}, "No part is chosen"),
        ({"part-1-1": "1"}, "Two parts have the number 1"),
        ({"part-1-1": "0"}, "Count from 1"),
        ({"part-1-1": "99"}, "There are only 4 parts"),
        ({"part-1-1": "first"}, "Type a whole number"),
        ({"part-9-1": "3"}, "not on this page"),
        ({"part-1-7": "3"}, "not on this page"),
        ({"text": " "}, "The text is empty"),
        ({"text": "x" * 1_000_000}, "Shorten it"),
    ],
)
def test_it_says_what_is_wrong_with_an_assembly(
    bobs: Client, project: Project, bob: User, change: dict[str, str], sentence: str
) -> None:
    assignment = assigned(project, bob, Kind.ASSEMBLY)
    response = submit(bobs, assignment, ANSWERS[Kind.ASSEMBLY] | change)
    assert response.status_code == 422
    assert sentence in response.text
    assert not Annotation.objects.exists()


def test_it_takes_as_many_parts_as_a_page_can_show(
    bobs: Client, project: Project, bob: User
) -> None:
    texts = ["\n".join(f"line {number}" for number in range(300))] * 9
    assignment = assigned(project, bob, Kind.ASSEMBLY, texts=texts)
    names = re.findall(r'name="(part-\d+-\d+)"', page(bobs, assignment))
    assert 800 < len(names) <= 900
    sent = dict.fromkeys(names, "") | {names[-1]: "1", names[0]: "2", "text": "long"}
    assert submit(bobs, assignment, sent).status_code == 303
    assert Assembly.objects.get().parts.count() == 2


# Reviewing


def test_it_does_not_say_whose_work_is_reviewed(
    client: Client, project: Project, carol: User
) -> None:
    item = make_item(project, Kind.REVIEW)
    assert item.subject is not None
    User.objects.filter(id=item.subject.annotator_id).update(first_name="zzauthor")
    client.force_login(carol)
    html = page(client, make_assignment(item, carol))
    assert "zzauthor" not in html
    assert "writer" not in html
    assert html.count("leaps") == 2


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"decision": "accept", "text": "changed"}, "Choose “Fix” to hand in your version"),
        ({"decision": "reject", "text": "changed", "reason": "x"}, "Choose “Fix”"),
        ({"decision": "reject"}, "Say why you reject it"),
        ({"decision": "fix", "text": "a frog\r\nleaps\r\nin"}, "did not change it"),
        ({"decision": "fix", "text": " "}, "The text is empty"),
        ({"decision": "maybe"}, "Choose whether you accept"),
        ({}, "Choose whether you accept"),
    ],
)
def test_it_says_what_is_wrong_with_a_review(
    bobs: Client, project: Project, bob: User, data: dict[str, str], sentence: str
) -> None:
    response = submit(bobs, assigned(project, bob, Kind.REVIEW), data)
    assert response.status_code == 422
    assert sentence in response.text
    assert not Review.objects.exists()


def test_a_text_that_was_taken_back_meanwhile_cannot_be_reviewed(
    bobs: Client, project: Project, bob: User, bea: User
) -> None:
    writing = assigned(project, bea, Kind.DEMONSTRATION)
    subject = services.submit_demonstration(writing, "a frog\nleaps\nin")
    item = make_item(
        project, Kind.REVIEW, subject=subject, completions=[subject.demonstration.completion]
    )
    assignment = make_assignment(item, bob)
    services.undo(writing)
    response = submit(bobs, assignment, ANSWERS[Kind.REVIEW])
    assert response.status_code == 409
    assert "nothing left to review" in response.text


# One's own prompt


def test_it_hands_its_author_the_prompt_to_answer(
    bobs: Client, project: Project, bob: User
) -> None:
    project.own_prompts_allowed = True
    project.save()
    url = reverse("annotations:own_prompt", args=[project.pk])
    assert "An instruction with examples" in bobs.get(url).text
    response = bobs.post(url, {"style": "few_shot", "text": "A haiku\r\nlike these."})
    prompt = Prompt.objects.get()
    assert (prompt.text, prompt.style, prompt.origin) == (
        "A haiku\nlike these.",
        "few_shot",
        "annotator",
    )
    assignment = Assignment.objects.get()
    assert response.url == reverse("annotations:assignment", args=[assignment.pk])
    assert (assignment.annotator, assignment.item.kind) == (bob, Kind.DEMONSTRATION)
    assert assignment.item.open_slots == 0
    again = bobs.post(url, {"style": "user", "text": "Another."})
    assert "You have not answered the last prompt" in again.text
    services.submit_demonstration(assignment, "an answer")
    assert bobs.post(url, {"style": "user", "text": "Another."}).status_code == 303


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"style": "plain", "text": "A frog. "}, "this very prompt already"),
        ({"style": "plain", "text": " "}, "The prompt is empty"),
        ({"style": "poem", "text": "x"}, "Choose what kind"),
        ({"style": "plain", "text": "a\x00"}, "NUL"),
        ({"style": "plain", "text": "x" * 1_000_000}, "Shorten it"),
    ],
)
def test_it_says_what_is_wrong_with_an_own_prompt(
    bobs: Client, project: Project, data: dict[str, str], sentence: str
) -> None:
    project.own_prompts_allowed = True
    project.save()
    make_prompt(project, "A frog.")
    response = bobs.post(reverse("annotations:own_prompt", args=[project.pk]), data)
    assert response.status_code == 422
    assert sentence in response.text
    assert not Item.objects.exists()


def test_own_prompts_exist_only_where_they_are_allowed(
    bobs: Client, client: Client, project: Project, charlie: User
) -> None:
    url = reverse("annotations:own_prompt", args=[project.pk])
    assert bobs.get(url).status_code == 404
    project.own_prompts_allowed = True
    project.save()
    assert bobs.get(url).status_code == 200
    assert bobs.put(url).status_code == 405
    client.force_login(charlie)
    assert client.get(url).status_code == 404


# The questions of a project

ONE_QUESTION = {
    "question-0-text": "How good is it?",
    "question-0-name": "quality",
    "question-0-form": "scale",
    "question-0-points": "5",
    "question-0-required": "on",
    "question-1-text": "",
    "question-1-name": "",
    "question-1-form": "scale",
}


def questions_of(project: Project) -> str:
    return reverse("annotations:questions", args=[project.pk])


def test_it_begins_with_the_questions_of_instructgpt(alices: Client, project: Project) -> None:
    html = alices.get(questions_of(project)).text
    assert html.count('value="remove"') + html.count('name="remove"') == 12
    assert "Overall quality" in html
    sent = {
        name.group(1): name.group(2) or ""
        for name in re.finditer(
            r'<input type="(?:text|number)" name="([^"]+)"(?: value="([^"]*)")?', html
        )
    }
    forms = {f"question-{n}-form": "scale" if n == 0 else "flag" for n in range(12)}
    sent |= forms | {"question-0-required": "on", "publish": "1"}
    assert alices.post(questions_of(project), sent).status_code == 303
    scheme = services.scheme_in_force(project)
    assert scheme is not None
    assert scheme.questions == services.DEFAULT_QUESTIONS


def test_it_publishes_questions_as_a_new_version(alices: Client, project: Project) -> None:
    alices.post(questions_of(project), ONE_QUESTION | {"publish": "1", "before_ranking": "1"})
    scheme = services.scheme_in_force(project)
    assert scheme is not None
    assert (scheme.version, scheme.before_ranking, len(scheme.questions)) == (1, True, 1)
    assert scheme.questions[0]["points"] == 5
    alices.post(questions_of(project), ONE_QUESTION | {"question-0-points": "3"})
    assert services.scheme_in_force(project) == scheme
    draft = services.scheme_draft(project)
    assert draft is not None
    assert draft.questions[0]["points"] == 3
    html = alices.get(questions_of(project)).text
    assert "Version 1 is in force" in html
    assert "This is a draft" in html


def test_its_buttons_add_and_remove_rows_and_keep_the_rest(
    alices: Client, project: Project
) -> None:
    html = alices.post(questions_of(project), ONE_QUESTION | {"add": "1"}).text
    assert 'name="question-2-text"' in html
    assert 'value="How good is it?"' in html
    html = alices.post(questions_of(project), ONE_QUESTION | {"remove": "question-0"}).text
    assert 'value="How good is it?"' not in html
    assert 'name="question-1-text"' not in html
    assert not project.rating_schemes.exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"question-0-points": "11"}, "2 to 10 points"),
        ({"question-0-points": "many"}, "Type a whole number"),
        ({"question-0-name": "Quality!"}, "needs a name for the data"),
        ({"question-0-name": "", "question-0-text": ""}, "There is no question"),
        ({"question-0-form": "essay"}, "essay"),
        ({"question-0-text": "x" * 1_000}, "at most"),
    ],
)
def test_it_says_what_is_wrong_with_the_questions(
    alices: Client, project: Project, change: dict[str, str], sentence: str
) -> None:
    response = alices.post(questions_of(project), ONE_QUESTION | change | {"publish": "1"})
    assert response.status_code == 422
    assert sentence in response.text
    assert not project.rating_schemes.exists()


@pytest.mark.parametrize("user", ["bob", "carol", "eve", "charlie"])
def test_only_owners_write_the_questions(
    client: Client, project: Project, user: str, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(user))
    assert client.get(questions_of(project)).status_code == 404
    assert client.post(questions_of(project), ONE_QUESTION).status_code == 404
    assert not project.rating_schemes.exists()


# Markdown, and texts that are empty


def test_markdown_is_rendered_where_the_project_wants_it(
    bobs: Client, project: Project, bob: User
) -> None:
    texts = ["**bold**\nline", "`<b>` ![x](http://example.org/x.png)"]
    item = make_item(project, texts=texts, prompt=make_prompt(project, "# Title"))
    assignment = make_assignment(item, bob)
    assert "**bold**" in page(bobs, assignment)
    project.rendering = Project.Rendering.MARKDOWN
    project.save()
    html = page(bobs, assignment)
    assert "<strong>bold</strong><br>" in html
    assert "<code>&lt;b&gt;</code>" in html
    assert "<h1>Title</h1>" in html
    assert "<img" not in html


@pytest.mark.parametrize("kind", [Kind.COMPARISON, Kind.RANKING, Kind.RATING, Kind.REWRITE])
def test_an_empty_completion_is_shown_as_empty(
    bobs: Client, project: Project, bob: User, kind: str
) -> None:
    assignment = assigned(project, bob, kind, texts=["", "haiku"])
    assert page(bobs, assignment).count("(empty)") == 1
