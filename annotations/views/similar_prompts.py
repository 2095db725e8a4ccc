"""The prompts that are worded most like one of them, or like a text that somebody typed."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotations import access, selectors
from annotations.models import Project, Prompt
from annotations.views.request import AuthenticatedRequest

MOST_SHOWN = 30


@login_required
@require_safe
def similar_prompts(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show what is like the text that was searched for."""
    project = access.get_project_for(request.user, project_id, *access.READING)
    text = request.GET.get("search", "").strip()
    similar = selectors.prompts_like_text(project, text, MOST_SHOWN) if text else None
    return _page(request, project, similar, text=text)


@login_required
@require_safe
def similar_to_prompt(request: AuthenticatedRequest, prompt_id: int) -> HttpResponse:
    """Show what is like a prompt."""
    prompt = access.get_prompt_for(request.user, prompt_id, *access.READING)
    similar = selectors.prompts_like(prompt, MOST_SHOWN)
    return _page(request, prompt.project, similar, prompt=prompt)


def _page(
    request: AuthenticatedRequest,
    project: Project,
    similar: selectors.SimilarPrompts | None,
    *,
    prompt: Prompt | None = None,
    text: str = "",
) -> HttpResponse:
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.id),
        "similar": similar,
        "prompt": prompt,
        "text": text,
    }
    return render(request, "annotations/similar_prompts.html", context)
