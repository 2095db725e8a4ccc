"""Clauses with cases: examples for labellers that are tests of gold items, models and people."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotations import markdown, queue, selectors, services
from annotations.algorithms.clauses import Case, write_case
from annotations.models import (
    Assignment,
    GuidelineCase,
    GuidelineDraft,
    Item,
    Kind,
    Project,
    User,
)
from annotations.services import ServiceError
from annotations.tests.factories import (
    make_assignment,
    make_completion,
    make_item,
    make_prompt,
)

CAST = ("alice", "eve", "carol", "bob", "charlie")
CASE = Case("Write about <rain>.", "drip\ndrop", "It is raining a lot.", "left", "Short.")
TEXT = "# Be short\n\nChoose the shorter one.\n\n" + write_case(CASE) + "\n# Be kind\n\nAlways.\n"


def url(name: str, project: Project, kind: str = Kind.COMPARISON) -> str:
    return reverse(f"annotations:{name}", args=[project.pk, kind])


@pytest.fixture
def alices(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def make_known(project: Project, outcome: str, *, swapped: bool = False) -> Item:
    """Return a gold item about the texts of CASE that knows an answer to it."""
    prompt = make_prompt(project, CASE.prompt)
    texts = [CASE.second, CASE.first] if swapped else [CASE.first, CASE.second]
    left, right = (make_completion(prompt, text) for text in texts)
    gold = {"left": left.pk, "right": right.pk, "outcome": outcome, "strength": ""}
    return make_item(project, prompt=prompt, completions=[left, right], purpose="gold", gold=gold)


def test_labellers_see_cases_as_examples_that_are_folded() -> None:
    html = markdown.render(TEXT)
    assert '<details class="case"><summary>Example: Write about &lt;rain&gt;.</summary>' in html
    assert '<dd class="case__text">drip\ndrop</dd>' in html
    assert "<dt>Choose</dt>" in html
    broken = markdown.render("```case\n[prompt]\n<script>\n```\n")
    assert "<details" not in broken
    assert "&lt;script&gt;" in broken


def test_nobody_writes_the_markup_of_an_example_by_hand() -> None:
    html = markdown.render('<details class="case" ontoggle="x()"><summary>x</summary></details>')
    assert "<details" not in html


def test_publishing_keeps_the_cases_of_each_clause(project: Project, alice: User) -> None:
    version = services.publish_guideline(project, Kind.COMPARISON, TEXT, alice)
    case = GuidelineCase.objects.get()
    assert (case.version, case.clause, case.title) == (version, "be-short", "Be short")
    assert case.case == CASE
    assert case.conflicts == []


def test_a_block_that_is_no_case_is_not_published(project: Project, alice: User) -> None:
    same = TEXT.replace("It is raining a lot.", "drip drop")
    with pytest.raises(ServiceError, match=r"line 5: Both answers are the same"):
        services.publish_guideline(project, Kind.COMPARISON, same, alice)
    assert not GuidelineCase.objects.exists()
    assert selectors.guideline_in_force(project, Kind.COMPARISON).version == 1


@pytest.mark.parametrize(
    ("outcome", "swapped", "found"),
    [
        ("left", False, ""),
        ("right", True, ""),
        ("right", False, "right"),
        ("left", True, "right"),
        ("tie", False, "tie"),
    ],
)
def test_a_gold_item_that_knows_another_answer_is_a_conflict(
    project: Project, alice: User, outcome: str, swapped: bool, found: str
) -> None:
    item = make_known(project, outcome, swapped=swapped)
    services.publish_guideline(project, Kind.COMPARISON, TEXT, alice)
    expected = [{"item": item.pk, "outcome": found}] if found else []
    assert GuidelineCase.objects.get().conflicts == expected


def test_a_gold_ranking_speaks_against_a_case_too(project: Project) -> None:
    prompt = make_prompt(project, CASE.prompt)
    shown = [make_completion(prompt, text) for text in (CASE.first, "third", CASE.second)]
    tiers = [[shown[2].pk, shown[1].pk], [shown[0].pk]]
    make_item(
        project,
        Kind.RANKING,
        prompt=prompt,
        completions=shown,
        purpose="gold",
        gold={"tiers": tiers},
    )
    check = selectors.check_guideline(project, Kind.COMPARISON, TEXT, None)
    assert check.conflicts == 1
    assert check.clauses[0].cases[0].conflicts[0]["outcome"] == "right"


def test_conflicts_are_shown_before_the_act_and_never_block_it(
    alices: Client, project: Project
) -> None:
    item = make_known(project, "right")
    edit = url("edit_guideline", project)
    sent = {"text": TEXT, "note": "Shorter", "publish": "1"}
    page = alices.post(edit, sent)
    assert page.status_code == 200
    assert f"gold item {item.pk}</a> knows B" in page.text
    assert "Publish all the same" in page.text
    assert not GuidelineCase.objects.exists()
    assert alices.post(edit, {**sent, "publish": "anyway"}).status_code == 303
    assert GuidelineCase.objects.get().conflicts == [{"item": item.pk, "outcome": "right"}]


def test_a_clause_that_takes_its_cases_along_is_told(alices: Client, project: Project) -> None:
    services.publish_guideline(project, Kind.COMPARISON, TEXT, project.created_by)
    draft = url("guideline_draft", project)
    saved = alices.post(draft, {"text": "# Be kind\n\nAlways.\n"})
    assert "“<bdi>Be short</bdi>” is gone" in saved.text
    assert "changed" not in saved.text


def test_a_case_is_put_into_its_clause(alices: Client, project: Project) -> None:
    edit = url("edit_guideline", project)
    fields = {
        "case-clause": "be-kind",
        "case-prompt": "Say hello.",
        "case-first": "Hello!",
        "case-second": "What?",
        "case-expected": "left",
        "case-why": "",
    }
    sent = {"text": TEXT, "add_case": "1", **fields}
    assert alices.post(edit, sent).status_code == 303
    text = GuidelineDraft.objects.get().text
    check = selectors.check_guideline(project, Kind.COMPARISON, text, None)
    assert [len(clause.cases) for clause in check.clauses] == [1, 1]
    refused = alices.post(edit, {**sent, "case-second": "Hello! "})
    assert refused.status_code == 422
    assert "nothing to choose" in refused.text
    assert "Hello!" in refused.text


@pytest.mark.parametrize("button", ["publish", "save", "preview", "too long"])
def test_a_case_that_was_not_put_into_the_text_stays_on_the_page(
    alices: Client, project: Project, button: str
) -> None:
    sent = {"text": TEXT, button: "1", "case-first": "Hello <you>!"}
    if button == "too long":
        sent |= {"note": "x" * 400, "add_case": "1"}
    shown = alices.post(url("edit_guideline", project), sent)
    assert shown.status_code == (200 if button == "preview" else 422)
    field = shown.text.partition('name="case-first"')[2].partition("</textarea>")[0]
    assert "Hello &lt;you&gt;!" in field
    assert ("saved without this case" in shown.text) == (button in ("publish", "save"))
    assert not project.guideline_versions.filter(text=TEXT).exists()


# Gold items of cases


def test_cases_become_gold_items_that_look_like_any_other(
    project: Project, alice: User, bob: User, client: Client
) -> None:
    version = services.publish_guideline(project, Kind.COMPARISON, TEXT, alice)
    assert services.make_gold_of_cases(version, "be-short", alice).made == 1
    assert services.make_gold_of_cases(version, "be-short", alice).there == 1
    gold = Item.objects.get(purpose="gold")
    project.gold_percent = 100
    project.save()
    make_item(project)
    assignment = queue.lease_next(bob, project, Kind.COMPARISON)
    assert assignment is not None
    assert assignment.item == gold
    client.force_login(bob)
    page = client.get(reverse("annotations:assignment", args=[assignment.pk])).text
    work = page[page.index('id="work"') :]
    assert "gold" not in work.lower()
    assert services.submit_comparison(assignment, "right", "better")
    clause = selectors.served_clauses(version)[0]
    assert (clause.served, clause.wrong, clause.answered) == (1, 1 - _chose_first(assignment), 1)
    assert clause.rates[0].annotator == bob


def _chose_first(assignment: Assignment) -> int:
    """Return 1 if the right side, which was chosen, showed the case's first answer."""
    comparison = assignment.annotations.get().comparison
    return int(comparison.right.text == CASE.first)


