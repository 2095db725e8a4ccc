"""The REST API under its address: the operations of both apps, their document and its page."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe

from annotations.api import (
    account,
    adjudication,
    asking,
    completions,
    conversations,
    exports,
    flags,
    gold,
    guard,
    guidelines,
    history,
    imports,
    invitations,
    items,
    kind_rules,
    labelling,
    members,
    own,
    pay,
    people,
    projects,
    prompts,
    qualification,
    quality,
    questions,
    scores,
    tickets,
)
from annotations.api import annotations as said
from annotations.api.openapi import document_of, on_page, types_on_page
from annotations.api.problems import KINDS
from training.api import (
    arena,
    audit,
    boards,
    chats,
    checkpoints,
    endpoints,
    lineage,
    promotions,
    pushes,
    recalls,
    regressions,
    rounds,
    run_reports,
    runs,
    snapshots,
    suites,
    webhooks,
)

app_name = "api"

OPERATIONS = [
    operation
    for operations in (
        account.operations,
        own.operations,
        projects.operations,
        members.operations,
        invitations.operations,
        people.operations,
        kind_rules.operations,
        qualification.operations,
        pay.operations,
        flags.operations,
        guidelines.operations,
        questions.operations,
        prompts.operations,
        completions.operations,
        imports.operations,
        items.operations,
        labelling.operations,
        conversations.operations,
        history.operations,
        said.operations,
        quality.operations,
        asking.operations,
        adjudication.operations,
        gold.operations,
        exports.operations,
        scores.operations,
        tickets.operations,
        snapshots.operations,
        runs.operations,
        run_reports.operations,
        checkpoints.operations,
        promotions.operations,
        lineage.operations,
        recalls.operations,
        regressions.operations,
        suites.operations,
        boards.operations,
        arena.operations,
        chats.operations,
        endpoints.operations,
        pushes.operations,
        rounds.operations,
        audit.operations,
        webhooks.operations,
    )
    for operation in operations
]
ABOUT = "/api/v1/"
"""Where `labelstudio_llm.urls` puts it, and where the page is that explains problems."""


@require_safe
def openapi(request: HttpRequest) -> JsonResponse:
    """Answer with the OpenAPI document. It says nothing that is not in the code of the project."""
    headers = {"Content-Disposition": 'attachment; filename="openapi.json"'}
    servers = {"servers": [{"url": _base(request)}]}
    return JsonResponse(_document() | servers, headers=headers)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the document to people."""
    context = {**_explained(), "problems": KINDS, "base": _base(request)}
    return render(request, "api.html", context)


@cache
def _document() -> dict[str, Any]:
    """Return the document but for its address. It takes a second, and everybody may ask for it."""
    return document_of(OPERATIONS, server="")


@cache
def _explained() -> dict[str, Any]:
    return {"groups": on_page(OPERATIONS), "types": types_on_page(OPERATIONS)}


def _base(request: HttpRequest) -> str:
    return request.build_absolute_uri(ABOUT).rstrip("/")


urlpatterns: list[URLPattern] = [
    path("", page, name="page"),
    path("openapi.json", openapi, name="openapi"),
    *(
        path(address, guard.view_of(operations, ABOUT), name=next(iter(operations.values())).name)
        for address, operations in guard.by_path(OPERATIONS).items()
    ),
    path("<anything:rest>", guard.nothing_here(ABOUT), name="nothing_here"),
]
