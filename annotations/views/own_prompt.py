"""A labeller's own prompt, which they then answer."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from annotations import access, services
from annotations.forms import OwnPromptForm
from annotations.views.request import AuthenticatedRequest, SeeOther


@login_required
@require_http_methods(["GET", "POST"])
def own_prompt(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    if not project.own_prompts_allowed:
        raise Http404("This project takes no prompts from labellers.")
    form = OwnPromptForm(request.POST or None)
    if form.is_valid():
        style, text = form.cleaned_data["style"], form.cleaned_data["text"]
        try:
            assignment = services.write_own_prompt(project, request.user, style, text)
        except services.ServiceError as error:
            form.add_error("text", str(error))
        else:
            return SeeOther(reverse("annotations:assignment", args=[assignment.pk]))
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "form": form,
    }
    status = 422 if form.is_bound else 200
    return render(request, "annotations/own_prompt.html", context, status=status)
