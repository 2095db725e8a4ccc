"""What scorers elsewhere say, beside what people say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, F, OuterRef, Q, Subquery

from annotations.algorithms.shares import Share, wilson
from annotations.models import Comparison, CompletionScore, Item, Project, counted

CHUNK = 2_000
COLUMNS = ("completion_id", "prompt_id", "checkpoint_id", "model", "scorer", "score")


@dataclass(frozen=True)
class ScoredModel:
    """What one scorer gave the completions of one model."""

    checkpoint_id: int | None
    model: str
    mean: float
    n: int


@dataclass(frozen=True)
class Scorer:
    """A scorer, what it gave, and how often it agrees with people."""

    name: str
    n: int
    models: list[ScoredModel]
    """The highest mean first."""
    agreement: Share
    """Of comparisons with a better side in which it scored the two differently: how often the
    better one has more."""


def scorers(project: Project) -> list[Scorer]:
    """Return the scorers of a project by name."""
    scores = CompletionScore.objects.filter(project=project)
    rows = scores.values(
        "scorer",
        "completion__checkpoint_id",
        "completion__checkpoint__name",
        "completion__source_name",
        "completion__origin",
    ).annotate(mean=Avg("score"), n=Count("id"))
    models: dict[str, list[ScoredModel]] = {}
    for row in rows.order_by("scorer", "-mean"):
        model = row["completion__checkpoint__name"] or row["completion__source_name"]
        line = ScoredModel(
            checkpoint_id=row["completion__checkpoint_id"],
            model=model or f"({row['completion__origin']})",
            mean=row["mean"],
            n=row["n"],
        )
        models.setdefault(row["scorer"], []).append(line)
    return [
        Scorer(name, sum(one.n for one in found), found, _agreement(project, name))
        for name, found in models.items()
    ]


def score_rows(project: Project) -> Iterator[dict[str, Any]]:
    """Yield every score of a project, a few thousand at a time."""
    scores = CompletionScore.objects.filter(project=project).order_by("id")
    for completion, prompt, checkpoint, name, source, scorer, score in scores.values_list(
        "completion_id",
        "completion__prompt_id",
        "completion__checkpoint_id",
        "completion__checkpoint__name",
        "completion__source_name",
        "scorer",
        "score",
    ).iterator(chunk_size=CHUNK):
        values = (completion, prompt, checkpoint, name or source, scorer, score)
        yield dict(zip(COLUMNS, values, strict=True))


def _agreement(project: Project, scorer: str) -> Share:
    """Return how often a scorer prefers what people prefer, of the votes that count."""
    scores = CompletionScore.objects.filter(scorer=scorer)

    def of(side: str) -> Subquery:
        return Subquery(scores.filter(completion=OuterRef(side)).values("score")[:1])

    votes = (
        Comparison.objects.filter(
            counted("annotation__", project.pk),
            annotation__item__project=project,
            outcome__in=[Comparison.Outcome.LEFT, Comparison.Outcome.RIGHT],
        )
        .exclude(annotation__item__purpose__in=Item.ASIDE)
        .filter(left__scores__scorer=scorer, right__scores__scorer=scorer)
        .annotate(of_left=of("left"), of_right=of("right"))
    )
    more_left, more_right = Q(of_left__gt=F("of_right")), Q(of_left__lt=F("of_right"))
    agrees = Q(more_left, outcome="left") | Q(more_right, outcome="right")
    found = votes.aggregate(
        n=Count("pk", filter=more_left | more_right), agreeing=Count("pk", filter=agrees)
    )
    return wilson(found["agreeing"], found["n"])
