"""From a checkpoint to what people said, and from there to everything that learnt from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET, require_safe

from annotations.access import may_still_judge
from annotations.csv_files import as_csv
from annotations.exports import in_force, pseudonym
from training import access, selectors
from training.board_files import as_jsonl
from training.selectors import Source, SourceRow
from training.views.shared import show_page

if TYPE_CHECKING:
    from training.views.shared import AuthenticatedRequest

PAGE_SIZE = 50
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}


@login_required
@require_safe
def sources(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    """Show every annotation that is behind a checkpoint."""
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    found = selectors.sources(checkpoint)
    chosen = _chosen(found, request.GET.get("snapshot", ""))
    page = Paginator(selectors.Behind(chosen), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "checkpoint": checkpoint,
        "sources": found,
        "chosen": chosen[0].snapshot.pk if len(chosen) < len(found) else None,
        "page": page,
    }
    return show_page(request, checkpoint.project, "training/sources.html", context)


@login_required
@require_GET
def download_sources(
    request: AuthenticatedRequest, checkpoint_id: int, form: str
) -> StreamingHttpResponse:
    """Send every annotation behind a checkpoint as CSV or JSON lines, a few thousand at a time."""
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    if form not in CONTENT_TYPES:
        raise Http404("Annotations come as csv or jsonl.")
    found = _chosen(selectors.sources(checkpoint), request.GET.get("snapshot", ""))
    rows = selectors.Behind(found)
    columns = SourceRow.__annotations__
    lines = as_csv(rows, columns) if form == "csv" else as_jsonl(rows)
    response = StreamingHttpResponse(lines, content_type=CONTENT_TYPES[form])
    name = f"checkpoint-{checkpoint.pk}-annotations.{form}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@login_required
@require_safe
def item(request: AuthenticatedRequest, item_id: int) -> HttpResponse:
    """Show whose completions an item compares, and what its annotations went into.

    Who wrote what stays hidden from whoever may still be asked about it.
    """
    item = access.get_item_for(request.user, item_id)
    is_hidden = may_still_judge(request.user, item)
    completions = item.completions.select_related("checkpoint").prefetch_related("scores")
    uses = selectors.uses_of_item(item)
    given = item.annotations.select_related("guideline_version").order_by("id")
    holding = set(item.annotations.filter(in_force()).values_list("id", flat=True))
    records = [
        {
            "annotation": one,
            "annotator": pseudonym(one.annotator_id),
            "holds": one.pk in holding,
            "uses": uses.get(one.pk, []),
        }
        for one in given
    ]
    context = {
        "item": item,
        "is_hidden": is_hidden,
        "completions": [] if is_hidden else completions.order_by("id"),
        "records": records,
    }
    return show_page(request, item.project, "training/item.html", context)


def _chosen(found: list[Source], snapshot: str) -> list[Source]:
    """Return the sources, or the one whose snapshot was asked for."""
    return [one for one in found if str(one.snapshot.pk) == snapshot] or found
