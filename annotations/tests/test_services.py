"""What the services promise: nothing lost, nothing twice, nothing that cannot be kept."""

from __future__ import annotations

import pytest

from annotations import queue, services
from annotations.importers import DemonstrationRow, PromptRow
from annotations.models import (
    Annotation,
    Assignment,
    Comparison,
    Completion,
    Demonstration,
    Item,
    Kind,
    Prompt,
    RankedCompletion,
    Role,
)
from annotations.services import Answer, ServiceError
from annotations.tests.factories import (
    make_assignment,
    make_item,
    make_prompt,
    run_out,
)

HAIKU = "old pond\na frog leaps in\nwater's sound"


@pytest.fixture
def ranking(project, bob):
    return make_assignment(make_item(project, Kind.RANKING), bob)


# Submitting


def test_it_keeps_a_demonstration_as_it_was_written(writing, bob):
    text = "<b>old pond</b>\n  \u202ea frog\nleaps in \n"
    annotation = services.submit_demonstration(writing, text)
    completion = annotation.demonstration.completion
    assert (completion.text, completion.author, completion.origin) == (text, bob, "human")
    assert annotation.guideline_version == writing.guideline_version
    writing.refresh_from_db()
    assert writing.state == Assignment.State.SUBMITTED


def test_it_takes_out_the_carriage_returns_that_forms_put_in(writing):
    annotation = services.submit_demonstration(writing, HAIKU.replace("\n", "\r\n"))
    assert annotation.demonstration.completion.text == HAIKU


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        (" \n\u3000", "empty"),
        ("frog\x00", "NUL"),
        ("frog\udc00", "half a character"),
        ("x" * 5_000_000, "5,000,000 characters"),
    ],
)
def test_it_refuses_a_text_it_cannot_keep_and_leaves_the_lease_alone(writing, text, sentence):
    with pytest.raises(ServiceError, match=sentence):
        services.submit_demonstration(writing, text)
    writing.refresh_from_db()
    assert writing.state == Assignment.State.LEASED
    assert not Annotation.objects.exists()
    assert services.submit_demonstration(writing, HAIKU)


def test_it_answers_a_second_submit_as_the_first(writing):
    first = services.submit_demonstration(writing, HAIKU)
    again = services.submit_demonstration(Assignment.objects.get(id=writing.pk), "other\x00")
    assert again == first
    assert Completion.objects.get().text == HAIKU


def test_it_stores_a_comparison_as_it_was_seen(comparing):
    comparing.shown_order = comparing.shown_order[::-1]
    comparing.save()
    annotation = services.submit_comparison(comparing, "left", "slightly", reason="Better image.")
    comparison = annotation.comparison
    assert [comparison.left_id, comparison.right_id] == comparing.shown_order
    assert annotation.shown_order == comparing.shown_order
    assert (comparison.outcome, comparison.strength) == ("left", "slightly")
    assert annotation.reason == "Better image."
    assert annotation.wall_ms is not None


@pytest.mark.parametrize(
    ("outcome", "strength"),
    [
        ("left", ""),
        ("left", "hugely"),
        ("tie", "better"),
        ("both_bad", "better"),
        ("", ""),
        ("x", ""),
    ],
)
def test_it_refuses_a_comparison_that_says_nothing_clear(comparing, outcome, strength):
    with pytest.raises(ServiceError, match="Choose"):
        services.submit_comparison(comparing, outcome, strength)
    assert not Annotation.objects.exists()


def test_it_keeps_a_tie_and_both_bad_apart(project, bob, bea):
    item = make_item(project, overlap=2)
    services.submit_comparison(make_assignment(item, bob), "tie", "")
    services.submit_comparison(make_assignment(item, bea), "both_bad", "")
    outcomes = Comparison.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes) == ["tie", "both_bad"]


def test_it_stores_a_ranking_in_tiers(ranking):
    a, b, c, d = ranking.shown_order
    annotation = services.submit_ranking(ranking, [[c], [a, d], [b]])
    entries = RankedCompletion.objects.filter(ranking=annotation.ranking)
    assert dict(entries.values_list("completion_id", "tier")) == {c: 0, a: 1, d: 1, b: 2}


@pytest.mark.parametrize(
    "places", [[[0], [1], [2]], [[0, 0], [1], [2], [3]], [[0], [], [1, 2, 3]], [[0, 1, 2, 9]], []]
)
def test_it_refuses_a_ranking_that_is_not_of_these_completions(ranking, places):
    shown = [*ranking.shown_order, *[0] * 6]
    with pytest.raises(ServiceError, match="every completion"):
        services.submit_ranking(ranking, [[shown[place] for place in tier] for tier in places])
    assert not Annotation.objects.exists()


