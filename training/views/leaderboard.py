"""The leaderboard: how a project's checkpoints compare by what people said, blind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from annotations import exports
from annotations.csv_files import as_csv
from training import access, board_charts, board_files, selectors, services
from training.board_charts import Bar
from training.forms import in_labels
from training.models import Checkpoint
from training.views.shared import show_page

if TYPE_CHECKING:
    from annotations.algorithms.pairing import Match
    from annotations.models import Project
    from training.views.shared import AuthenticatedRequest

R = TypeVar("R", HttpResponse, JsonResponse, StreamingHttpResponse)
MOST_PAIRS_IN_TABLE = 2000


@dataclass(frozen=True)
class Pair:
    """Two checkpoints that met, for the table under the matrix."""

    first: Checkpoint
    second: Checkpoint
    won: str
    met: int


@login_required
@require_safe
def leaderboard(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_board_for(request.user, project_id)
    role = access.get_membership_for(request.user, project_id).role
    wish = _wish(request.GET)
    if "wait" not in request.GET and not selectors.is_at_hand(project) and services.read_votes():
        if "HX-Request" in request.headers:
            return HttpResponse(status=204)  # the page that waits stays as it is, with its focus
        here = urlencode([*request.GET.items(), ("wait", "on")])
        waits = {"here": f"?{here}"}
        return show_page(request, project, "training/leaderboard_waits.html", waits)
    board = selectors.leaderboard(project, wish)
    checkpoints = {one.pk: one for one in project.checkpoints.all()}
    context = {
        "board": board,
        "marked": selectors.reach(project),
        "wish": wish,
        "lines": [(checkpoints[line.checkpoint_id], line) for line in board.lines],
        "anchor": checkpoints.get(board.wish.anchor or 0),
        "trains": role in access.ROLES,
        "fighters": sum(one.kind != Checkpoint.Kind.REWARD for one in checkpoints.values()),
        "tags": exports.tags(project.pk),
        "islands": [[checkpoints[one].name for one in group] for group in board.islands],
        "ladders": list(board.lines[0].ladders) if board.lines else [],
        "matches": _matches(board.matches, checkpoints),
        "votes_asked": selectors.VOTES_ASKED,
        "marked_voters": [one for one in board.voters if one.reason],
        "query": urlencode(list(request.GET.items())),
        **_pictures(board, checkpoints),
    }
    return show_page(request, project, "training/leaderboard.html", context)


@login_required
@require_POST
def ask_people(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Start a blind evaluation between the two checkpoints that are named."""
    project = access.get_project_for(request.user, project_id)
    first, second = (_checkpoint(project, request.POST.get(name)) for name in ("first", "second"))
    # An external endpoint can only be what a policy is held against.
    parent, child = sorted((first, second), key=lambda one: (not one.is_external, one.pk))
    try:
        started = services.start_evaluation(
            project,
            child=child,
            parent=parent,
            limit=selectors.VOTES_ASKED,
            started_by=request.user,
        )
    except services.ServiceError as error:
        messages.error(request, in_labels(str(error)))
        return redirect("training:leaderboard", project_id)
    return redirect("training:evaluation", started.pk)


@login_required
@require_safe
def board_as_csv(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    rows = _rows(request, access.get_board_for(request.user, project_id))
    columns = list(rows[0]) if rows else ["rank", "checkpoint", "rating", "low", "high"]
    lines = "".join(as_csv(rows, columns))
    return _as_file(HttpResponse(lines, content_type="text/csv; charset=utf-8"), "board.csv")


@login_required
@require_safe
def board_as_json(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    rows = _rows(request, access.get_board_for(request.user, project_id))
    return _as_file(JsonResponse({"board": rows}), "board.json")


@login_required
@require_safe
def votes_as_csv(request: AuthenticatedRequest, project_id: int) -> StreamingHttpResponse:
    project = access.get_board_for(request.user, project_id)
    rows = board_files.vote_rows(project, _names(project))
    lines = as_csv(rows, board_files.VOTE_COLUMNS)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    return _as_file(response, "votes.csv")


@login_required
@require_safe
def votes_as_jsonl(request: AuthenticatedRequest, project_id: int) -> StreamingHttpResponse:
    project = access.get_board_for(request.user, project_id)
    lines = board_files.as_jsonl(board_files.vote_rows(project, _names(project)))
    response = StreamingHttpResponse(lines, content_type="application/jsonl; charset=utf-8")
    return _as_file(response, "votes.jsonl")


def _wish(query: QueryDict) -> selectors.Wish:
    """Return what the address asks for; what it does not know is left out."""
    return selectors.Wish(
        tag=query.get("tag", ""),
        anchor=_number(query.get("anchor", "")),
        with_marked=query.get("marked") == "in",
        style="style" in query,
        bootstrap="bootstrap" in query,
        more="more" in query,
    )


def _rows(request: AuthenticatedRequest, project: Project) -> list[dict[str, Any]]:
    return board_files.board_rows(
        selectors.leaderboard(project, _wish(request.GET)), _names(project)
    )


def _names(project: Project) -> dict[int, str]:
    return dict(project.checkpoints.values_list("id", "name"))


def _checkpoint(project: Project, text: str | None) -> Checkpoint:
    number = _number(text or "")
    checkpoint = project.checkpoints.filter(id=number).first() if number is not None else None
    if checkpoint is None:
        raise Http404("There is no such checkpoint in this project.")
    return checkpoint


def _number(text: str) -> int | None:
    """Return what can be the number of something in a database."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _matches(
    matches: list[Match[int]], checkpoints: dict[int, Checkpoint]
) -> list[tuple[Checkpoint, Checkpoint, Match[int]]]:
    return [(checkpoints[one.first], checkpoints[one.second], one) for one in matches]


def _pictures(board: selectors.Board, checkpoints: dict[int, Checkpoint]) -> dict[str, Any]:
    """Return the interval plot, the matrix, and the pairs that it shows."""
    if not board.counted:
        return {}
    shown = [checkpoints[line.checkpoint_id] for line in board.lines]
    bars = [
        Bar(one.name, line.rating, line.low, line.high, line.bootstrap)
        for one, line in zip(shown, board.lines, strict=True)
    ]
    pairs = [
        Pair(shown[i], shown[j], f"{board.won[i, j]:.6g}", round(board.won[i, j] + board.won[j, i]))
        for i in range(len(shown))
        for j in range(i + 1, len(shown))
        if board.won[i, j] + board.won[j, i]
    ]
    return {
        "interval_plot": board_charts.interval_plot(bars),
        "win_matrix": board_charts.win_matrix([one.name for one in shown], board.won),
        "pairs": pairs[:MOST_PAIRS_IN_TABLE],
        "pairs_left_out": len(pairs) - MOST_PAIRS_IN_TABLE,
    }


def _as_file(response: R, name: str) -> R:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response
