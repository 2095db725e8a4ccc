"""Votes that a board had better leave out: they are marked and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.algorithms.voters import VoterReport, voter_reports
from training.selectors.vote_log import VoteLog

VOTE_OF = np.array([1.0, 0.0, 0.5, 0.5])
"""What each of OUTCOMES says for the left side; the test takes both bad for a tie."""


@dataclass(frozen=True)
class Marks:
    """Which votes are marked and why. A vote may have several reasons."""

    gold: NDArray[np.bool_]
    named: NDArray[np.bool_]
    spoilt: NDArray[np.bool_]
    outlier: NDArray[np.bool_]

    @property
    def any(self) -> NDArray[np.bool_]:
        """Return which votes are marked at all."""
        return self.gold | self.named | self.spoilt | self.outlier

    def of(self, chosen: NDArray[np.bool_]) -> Marks:
        """Return the marks of some of the votes."""
        columns = (self.gold, self.named, self.spoilt, self.outlier)
        return Marks(*(column[chosen] for column in columns))

    def reasons(self) -> list[tuple[str, int]]:
        """Return how many votes each reason marks, in words."""
        counted = [
            ("by voters who go against all others", self.outlier),
            ("on an answer that names who wrote it", self.named),
            (
                "in the arena on empty or equal answers, asked twice, or after the names",
                self.spoilt,
            ),
            ("on gold items, whose answer was chosen beforehand", self.gold),
        ]
        return [(words, int(votes.sum())) for words, votes in counted if votes.any()]


@dataclass(frozen=True)
class Voter:
    """Somebody who voted, under a pseudonym."""

    pseudonym: str
    report: VoterReport

    @property
    def reason(self) -> str:
        """Return why their votes are marked, or an empty string."""
        if self.report.flagged_after is None:
            return ""
        votes = "vote" if self.report.flagged_after == 1 else "votes"
        return (
            f"After {self.report.flagged_after} {votes} the odds that they vote like the others "
            "were beyond 20 to 1."
        )


def voters(log: VoteLog) -> list[Voter]:
    """Return everybody who voted, those first whose votes are marked, then by number of votes."""
    reports = voter_reports(log.rows["voter"].astype(np.int64), *_votes_by_pair(log.rows))
    known = zip(log.voters, reports, strict=False)  # the newest may have withdrawn all they said
    found = [Voter(name, report) for name, report in known if report.votes]
    return sorted(found, key=lambda one: (not one.reason, -one.report.votes))


def marks(log: VoteLog, people: list[Voter]) -> Marks:
    """Return which votes of the log are marked."""
    flagged = {one.pseudonym for one in people if one.reason}
    places = [place for place, name in enumerate(log.voters) if name in flagged]
    rows = log.rows
    return Marks(rows["gold"], rows["named"], rows["spoilt"], np.isin(rows["voter"], places))


def _votes_by_pair(rows: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the number of each vote's pair and what it says for the checkpoint that is older."""
    turned = rows["left"] > rows["right"]
    first, second = np.minimum(rows["left"], rows["right"]), np.maximum(rows["left"], rows["right"])
    vote = VOTE_OF[rows["outcome"]]
    return first * (second.max(initial=0) + 1) + second, np.where(turned, 1 - vote, vote)