def test_it_refuses_an_answer_of_another_kind(writing, comparing):
    with pytest.raises(ServiceError, match="asks for a demonstration"):
        services.submit_comparison(writing, "tie", "")
    with pytest.raises(ServiceError, match="asks for a comparison"):
        services.submit_ranking(comparing, [comparing.shown_order])


# Late, skipped


def test_it_takes_a_late_answer_whose_place_is_still_there(project, comparing):
    run_out(comparing)
    queue.release_expired()
    annotation = services.submit_comparison(comparing, "left", "better")
    comparing.item.refresh_from_db()
    assert not annotation.surplus
    assert comparing.item.open_slots == 0


def test_it_keeps_a_late_answer_whose_place_was_taken(project, comparing, bea):
    run_out(comparing)
    other = queue.lease_next(bea, project)
    assert services.submit_comparison(comparing, "left", "better").surplus
    assert not services.submit_comparison(other, "right", "better").surplus
    comparing.item.refresh_from_db()
    assert comparing.item.open_slots == 0
    assert comparing.item.annotations.count() == 2


def test_it_takes_an_answer_after_the_lease_if_nobody_noticed(comparing):
    run_out(comparing)
    assert not services.submit_comparison(comparing, "left", "better").surplus


def test_it_gives_a_skipped_item_to_others(project, comparing, bob, bea):
    services.skip(comparing, Assignment.SkipReason.OTHER, "Too sad.")
    assert (comparing.state, comparing.skip_note) == ("skipped", "Too sad.")
    other = queue.lease_next(bea, project)
    assert other is not None
    assert other.item == comparing.item
    assert queue.lease_next(bob, project) is None


def test_it_refuses_an_answer_to_what_was_skipped(comparing):
    services.skip(comparing, Assignment.SkipReason.UNSURE)
    with pytest.raises(ServiceError, match="skipped"):
        services.submit_comparison(comparing, "left", "better")


def test_it_skips_once(comparing):
    services.skip(comparing, Assignment.SkipReason.UNSURE)
    services.skip(comparing, Assignment.SkipReason.OTHER)
    comparing.item.refresh_from_db()
    assert comparing.item.open_slots == 1
    assert comparing.skip_reason == Assignment.SkipReason.UNSURE


def test_it_does_not_skip_what_was_submitted(comparing):
    services.submit_comparison(comparing, "tie", "")
    services.skip(comparing, Assignment.SkipReason.UNSURE)
    comparing.item.refresh_from_db()
    assert comparing.state == Assignment.State.SUBMITTED
    assert comparing.item.open_slots == 0


def test_it_wants_a_reason_for_a_skip(comparing):
    with pytest.raises(ServiceError, match="why"):
        services.skip(comparing, "")


# Prompts and demonstrations


def test_it_adds_a_prompt_once(project, alice):
    rows = [PromptRow.of("A frog."), PromptRow.of("A pond."), PromptRow.of("A frog.")]
    frog, pond = "A frog.", "A pond."
    first = services.import_prompts(project, rows, alice)
    ids = {prompt.text: prompt.pk for prompt in Prompt.objects.all()}
    assert first == services.ImportedPrompts(2, 1, 2, (ids[frog], ids[pond], ids[frog]))
    again = services.import_prompts(project, rows, alice)
    assert again == services.ImportedPrompts(0, 3, 0, first.ids)
    assert Prompt.objects.count() == Item.objects.count() == 2


def test_it_adds_prompts_without_asking_for_demonstrations(project, alice):
    rows = [PromptRow.of("A frog.")]
    services.import_prompts(project, rows, alice, as_demonstrations=False)
    assert not Item.objects.exists()


def test_it_adds_ready_made_demonstrations_once(project, alice):
    rows = [DemonstrationRow.of("A frog.", HAIKU), DemonstrationRow.of("A frog.", "another\nfrog")]
    services.import_prompts(project, [PromptRow.of("A frog.")], alice)
    assert services.add_demonstrations(project, rows, alice) == 2
    assert services.add_demonstrations(project, rows, alice) == 0
    assert Demonstration.objects.count() == 2
    assert not Item.objects.filter(open_slots__gt=0).exists()


# Completions for people


def answers(prompt, *texts, **changes):
    return [Answer(prompt.pk, text, source_name="model", **changes) for text in texts]