def test_a_case_that_gold_contradicts_makes_no_second_item(project: Project, alice: User) -> None:
    make_known(project, "right")
    version = services.publish_guideline(project, Kind.COMPARISON, TEXT, alice)
    made = services.make_gold_of_cases(version, "be-short", alice)
    assert (made.made, made.contradicted) == (0, 1)
    with pytest.raises(ServiceError, match="no cases"):
        services.make_gold_of_cases(version, "be-kind", alice)


def test_gold_that_was_retired_contradicts_nothing_and_is_made_anew(
    project: Project, alice: User
) -> None:
    services.retire_gold(make_known(project, "right"))
    version = services.publish_guideline(project, Kind.COMPARISON, TEXT, alice)
    assert GuidelineCase.objects.get().conflicts == []
    for served in (1, 0, 1):
        if served:
            assert services.make_gold_of_cases(version, "be-short", alice).made == 1
        else:
            services.retire_gold(Item.objects.filter(purpose="gold").latest("id"))
        assert selectors.served_clauses(version)[0].served == served
    assert Item.objects.filter(purpose="gold", open_slots__gt=0).count() == 1


@pytest.mark.parametrize("username", CAST)
def test_those_who_decide_see_cases_and_owners_make_gold(
    client: Client, project: Project, alice: User, username: str
) -> None:
    services.publish_guideline(project, Kind.COMPARISON, TEXT, alice)
    client.force_login(User.objects.get(username=username))
    page = client.get(url("guideline_cases", project))
    assert page.status_code == (200 if username in ("alice", "eve", "carol") else 404)
    gold = url("make_gold_of_cases", project)
    made = client.post(gold, {"clause": "be-short"})
    assert made.status_code == (303 if username == "alice" else 404)
    if username == "alice":
        assert "1 gold item made." in client.get(made["Location"]).text
    assert Item.objects.filter(purpose="gold").exists() == (username == "alice")
    assert client.get(gold).status_code == 405
    assert client.post(url("guideline_cases", project)).status_code == 405


def test_the_page_of_cases_takes_a_constant_number_of_queries(
    project: Project, alice: User, bob: User, django_assert_max_num_queries: object
) -> None:
    many = TEXT.replace(
        write_case(CASE),
        "".join(write_case(Case(f"Prompt {n}", "a", "b", "left")) + "\n" for n in range(12)),
    )
    version = services.publish_guideline(project, Kind.COMPARISON, many, alice)
    services.make_gold_of_cases(version, "be-short", alice)
    for item in Item.objects.filter(purpose="gold")[:4]:
        services.submit_comparison(make_assignment(item, bob), "left", "better")
    with django_assert_max_num_queries(6):  # type: ignore[operator]  # a fixture
        assert selectors.served_clauses(version)[0].answered == 4
