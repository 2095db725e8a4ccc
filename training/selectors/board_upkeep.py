"""Boards that are reckoned before somebody looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from annotations import exports
from annotations.kept import is_kept, keep, recall
from training.models import Checkpoint
from training.selectors import board
from training.selectors.board import Wish, leaderboard
from training.selectors.vote_log import VOTES

if TYPE_CHECKING:
    from annotations.models import Project

KEPT_UP = "kept-up"


def keep_up_boards() -> None:
    """Read the votes that came since, and reckon the board that most people look at, everywhere."""
    answering = Checkpoint.objects.exclude(kind=Checkpoint.Kind.REWARD).select_related("project")
    for project in {checkpoint.project for checkpoint in answering}:
        keep_up_board(project)


def keep_up_board(project: Project) -> bool:
    """Return whether there was anything to do for a project's board, after doing it."""
    counts = exports.vote_counts(project.pk)
    is_there = is_kept(project, VOTES) and recall(project, KEPT_UP) == counts
    if counts.annotations < board.SLOW_FROM or is_there:
        return False
    leaderboard(project, Wish())
    keep(project, KEPT_UP, counts)
    return True
