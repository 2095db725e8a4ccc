"""Scores of completions from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from django.db import transaction
from django.db.models import Q

from annotations.models import Completion, CompletionScore, Project, User
from annotations.services.rules import CHUNK

if TYPE_CHECKING:
    from annotations.score_files import ScoreRow

T = TypeVar("T")
Key = tuple[int, str]
"""A completion and a scorer."""


@dataclass(frozen=True)
class ImportedScores:
    """What an import of scores did; with bad lines, nothing."""

    created: int = 0
    changed: int = 0
    same: int = 0
    bad: tuple[tuple[int, str], ...] = ()
    """Line and what is wrong with it."""


@transaction.atomic
def import_scores(project: Project, rows: Sequence[ScoreRow], user: User) -> ImportedScores:
    """Keep scores beside their completions, all or none; a newer score of a scorer replaces its.

    The same file twice changes nothing.
    """
    wanted: dict[Key, float] = {}
    bad: list[tuple[int, str]] = []
    for chunk in _chunks(rows):
        found = _completions_of(project, chunk)
        for row in chunk:
            ids = found.get(_name(row), [])
            if len(ids) != 1:
                bad.append((row.line, _which(row, len(ids))))
            elif wanted.setdefault((ids[0], row.scorer), row.score) != row.score:
                bad.append((row.line, f"{row.scorer} gives completion {ids[0]} two scores here."))
    if bad:
        return ImportedScores(bad=tuple(bad))
    return _write(project, wanted, user)


def _write(project: Project, wanted: dict[Key, float], user: User) -> ImportedScores:
    created = changed = 0
    for chunk in _chunks(list(wanted.items())):
        there = CompletionScore.objects.filter(completion__in={key[0] for key, _ in chunk})
        kept = {(one.completion_id, one.scorer): one.score for one in there}
        news = [(key, score) for key, score in chunk if kept.get(key) != score]
        created += sum(key not in kept for key, _ in news)
        changed += sum(key in kept for key, _ in news)
        CompletionScore.objects.bulk_create(
            [
                CompletionScore(
                    project=project,
                    completion_id=completion,
                    scorer=scorer,
                    score=score,
                    created_by=user,
                )
                for (completion, scorer), score in news
            ],
            update_conflicts=True,
            unique_fields=["completion", "scorer"],
            update_fields=["score", "created_by", "updated_at"],
        )
    return ImportedScores(created, changed, len(wanted) - created - changed)


def _completions_of(project: Project, rows: Sequence[ScoreRow]) -> dict[tuple[str, str], list[int]]:
    """Return the completions that rows name, by how they name them."""
    of_project = Completion.objects.filter(prompt__project=project)
    ids = {row.completion_id for row in rows if row.completion_id is not None}
    there = of_project.filter(id__in=ids).values_list("id", flat=True)
    found = {("", str(pk)): [pk] for pk in there}
    prompts = {row.prompt_id for row in rows if row.prompt_id}
    models = {row.model for row in rows if row.model}
    by_whom = Q(source_name__in=models) | Q(checkpoint__name__in=models)
    named = of_project.filter(by_whom, prompt__external_id__in=prompts)
    for pk, prompt, source, checkpoint in named.values_list(
        "id", "prompt__external_id", "source_name", "checkpoint__name"
    ):
        for model in {source, checkpoint} - {"", None}:
            found.setdefault((prompt, model), []).append(pk)
    return found


def _name(row: ScoreRow) -> tuple[str, str]:
    return (row.prompt_id, row.model) if row.completion_id is None else ("", str(row.completion_id))


def _which(row: ScoreRow, count: int) -> str:
    if row.completion_id is not None:
        return f"This project has no completion {row.completion_id}."
    if not count:
        return f"“{row.model}” answered no prompt “{row.prompt_id}” in this project."
    return (
        f"“{row.model}” answered the prompt “{row.prompt_id}” {count} times. Name the completion "
        "by “completion_id”."
    )


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
