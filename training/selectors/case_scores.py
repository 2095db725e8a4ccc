"""How reward models do on the cases of guidelines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from annotations import exports
from annotations.algorithms.shares import Share, wilson
from training.models import CaseScore, Checkpoint, Run, Stage

if TYPE_CHECKING:
    from annotations.models import Project, User

MOST_COLUMNS = 5
"""Reward models beside each other, the newest first."""
SIDES = {"left": 1, "right": -1}


@dataclass(frozen=True)
class Verdict:
    """What a reward model makes of a case."""

    score: CaseScore | None
    passed: bool | None
    """None without a score, and where a tie or both bad is expected: no score says that."""

    @property
    def gap(self) -> float:
        return self.score.first - self.score.second if self.score else 0.0


@dataclass(frozen=True)
class CaseLine:
    """A case with what each reward model makes of it, in the order of the columns."""

    case: exports.CaseRow
    verdicts: list[Verdict]


@dataclass
class ClauseLine:
    """A clause with its cases and its pass rate for each reward model."""

    slug: str
    title: str
    lines: list[CaseLine] = field(default_factory=list)

    @property
    def rates(self) -> list[Share]:
        """Return, of the cases that each model can decide and has scored, how many it passes."""
        return [
            _rate(list(column))
            for column in zip(*(one.verdicts for one in self.lines), strict=True)
        ]


@dataclass(frozen=True)
class CaseTable:
    """The cases of guidelines beside the reward models of a project."""

    models: list[Checkpoint]
    clauses: list[ClauseLine]
    unscored: list[tuple[Checkpoint, int]]
    """The reward models that have not scored so many of the cases."""
    running: Run | None

    @property
    def conflicts(self) -> list[CaseLine]:
        """Return the cases that the newest reward model decides otherwise."""
        lines = (line for clause in self.clauses for line in clause.lines)
        return [line for line in lines if line.verdicts and line.verdicts[0].passed is False]


def cases_of(project: Project, kind: str, drafted_by: User | None = None) -> list[exports.CaseRow]:
    """Return the cases of the guidelines in force, or of somebody's draft."""
    if drafted_by is not None:
        return exports.draft_cases(project, kind, drafted_by)
    return exports.guideline_cases(project, kind)


def case_table(project: Project, cases: list[exports.CaseRow]) -> CaseTable:
    """Return what the newest reward models make of cases, clause by clause."""
    models = list(
        project.checkpoints.filter(kind=Checkpoint.Kind.REWARD).order_by("-id")[:MOST_COLUMNS]
    )
    digests = {case["digest"] for case in cases}
    found = CaseScore.objects.filter(checkpoint__in=models, digest__in=digests)
    scores = {(score.checkpoint_id, score.digest): score for score in found}
    clauses: dict[str, ClauseLine] = {}
    for case in cases:
        clause = clauses.setdefault(case["clause"], ClauseLine(case["clause"], case["title"]))
        verdicts = [_verdict(case, scores.get((one.pk, case["digest"]))) for one in models]
        clause.lines.append(CaseLine(case, verdicts))
    missing = ((one, sum((one.pk, digest) not in scores for digest in digests)) for one in models)
    running = Run.objects.filter(
        project=project, stage=Stage.REPLAY, state__in=[Run.State.QUEUED, Run.State.RUNNING]
    )
    return CaseTable(
        models,
        list(clauses.values()),
        [(one, count) for one, count in missing if count],
        running.order_by("-id").first(),
    )


def _verdict(case: exports.CaseRow, score: CaseScore | None) -> Verdict:
    side = SIDES.get(case["expected"])
    if score is None or side is None:
        return Verdict(score, None)
    return Verdict(score, (score.first - score.second) * side > 0)


def _rate(verdicts: list[Verdict]) -> Share:
    judged = [verdict.passed for verdict in verdicts if verdict.passed is not None]
    return wilson(sum(judged), len(judged))
