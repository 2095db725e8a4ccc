"""Battles as they stand: what was voted, and how many were asked."""

from __future__ import annotations

from annotations.models import Battle, Comparison, Completion, Project, User, in_force
from annotations.selectors.queue import midnight


def vote_of(battle: Battle) -> Comparison | None:
    """Return the vote that is in force, if there is one."""
    if battle.assignment_id is None:
        return None
    votes = Comparison.objects.filter(
        in_force("annotation__"), annotation__assignment=battle.assignment_id
    )
    return votes.select_related("annotation").first()


def liked_answer(battle: Battle) -> Completion | None:
    """Return the answer that a conversation goes on with: the better one, after a tie A."""
    vote = vote_of(battle)
    if vote is None or vote.outcome == Comparison.Outcome.BOTH_BAD:
        return None
    return battle.right if vote.outcome == Comparison.Outcome.RIGHT else battle.left


def asked_today(user: User, project: Project) -> int:
    """Return how many questions a person has asked in a project's arena today."""
    return Battle.objects.filter(voter=user, project=project, asked_at__gte=midnight()).count()
