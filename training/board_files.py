"""The leaderboard and the votes behind it, as files to take away. People are pseudonyms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from annotations import exports
from training import selectors
from training.selectors.vote_log import is_named

if TYPE_CHECKING:
    from annotations.models import Project

VOTE_COLUMNS = (
    "annotation_id",
    "item_id",
    "prompt_id",
    "annotator",
    "kind",
    "purpose",
    "left",
    "right",
    "left_checkpoint_id",
    "right_checkpoint_id",
    "outcome",
    "strength",
    "marks",
)


def board_rows(board: selectors.Board, names: dict[int, str]) -> list[dict[str, Any]]:
    """Return the lines of a board as plain values, best first."""
    return [
        {
            "rank": line.rank,
            "checkpoint": names[line.checkpoint_id],
            "checkpoint_id": line.checkpoint_id,
            "rating": round(line.rating, 2),
            "low": round(line.low, 2),
            "high": round(line.high, 2),
            "battles": line.battles,
            "wins": line.wins,
            "ties": line.ties,
            "losses": line.losses,
            "both_bad": line.both_bad,
            "people": line.people,
            "online_elo": round(line.elo, 4),
            **_bootstrap(line),
            **{name.lower().replace(" ", "_"): score for name, score in line.ladders.items()},
        }
        for line in board.lines
    ]


def _bootstrap(line: selectors.Line) -> dict[str, float]:
    if line.bootstrap is None:
        return {}
    low, high = line.bootstrap
    return {"bootstrap_low": round(low, 2), "bootstrap_high": round(high, 2)}


def vote_rows(project: Project, names: dict[int, str]) -> Iterator[dict[str, Any]]:
    """Yield every vote on the board's checkpoints, with its marks and without its texts."""
    people = selectors.voters(selectors.vote_log(project))
    flagged = {one.pseudonym for one in people if one.reason}
    for vote in exports.votes(project.pk):
        left, right = vote["left_checkpoint_id"], vote["right_checkpoint_id"]
        of_both = [names[left], names[right]]
        reasons = {
            "gold": vote["purpose"] == "gold",
            "outlier": vote["annotator"] in flagged,
            "identity": is_named(vote, of_both),
        }
        row = {**vote, "left": names[left], "right": names[right]}
        row["marks"] = sorted({*vote["marks"], *(name for name, is_so in reasons.items() if is_so)})
        yield {column: row[column] for column in VOTE_COLUMNS}


def as_jsonl(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the rows as lines of JSON."""
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"
