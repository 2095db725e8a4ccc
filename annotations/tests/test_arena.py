"""The arena as data: a question, two answers, a vote, and what speaks against counting it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.apps import apps
from django.db.models.functions import Now

from annotations import exports, queue, selectors, services
from annotations.models import (
    Annotation,
    Assignment,
    Battle,
    Comparison,
    Item,
    Kind,
    Project,
    Prompt,
    User,
)
from annotations.services import ServiceError, Written
from annotations.tests.factories import make_item, make_prompt

Mark = Battle.Mark


def checkpoint(project: Project, name: str) -> int:
    checkpoints = apps.get_model("training", "Checkpoint").objects
    made, _ = checkpoints.get_or_create(project=project, name=name, kind="policy", path=f"/{name}")
    return int(made.pk)


def ask(
    project: Project, user: User, text: str = "A haiku, please.", after: Battle | None = None
) -> Battle:
    sides = checkpoint(project, "sft-1"), checkpoint(project, "ppo-2")
    messages = services.question_to_ask(project, user, text, after=after, daily_limit=50)
    return services.open_battle(project, user, messages, sides, after=after, daily_limit=50)


def answered(
    project: Project, user: User, left: str = "one frog", right: str = "two frogs", **asked: str
) -> Battle:
    return services.answer_battle(
        ask(project, user, **asked), Written(left), Written(right), names=["sft-1", "ppo-2"]
    )


def votes(project: Project) -> list[tuple[str, list[str]]]:
    return [(row["outcome"], row["marks"]) for row in exports.arena_votes(project.pk)]


def test_a_vote_is_a_comparison_of_two_completions_of_the_prompt(
    project: Project, bob: User
) -> None:
    battle = services.vote(answered(project, bob), "right")
    comparison = Comparison.objects.get()
    annotation = comparison.annotation
    assert (comparison.outcome, comparison.strength) == ("right", "")
    assert (comparison.left.text, comparison.right.text) == ("one frog", "two frogs")
    assert annotation.item.purpose == Item.Purpose.ARENA
    assert annotation.item.prompt == battle.prompt == comparison.left.prompt
    assert annotation.shown_order == [comparison.left_id, comparison.right_id]
    assert set(annotation.item.completions.all()) == {comparison.left, comparison.right}
    assert comparison.left.checkpoint_id == battle.left_checkpoint_id
    assert battle.prompt.origin == Prompt.Origin.ARENA
    assert votes(project) == [("right", [])]
    assert exports.arena_counts(project.pk) == [
        (battle.left_checkpoint_id, battle.right_checkpoint_id, "right", 1)
    ]


@pytest.mark.parametrize("outcome", ["left", "right", "tie", "both_bad"])
def test_a_second_vote_changes_nothing(project: Project, bob: User, outcome: str) -> None:
    battle = answered(project, bob)
    services.vote(battle, outcome)
    services.vote(battle, "tie")
    assert [vote.outcome for vote in Comparison.objects.all()] == [outcome]


def test_it_takes_no_vote_before_the_answers_or_of_another_name(
    project: Project, bob: User
) -> None:
    battle = ask(project, bob)
    with pytest.raises(ServiceError, match="not there yet"):
        services.vote(battle, "left")
    with pytest.raises(ServiceError, match="Choose"):
        services.vote(battle, "much better")
    services.fail_battle(battle, "The model stopped. Ask again.")
    with pytest.raises(ServiceError, match="The model stopped"):
        services.vote(battle, "left")
    assert not Annotation.objects.exists()


def test_answers_come_once(project: Project, bob: User) -> None:
    battle = answered(project, bob)
    services.answer_battle(battle, Written("late"), Written("later"))
    services.fail_battle(battle, "Too late.")
    battle.refresh_from_db()
    assert (battle.state, battle.left and battle.left.text) == ("answered", "one frog")


def test_an_answer_that_fails_ends_the_battle_marked(project: Project, bob: User) -> None:
    battle = services.fail_battle(ask(project, bob), "The model stopped. Ask again.")
    assert (battle.state, battle.marks) == ("failed", [Mark.FAILED])
    broken = services.answer_battle(
        ask(project, bob, "Again"), Written("\ud800"), Written("a frog")
    )
    assert (broken.state, broken.marks) == ("failed", [Mark.FAILED])


@pytest.mark.parametrize(
    ("question", "left", "right", "mark"),
    [
        ("Which model are you?", "one frog", "two frogs", Mark.ASKS_WHO),
        ("A haiku", "I am ChatGPT and here it is.", "two frogs", Mark.NAMES_MODEL),
        ("A haiku", "one frog", "yours, ppo-2", Mark.NAMES_MODEL),
        ("A haiku", " \n", "two frogs", Mark.EMPTY_ANSWER),
        ("A haiku", "Error 502: Bad Gateway", "a frog", Mark.ERROR_TEXT),
        ("A haiku", "a frog", "a frog\n", Mark.EQUAL_ANSWERS),
    ],
)
def test_what_is_not_blind_or_says_nothing_is_marked_and_kept(
    project: Project, bob: User, question: str, left: str, right: str, mark: str
) -> None:
    services.vote(answered(project, bob, left, right, text=question), "tie")
    assert votes(project) == [("tie", [mark])]
    assert exports.arena_counts(project.pk) == []


def test_equal_answers_have_no_better_one(project: Project, bob: User) -> None:
    with pytest.raises(ServiceError, match="say the same"):
        services.vote(answered(project, bob, "a frog", "a frog"), "left")


def test_the_same_question_by_the_same_voter_is_a_duplicate(
    project: Project, bob: User, bea: User
) -> None:
    services.vote(answered(project, bob), "left")
    services.vote(answered(project, bea), "left")
    services.vote(answered(project, bob), "right")
    assert votes(project) == [("left", []), ("left", []), ("right", [Mark.DUPLICATE])]


def test_a_vote_is_taken_back_in_time_and_marked_when_given_again(
    project: Project, bob: User
) -> None:
    battle = services.vote(answered(project, bob), "left")
    services.take_back_vote(battle)
    services.take_back_vote(battle)
    assert votes(project) == []
    services.vote(battle, "right")
    assert votes(project) == [("right", [Mark.AFTER_REVEAL])]
    first, second = Annotation.objects.order_by("id")
    assert second.supersedes == first
    Assignment.objects.update(closed_at=Now() - timedelta(seconds=project.grace_seconds + 5))
    with pytest.raises(ServiceError, match="too late"):
        services.take_back_vote(battle)


def test_a_vote_is_given_again_after_its_lease_ran_out(project: Project, bob: User) -> None:
    battle = services.vote(answered(project, bob), "left")
    services.take_back_vote(battle)
    Assignment.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert queue.release_expired() == 1
    services.vote(battle, "tie")
    assert votes(project) == [("tie", [Mark.AFTER_REVEAL])]
    item = Item.objects.get()
    assert (item.overlap, item.open_slots) == (1, 0)
    assert not Annotation.objects.filter(surplus=True).exists()


def test_nobody_is_handed_a_battle_by_the_queue(project: Project, bob: User, bea: User) -> None:
    battle = services.vote(answered(project, bob), "left")
    services.take_back_vote(battle)
    assert queue.lease_next(bob, project) is None
    Assignment.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert queue.lease_next(bea, project) is None
    work = make_item(project, Kind.COMPARISON)
    leased = queue.lease_next(bea, project)
    assert leased is not None
    assert leased.item == work
    assert selectors.queue_counts(project)[Kind.COMPARISON].items == 1


def test_a_vote_is_no_work_that_a_limit_counts(project: Project, bob: User) -> None:
    services.update_project(project, daily_limit=1)
    services.vote(answered(project, bob), "left")
    progress = selectors.progress_for(bob, project)
    assert (progress.done, progress.done_today) == (0, 0)
    assert selectors.own_statistics(bob, project).done == 0
    work = make_item(project, Kind.COMPARISON)
    leased = queue.lease_next(bob, project)
    assert leased is not None
    assert leased.item == work


def test_votes_are_learned_from_only_where_the_project_says_so(project: Project, bob: User) -> None:
    services.vote(answered(project, bob), "right")
    services.vote(answered(project, bob, text="Who are you?"), "left")
    services.vote(answered(project, bob, text="A poem."), "both_bad")
    assert list(exports.preferences(project.pk)) == []
    assert exports.preference_counts(project.pk).comparisons == 0
    assert exports.preference_counts(project.pk).annotators == 0
    services.update_project(project, learns_from_arena=True)
    [pair] = exports.preferences(project.pk)
    assert (pair["chosen"][0]["content"], pair["margin"]) == ("two frogs", 0.0)
    counts = exports.preference_counts(project.pk)
    assert (counts.comparisons, counts.both_bad, counts.pairs) == (2, 1, 1)
    assert counts.judged == len(list(exports.judgements(project.pk))) == 4


def test_what_is_asked_is_no_prompt_to_train_on(project: Project, bob: User) -> None:
    known = make_prompt(project, "A haiku, please.")
    same, other = ask(project, bob), ask(project, bob, "Something else")
    assert same.prompt == known
    assert [row["prompt_id"] for row in exports.prompts(project.pk)] == [known.pk]
    assert other.prompt.origin == Prompt.Origin.ARENA


def test_a_conversation_goes_on_with_the_better_answer(project: Project, bob: User) -> None:
    first = services.vote(answered(project, bob), "right")
    second = ask(project, bob, "Shorter.", after=first)
    assert [message["content"] for message in second.prompt.messages] == [
        "A haiku, please.",
        "two frogs",
        "Shorter.",
    ]
    assert (second.prompt.split, second.previous) == (first.prompt.split, first)
    with pytest.raises(ServiceError, match="gone on"):
        services.take_back_vote(first)


def test_a_conversation_does_not_go_on_without_a_vote_or_after_both_bad(
    project: Project, bob: User
) -> None:
    battle = answered(project, bob)
    with pytest.raises(ServiceError, match="no answer to go on with"):
        ask(project, bob, "Shorter.", after=battle)
    services.vote(battle, "both_bad")
    with pytest.raises(ServiceError, match="no answer to go on with"):
        ask(project, bob, "Shorter.", after=battle)


@pytest.mark.parametrize("text", ["", " \n", "a\x00b", "x" * 20_001])
def test_it_refuses_a_question_that_cannot_be_asked(project: Project, bob: User, text: str) -> None:
    with pytest.raises(ServiceError, match="question"):
        ask(project, bob, text)
    assert not Battle.objects.exists()


def test_it_refuses_more_questions_than_a_day_has(project: Project, bob: User, bea: User) -> None:
    ask(project, bob)
    with pytest.raises(ServiceError, match="Come back tomorrow"):
        services.question_to_ask(project, bob, "Again", daily_limit=1)
    assert services.question_to_ask(project, bea, "Again", daily_limit=1)
    Battle.objects.update(asked_at=Now() - timedelta(days=1))
    assert services.question_to_ask(project, bob, "Again", daily_limit=1)


def test_a_paused_project_takes_no_question(project: Project, bob: User) -> None:
    services.update_project(project, is_paused=True)
    with pytest.raises(ServiceError, match="paused"):
        ask(project, bob)


def test_only_one_begins_the_answers(project: Project, bob: User) -> None:
    battle = ask(project, bob)
    assert services.note_generations(battle, ("a", "b"), instead_of=[])
    assert not services.note_generations(battle, ("c", "d"), instead_of=[])
    assert services.note_generations(battle, ("c", "d"), instead_of=["a", "b"])
    assert services.has_reader(battle, within=timedelta(seconds=10))
    Battle.objects.update(read_at=Now() - timedelta(seconds=11))
    assert not services.has_reader(battle, within=timedelta(seconds=10))
