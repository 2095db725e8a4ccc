"""The leaderboard: how a project's checkpoints compare by what people said, blind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from annotations.api.operations import (
    DIGITS,
    LARGEST_ID,
    Answer,
    Call,
    FileAnswer,
    Flag,
    Operations,
    Query,
    Search,
)
from annotations.csv_files import as_csv
from training import access, board_files, selectors, services

if TYPE_CHECKING:
    from annotations.models import Project

operations = Operations("Leaderboard", refusals=(services.ServiceError,))

AGAIN_S = 5
"""After so long a board whose votes are being read is worth asking for again."""
CSV, JSONL = "text/csv", "application/jsonl"


class BoardFilters(Query):
    """What the board is reckoned from, and what of it is wanted."""

    tag: Search | None = Field(None, description="Prompts with this tag alone.")
    with_marked: Flag = Field(False, description="With votes that something speaks against.")
    style: Flag = Field(False, description="Control for style: how long and how formatted.")
    bootstrap: Flag = Field(False, description="Intervals by the bootstrap, too.")
    ladders: Flag = Field(False, description="Other ways to reckon, beside the rating.")
    anchor: Annotated[int, Field(ge=0, le=LARGEST_ID), DIGITS] | None = Field(
        None, description="The checkpoint that is rated 1000; 0: all of them on average."
    )
    here: Flag = Field(False, description="Read the votes in this request, however long it takes.")


class BoardLine(Answer):
    """A checkpoint on the board."""

    rank: int
    checkpoint: str
    checkpoint_id: int
    rating: float
    low: float
    high: float
    battles: int
    wins: int
    ties: int
    losses: int
    both_bad: int
    people: int
    online_elo: float
    is_held_by_prior: bool = Field(description="It won or lost everything, so far.")
    bootstrap_low: float | None
    bootstrap_high: float | None
    ladders: dict[str, float] = Field(description="Its scores by other methods, by their names.")


class StyleOut(Answer):
    """How much people like a style, whoever wrote it."""

    style: str
    points: float = Field(description="Of rating, for one root mean square more of it.")
    low: float
    high: float


class MatchOut(Answer):
    """Two checkpoints, and what asking people about them would bring."""

    first: int
    second: int
    met: int = Field(description="Votes between the two so far.")
    chance: float = Field(description="That the first wins, as far as is known.")
    gain: float = Field(description="Points by which the interval would get narrower.")


class VoterOut(Answer):
    """Somebody whose votes are marked."""

    pseudonym: str
    reason: str


class BoardOut(Answer):
    """How the checkpoints of a project compare by what people said, blind; best first."""

    is_read: bool = Field(
        description="False, with 202: the votes are being read, and nothing here is known yet."
    )
    votes: int
    counted: int
    people: int
    both_bad: int
    marked: int = Field(description="Votes that something speaks against.")
    marks: dict[str, int] = Field(description="What speaks against how many of them.")
    anchor: int | None = Field(description="The checkpoint that is rated 1000; 0: on average.")
    lines: list[BoardLine]
    won: list[list[float]] = Field(
        description="In the order of the lines: what the row won against the column, ties as half."
    )
    islands: list[list[int]] = Field(description="Checkpoints between which no battle leads.")
    styles: list[StyleOut]
    matches: list[MatchOut] = Field(description="The pairs worth asking people about, best first.")
    marked_voters: list[VoterOut]
    refused: list[str] = Field(description="What can't be reckoned, and what to do.")


NOT_YET = BoardOut(
    is_read=False,
    votes=0,
    counted=0,
    people=0,
    both_bad=0,
    marked=0,
    marks={},
    anchor=None,
    lines=[],
    won=[],
    islands=[],
    styles=[],
    matches=[],
    marked_voters=[],
    refused=[],
)


class FileForm(Query):
    """How a file is written."""

    form: Literal["jsonl", "csv"] = "jsonl"


def _again_in_s(board: BoardOut) -> int:
    return 0 if board.is_read else AGAIN_S


@operations.get("projects/<int:project_id>/leaderboard", again_in_s=_again_in_s)
def get_leaderboard(call: Call, project_id: int, query: BoardFilters) -> BoardOut:
    """Show how checkpoints compare by what people said. Owners, engineers and reviewers can.

    Of a project with many votes that nobody has read yet they are read by a worker meanwhile: the
    answer is 202, without anything, until they are. Ask again when `Retry-After` says.
    """
    project = access.get_board_for(call.user, project_id)
    if not query.here and not selectors.is_at_hand(project) and services.read_votes():
        return NOT_YET
    wish = selectors.Wish(
        tag=query.tag or "",
        anchor=query.anchor,
        with_marked=query.with_marked,
        style=query.style,
        bootstrap=query.bootstrap,
        more=query.ladders,
    )
    return _board(project, selectors.leaderboard(project, wish))


@operations.download("projects/<int:project_id>/leaderboard/votes", JSONL, CSV)
def download_votes(call: Call, project_id: int, query: FileForm) -> FileAnswer:
    """Get every vote on the board's checkpoints, with what speaks against it, without its texts.

    People are pseudonyms. Owners, engineers and reviewers can.
    """
    project = access.get_board_for(call.user, project_id)
    rows = board_files.vote_rows(project, _names(project))
    if query.form == "csv":
        return FileAnswer("votes.csv", CSV, as_csv(rows, board_files.VOTE_COLUMNS))
    return FileAnswer("votes.jsonl", JSONL, board_files.as_jsonl(rows))


def _names(project: Project) -> dict[int, str]:
    return dict(project.checkpoints.values_list("id", "name"))


def _board(project: Project, board: selectors.Board) -> BoardOut:
    rows = board_files.board_rows(board, _names(project))
    return BoardOut(
        is_read=True,
        votes=board.votes,
        counted=board.counted,
        people=board.people,
        both_bad=board.both_bad,
        marked=board.marked,
        marks=dict(board.reasons),
        anchor=board.wish.anchor,
        lines=[_line(line, row) for line, row in zip(board.lines, rows, strict=True)],
        won=board.won.tolist(),
        islands=[list(group) for group in board.islands],
        styles=[
            StyleOut(style=name, points=one.points, low=one.low, high=one.high)
            for name, one in board.styles
        ],
        matches=[MatchOut(**vars(one)) for one in board.matches],
        marked_voters=[
            VoterOut(pseudonym=one.pseudonym, reason=one.reason)
            for one in board.voters
            if one.reason
        ],
        refused=board.refused,
    )


def _line(line: selectors.Line, row: dict[str, Any]) -> BoardLine:
    low, high = row.get("bootstrap_low"), row.get("bootstrap_high")
    same = {name: row[name] for name in BoardLine.model_fields if name in row}
    return BoardLine(
        **same | {"bootstrap_low": low, "bootstrap_high": high},
        is_held_by_prior=line.is_held_by_prior,
        ladders=line.ladders,
    )