def test_it_asks_about_consecutive_pairs(project):
    prompt = make_prompt(project)
    added = services.add_completions(
        project, answers(prompt, *"abcde"), kind="comparison", batch="run-1", overlap=2
    )
    assert added == services.AddedItems(completions=4, items=2, dropped=1)
    shown = [
        set(item.completions.values_list("text", flat=True)) for item in Item.objects.order_by("id")
    ]
    assert shown == [{"a", "b"}, {"c", "d"}]
    assert set(Item.objects.values_list("overlap", "open_slots", "batch")) == {(2, 2, "run-1")}


def test_it_asks_for_one_ranking_a_prompt_without_equal_texts(project):
    prompt = make_prompt(project)
    added = services.add_completions(
        project, answers(prompt, "a", "b", " a\n", "c"), kind="ranking", batch="run-1"
    )
    assert added == services.AddedItems(completions=3, items=1, dropped=1)
    assert Item.objects.get().kind == Kind.RANKING


def test_it_compares_where_only_two_are_left_to_rank(project):
    prompt = make_prompt(project)
    services.add_completions(
        project, answers(prompt, "a", "b", "a", "b"), kind="ranking", batch="run-1"
    )
    assert Item.objects.get().kind == Kind.COMPARISON


def test_it_drops_answers_that_cannot_be_stored_or_compared(project):
    prompt = make_prompt(project)
    texts = ["same", "same ", "nul\x00", "x" * 30_000]
    added = services.add_completions(
        project, answers(prompt, *texts), kind="comparison", batch="run-1"
    )
    assert added == services.AddedItems(completions=0, items=0, dropped=4)
    assert not Completion.objects.exists()


def test_it_adds_the_same_batch_once(project):
    prompt = make_prompt(project)
    for _ in range(2):
        added = services.add_completions(
            project, answers(prompt, "a", "b"), kind="comparison", batch="run-1"
        )
    assert added == services.AddedItems(0, 0, 0)
    assert Item.objects.count() == 1
    services.add_completions(project, answers(prompt, "c", "d"), kind="comparison", batch="run-2")
    assert Item.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "demonstration"}, "compared or ranked"),
        ({"batch": ""}, "Name the batch"),
        ({"overlap": 0}, "overlap from 1"),
        ({"purpose": "evaluation"}, "as many by the child as by the parent"),
    ],
)
def test_it_says_why_it_does_not_add_completions(project, changes, sentence):
    prompt = make_prompt(project)
    values = {"kind": "comparison", "batch": "run-1", **changes}
    with pytest.raises(ServiceError, match=sentence):
        services.add_completions(project, answers(prompt, "a", "b"), **values)


def test_it_refuses_prompts_of_another_project(project, alice):
    other = services.create_project(name="Other", description="", created_by=alice)
    with pytest.raises(ServiceError, match="does not belong"):
        services.add_completions(
            project, answers(make_prompt(other), "a", "b"), kind="comparison", batch="run-1"
        )


# Projects, members, guidelines


def test_it_makes_the_creator_of_a_project_its_owner(alice):
    project = services.create_project(name=" Haiku ", description="", created_by=alice)
    assert project.name == "Haiku"
    assert project.memberships.get().role == Role.OWNER
    with pytest.raises(ServiceError, match="already a project"):
        services.create_project(name="Haiku", description="", created_by=alice)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x00"])
def test_it_refuses_a_project_without_a_usable_name(alice, name):
    with pytest.raises(ServiceError):
        services.create_project(name=name, description="", created_by=alice)


def test_it_keeps_the_last_owner(project, alice, eve):
    owner = project.memberships.get(user=alice)
    for act in (
        services.pause_member,
        services.remove_member,
        lambda membership: services.set_role(membership, Role.ENGINEER),
    ):
        with pytest.raises(ServiceError, match="last owner"):
            act(owner)
    services.set_role(project.memberships.get(user=eve), Role.OWNER)
    services.remove_member(owner)
    assert not project.memberships.filter(user=alice).exists()


def test_it_gives_away_what_a_removed_member_holds(project, comparing, bob):
    services.remove_member(project.memberships.get(user=bob))
    comparing.item.refresh_from_db()
    assert comparing.item.open_slots == 1


def test_it_publishes_a_new_version_and_never_changes_an_old_one(project, alice):
    first = project.guideline_versions.get(kind=Kind.RANKING)
    services.save_guideline_draft(project, Kind.RANKING, "# Draft", alice)
    second = services.publish_guideline(project, Kind.RANKING, "# New", alice)
    assert (second.version, second.html) == (2, "<h1>New</h1>\n")
    assert services.publish_guideline(project, Kind.RANKING, "# Newer", alice).version == 3
    text = first.text
    first.refresh_from_db()
    assert first.text == text
    with pytest.raises(ServiceError, match="empty"):
        services.publish_guideline(project, Kind.RANKING, " ", alice)
