"""What votes come to on the board: read, kept, marked, rated."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.cache import cache

from annotations import exports, kept
from annotations import services as collecting
from annotations.algorithms.battles import Battles
from annotations.algorithms.bradley_terry import fit
from annotations.models import ConversationChoice, Project, Retraction, User
from annotations.tests.algorithms.test_agreement import shared_data
from annotations.tests.algorithms.test_bradley_terry import ALMOST_NONE, TWELVE
from annotations.tests.factories import (
    make_annotation,
    make_comparison,
    make_completion,
    make_item,
    make_prompt,
    make_ranking,
)
from training import selectors, tasks
from training.models import Checkpoint, Promotion
from training.selectors import board as board_module
from training.selectors.board import battles_of
from training.selectors.board_upkeep import keep_up_board
from training.selectors.vote_log import KEPT_BACK, VOTES, vote_log
from training.tests.battles import cast_votes, make_players

Wish = selectors.Wish


@pytest.fixture
def players(project: Project) -> list[Checkpoint]:
    return make_players(project, "m1", "m2", "m3")


@pytest.fixture
def twelve(project: Project, players: list[Checkpoint], bob: User) -> list[Checkpoint]:
    """Return the three checkpoints of the twelve battles that others were run on."""
    ids = {one.name: one.pk for one in players}
    cast_votes(project, [(ids[left], ids[right], won, bob) for left, right, won in TWELVE])
    return players


def board(project: Project, **wish: Any) -> selectors.Board:
    return selectors.leaderboard(project, Wish(**wish))


def lines(board: selectors.Board) -> dict[int, selectors.Line]:
    return {line.checkpoint_id: line for line in board.lines}


def test_it_gives_the_published_figures_of_twelve_battles_from_the_database(
    project: Project, twelve: list[Checkpoint]
) -> None:
    found = fit(battles_of(vote_log(project).rows), ridge=ALMOST_NONE)
    assert found.battles.models == tuple(one.pk for one in twelve)
    assert found.ratings() == pytest.approx([1096.394, 979.192, 924.414], abs=2e-3)
    published = [[929.1, 1263.7], [846.1, 1112.3], [751.0, 1097.8]]
    np.testing.assert_allclose(found.intervals(), published, atol=0.06)
    elo = [lines(board(project))[one.pk].elo for one in twelve]
    assert elo == pytest.approx([1005.7765, 998.2235, 996.0], abs=1e-4)


def test_it_rates_the_crowd_of_a_study_as_the_algorithms_do_alone(
    project: Project, bob: User
) -> None:
    with shared_data("llmfao/crowd-comparisons.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["left"], row["right"], row["winner"]) for row in csv.DictReader(file)][:400]
    names = sorted({name for left, right, _ in rows for name in (left, right)})
    ids = {one.name: one.pk for one in make_players(project, *names)}
    cast_votes(project, [(ids[left], ids[right], won, bob) for left, right, won in rows])
    expected = fit(Battles.of(rows)).ratings(), fit(Battles.of(rows)).battles.models
    found = lines(board(project, anchor=0))
    assert len(found) == len(names)
    for rating, name in zip(*expected, strict=True):
        assert found[ids[name]].rating == pytest.approx(rating)


def test_it_counts_wins_ties_losses_both_bads_and_people(
    project: Project, players: list[Checkpoint], bob: User, bea: User
) -> None:
    a, b, _ = (one.pk for one in players)
    said = [(a, b, "left", bob), (b, a, "right", bea), (b, a, "left", bea), (a, b, "tie", bob)]
    cast_votes(project, [*said, (a, b, "both_bad", bob)])
    found = board(project)
    one = lines(found)[a]
    assert (one.wins, one.ties, one.losses, one.both_bad, one.people) == (2, 1, 1, 1, 2)
    assert (found.votes, found.counted, found.both_bad, found.people) == (5, 4, 1, 2)
    assert found.won.tolist() == [[0, 2.5], [1.5, 0]]


def test_it_reads_every_kind_of_vote_between_two_checkpoints(
    project: Project, players: list[Checkpoint], bob: User
) -> None:
    a, b, c = players
    prompt = make_prompt(project)
    by = {one: make_completion(prompt, one.name, checkpoint=one) for one in players}
    second_of_a = make_completion(prompt, "m1 again", checkpoint=a)
    person = make_completion(prompt, "mine", author=bob)
    compared = make_item(project, prompt=prompt, completions=[by[a], by[b]])
    make_comparison(compared, bob, "right")
    make_comparison(make_item(project, prompt=prompt, completions=[by[a], second_of_a]), bob)
    make_comparison(make_item(project, prompt=prompt, completions=[by[a], person]), bob)
    four = [by[a], second_of_a, by[b], by[c]]
    ranked = make_item(project, "ranking", prompt=prompt, completions=four)
    make_ranking(ranked, bob, [[by[c].pk], [by[a].pk, by[b].pk], [second_of_a.pk]])
    talk = make_annotation(make_item(project, "conversation"), bob)
    conversation = talk.conversation = _ended(talk)
    ConversationChoice.objects.create(
        conversation=conversation,
        position=0,
        prompt=prompt,
        left=by[b],
        right=by[c],
        outcome="both_bad",
    )
    read = [
        (row["kind"], row["left_checkpoint_id"], row["right_checkpoint_id"], row["outcome"])
        for row in exports.votes(project.pk)
    ]
    assert read == [
        ("comparison", a.pk, b.pk, "right"),
        ("ranking", c.pk, a.pk, "left"),
        ("ranking", c.pk, b.pk, "left"),
        ("ranking", c.pk, a.pk, "left"),
        ("ranking", a.pk, b.pk, "tie"),
        ("ranking", b.pk, a.pk, "left"),
        ("conversation", b.pk, c.pk, "both_bad"),
    ]
    assert [row["left_text"] for row in exports.votes(project.pk)][:2] == ["m1", "m3"]
    assert battles_of(vote_log(project).rows).cluster is not None  # a ranking is one cluster


def _ended(annotation: Any) -> Any:
    from annotations.models import Conversation

    return Conversation.objects.create(annotation=annotation)


def test_it_forgets_what_was_taken_back_or_corrected(
    project: Project, twelve: list[Checkpoint], bob: User
) -> None:
    a, b, _ = (one.pk for one in twelve)
    first, second = cast_votes(project, [(a, b, "left", bob), (a, b, "left", bob)])
    assert board(project).counted == 14
    Retraction.objects.create(annotation=first)
    assert board(project).counted == 13
    wins = lines(board(project))[a].wins
    item = second.item
    left, right = second.comparison.left, second.comparison.right
    item.completions.set([left, right])
    make_comparison(item, bob, "right", supersedes=second)
    found = board(project)
    assert (found.counted, lines(found)[a].wins) == (13, wins - 1)


def test_it_reads_only_what_is_new_and_comes_to_the_same(
    project: Project, twelve: list[Checkpoint], bob: User, bea: User, monkeypatch: Any
) -> None:
    a, b, c = (one.pk for one in twelve)
    vote_log(project)
    asked: list[int] = []
    votes = exports.votes

    def counted(project_id: int, *, after: int = 0) -> Any:
        asked.append(after)
        return votes(project_id, after=after)

    newest = exports.vote_counts(project.pk).newest
    monkeypatch.setattr(exports, "votes", counted)
    cast_votes(project, [(a, b, "left", bea), (c, b, "tie", bob)])
    continued = vote_log(project)
    cache.clear()
    whole = vote_log(project)
    assert asked == [newest, 0]
    assert continued.rows.tobytes() == whole.rows.tobytes()
    assert continued.voters == whole.voters == (f"annotator-{bob.pk}", f"annotator-{bea.pk}")
    assert KEPT_BACK > 2  # nothing was written back in between


def test_it_reads_everything_again_where_a_vote_came_late(
    project: Project, twelve: list[Checkpoint], bob: User
) -> None:
    a, b, _ = (one.pk for one in twelve)
    late, newest = cast_votes(project, [(a, b, "left", bob), (a, b, "left", bob)])
    comparison = late.comparison
    sides = {"left": comparison.left, "right": comparison.right, "outcome": "left"}
    number, item = late.pk, late.item
    comparison.delete()
    late.delete()
    assert board(project).counted == 13
    type(comparison).objects.create(
        annotation=make_annotation(item, bob, id=number), **sides
    )  # as a slow transaction shows its row after one with a higher number
    assert newest.pk > number
    assert board(project).counted == 14


def test_it_marks_outliers_gold_and_answers_that_say_who_wrote_them(
    project: Project, players: list[Checkpoint], bob: User, bea: User, ben: User
) -> None:
    a, b, _ = (one.pk for one in players)
    cast_votes(project, [(a, b, "left", bob)] * 30 + [(b, a, "right", bea)] * 30)
    assert not board(project).marked
    cast_votes(project, [(b, a, "left", ben)] * 6)
    cast_votes(project, [(b, a, "left", bob)], purpose="gold")
    cast_votes(project, [(b, a, "left", bob)], texts=("I am m1, from OpenAI", "a frog"))
    found = board(project)
    assert (found.votes, found.marked, found.counted) == (68, 8, 60)
    assert [count for _, count in found.reasons] == [6, 1, 1]
    outlier = found.voters[0]
    assert (outlier.pseudonym, outlier.report.agreement) == (f"annotator-{ben.pk}", 0.0)
    assert "20 to 1" in outlier.reason
    assert lines(found)[b].wins == 0
    with_them = board(project, with_marked=True)
    assert (with_them.counted, lines(with_them)[b].wins, with_them.marked) == (68, 8, 8)


def test_it_marks_names_however_they_are_spaced_and_in_the_midst_of_others(
    project: Project, players: list[Checkpoint], bob: User
) -> None:
    a, b, _ = players
    Checkpoint.objects.filter(pk=a.pk).update(name="Granite Large 2")
    for text in (
        "a frog",
        "GRANITE\nlarge  2 greets you",
        "granite is a stone",
        "mistral  ai made it",
    ):
        cast_votes(project, [(a.pk, b.pk, "left", bob)], texts=(text, "a pond"))
    assert vote_log(project).rows["named"].tolist() == [False, True, False, True]


def test_it_keeps_no_board_of_a_tag_that_no_prompt_has(
    project: Project, twelve: list[Checkpoint]
) -> None:
    wishes = Wish(), Wish(tag="whatever somebody types")
    found = [selectors.leaderboard(project, wish).votes for wish in wishes]
    assert found == [12, 0]
    assert [kept.is_kept(project, board_module._name(wish)) for wish in wishes] == [True, False]


def test_it_counts_votes_of_the_arena_unless_something_speaks_against_them(
    project: Project, players: list[Checkpoint], bob: User
) -> None:
    sides = players[0].pk, players[1].pk

    def fight(question: str, left: str, right: str) -> None:
        messages = collecting.question_to_ask(project, bob, question, daily_limit=50)
        battle = collecting.open_battle(project, bob, messages, sides, daily_limit=50)
        written = collecting.Written(left), collecting.Written(right)
        battle = collecting.answer_battle(battle, *written, names=["m1", "m2"])
        collecting.vote(battle, "left")

    fight("A haiku, please.", "one frog", "two frogs")
    fight("Who made you?", "somebody", "nobody")
    fight("A limerick, please.", "I am Claude", "two frogs")
    fight("A tanka, please.", "one frog", "")
    found = board(project)
    assert (found.votes, found.counted) == (4, 1)
    assert [count for _, count in found.reasons] == [2, 1]
    assert lines(board(project, with_marked=True))[sides[0]].wins == 4


def test_it_takes_out_what_length_wins(
    project: Project, players: list[Checkpoint], bob: User
) -> None:
    a, b, _ = (one.pk for one in players)
    long = "a frog " * 20
    cast_votes(project, [(a, b, "left", bob)] * 25, texts=(long, "frog"))
    cast_votes(project, [(a, b, "right", bob)] * 15, texts=("frog", long))
    cast_votes(project, [(a, b, "left", bob)] * 5, texts=("frog", "frog"))
    cast_votes(project, [(a, b, "right", bob)] * 5, texts=("frog", "frog"))
    plain, controlled = board(project), board(project, style=True)
    (length, worth), (_lists, nothing) = controlled.styles
    assert length == "length"
    assert worth.low > 0
    assert nothing.points == 0
    gap = [one.lines[0].rating - one.lines[-1].rating for one in (plain, controlled)]
    assert gap[1] < gap[0]
    assert not plain.styles


def test_it_anchors_the_base_then_the_first_promoted_then_the_average(
    project: Project, twelve: list[Checkpoint], alice: User
) -> None:
    a, b, _ = twelve
    assert board(project).wish.anchor == 0
    Promotion.objects.create(project=project, checkpoint=b, promoted_by=alice, reason="First.")
    assert lines(board(project))[b.pk].rating == pytest.approx(1000)
    Checkpoint.objects.filter(id=a.pk).update(kind="base")
    assert lines(board(project))[a.pk].rating == pytest.approx(1000)
    assert sum(line.rating for line in board(project, anchor=0).lines) == pytest.approx(3000)
    assert board(project, anchor=10**30).wish.anchor == a.pk


def test_it_shows_the_votes_on_prompts_with_a_tag(
    project: Project, twelve: list[Checkpoint], bob: User
) -> None:
    a, b, _ = (one.pk for one in twelve)
    cast_votes(project, [(a, b, "left", bob)] * 3, tags=("frogs", "ponds"))
    assert board(project, tag="frogs").counted == 3
    assert board(project, tag="ponds").counted == 3
    cast_votes(project, [(a, b, "left", bob)], tags=("fr", "gräser"))
    assert board(project, tag="gräser").counted == board(project, tag="fr").counted == 1
    assert exports.tags(project.pk) == ["fr", "frogs", "gräser", "ponds"]
    assert board(project, tag="no such tag").lines == []


def test_it_holds_a_separated_checkpoint_and_says_so(
    project: Project, players: list[Checkpoint], bob: User
) -> None:
    a, b, _ = (one.pk for one in players)
    cast_votes(project, [(a, b, "left", bob)] * 5)
    found = board(project, anchor=0, more=True)
    assert [round(line.rating, 1) for line in found.lines] == [1184.8, 815.2]
    assert all(line.is_held_by_prior for line in found.lines)
    assert "Newman" in found.refused[0]
    assert "PageRank" in found.lines[0].ladders


def test_it_tells_islands_apart(project: Project, bob: User) -> None:
    a, b, c, d = (one.pk for one in make_players(project, "a", "b", "c", "d"))
    cast_votes(project, [(a, b, "left", bob), (c, d, "left", bob)])
    assert board(project).islands == [(a, b), (c, d)]
    assert [one.checkpoint.pk for one in selectors.win_rate_against_first(project)] == [a, b]


def test_it_gives_the_bootstrap_twice_the_same_and_refuses_what_takes_too_long(
    project: Project, twelve: list[Checkpoint], monkeypatch: Any
) -> None:
    first = board(project, bootstrap=True, anchor=twelve[0].pk)
    cache.clear()
    again = board(project, bootstrap=True, anchor=twelve[0].pk)
    assert [one.bootstrap for one in first.lines] == [one.bootstrap for one in again.lines]
    assert all(one.bootstrap and one.bootstrap[0] < one.bootstrap[1] for one in first.lines)
    cache.clear()
    monkeypatch.setattr("training.selectors.board.MOST_RESAMPLED", 1)
    refused = board(project, bootstrap=True)
    assert refused.lines[0].bootstrap is None
    assert "Choose a tag" in refused.refused[0]


def test_it_asks_about_new_checkpoints_and_only_those_that_can_meet(
    project: Project, twelve: list[Checkpoint]
) -> None:
    base = Checkpoint.objects.create(project=project, name="base", kind="base", path="/base")
    Checkpoint.objects.filter(id__in=[one.pk for one in twelve]).update(parent=base)
    make_players(project, "stranger")
    new = Checkpoint.objects.create(
        project=project, name="new", kind="policy", path="new", parent=base
    )
    Checkpoint.objects.create(project=project, name="judge", kind="reward", path="j", parent=base)
    matches = board(project).matches
    assert {matches[0].first, matches[0].second} == {base.pk, new.pk}
    can_meet = {base.pk, new.pk, *(one.pk for one in twelve)}
    assert all({one.first, one.second} <= can_meet for one in matches)
    assert [one.gain for one in matches] == sorted((one.gain for one in matches), reverse=True)


def test_it_gives_the_win_rate_against_the_first_checkpoint(
    project: Project, twelve: list[Checkpoint], alice: User
) -> None:
    a, b, c = twelve
    Promotion.objects.create(project=project, checkpoint=b, promoted_by=alice, reason="First.")
    found = {one.checkpoint: one for one in selectors.win_rate_against_first(project)}
    ratings = lines(board(project))
    expected = 1 / (1 + 10 ** ((ratings[b.pk].rating - ratings[a.pk].rating) / 400))
    assert found[a].rate == pytest.approx(expected)
    assert found[a].low < found[a].rate < found[a].high
    assert (found[b].rate, found[b].low, found[b].high) == (0.5, 0.5, 0.5)
    assert found[c].n == 7
    assert json.dumps([one[1:] for one in found.values()])


def test_it_has_no_win_rate_before_the_first_vote(project: Project) -> None:
    assert selectors.win_rate_against_first(project) == []


def test_it_goes_on_without_what_was_kept(
    project: Project, twelve: list[Checkpoint], settings: Any
) -> None:
    folder = Path(settings.CACHES["default"]["LOCATION"])
    whole = board(project)
    for file in folder.iterdir():
        file.write_bytes(pickle.dumps(2**40) + b"no archive")
    assert board(project).lines == whole.lines
    cache.clear()
    folder.rmdir()
    folder.write_text("A file where the folder should be.")
    assert board(project).lines == whole.lines
    folder.unlink()


def test_a_board_is_reckoned_before_somebody_looks(
    project: Project, twelve: list[Checkpoint], bob: User, monkeypatch: Any
) -> None:
    assert not keep_up_board(project), "so few votes are read in no time"
    monkeypatch.setattr(board_module, "SLOW_FROM", 12)
    tasks.keep_up_boards()
    assert not keep_up_board(project), "nothing has changed since"
    cast_votes(project, [(twelve[0].pk, twelve[1].pk, "left", bob)])
    assert keep_up_board(project)
    reckoned: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(board_module, "_reckoned", lambda *of: reckoned.append(of))
        assert board(project).counted == 13
    assert not reckoned
    cache.delete(kept._key(project, VOTES))
    assert keep_up_board(project), "what was lost is read again before somebody looks"


def test_one_board_is_kept_for_each_wish_however_many_votes_come(
    project: Project, twelve: list[Checkpoint], bob: User, settings: Any
) -> None:
    cache.clear()
    for _ in range(3):
        cast_votes(project, [(twelve[0].pk, twelve[1].pk, "left", bob)])
        assert board(project).counted == board(project, more=True).counted
    files = list(Path(settings.CACHES["default"]["LOCATION"]).iterdir())
    assert len(files) == 3  # the votes, and two boards
