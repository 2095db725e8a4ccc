"""What a project gives away, as files that are sent while they are written."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotations import access, exports
from annotations.models import Role
from annotations.views.request import AuthenticatedRequest


@login_required
@require_GET
def downloads(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER, Role.ENGINEER)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.pk),
        "exports": exports.exports_of(project),
    }
    return render(request, "annotations/downloads.html", context)


@login_required
@require_GET
def download(
    request: AuthenticatedRequest, project_id: int, content: str, ending: str
) -> StreamingHttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER, Role.ENGINEER)
    if content not in exports.EXPORTS or ending not in exports.EXPORTS[content].formats:
        raise Http404("There is no such export.")
    response = StreamingHttpResponse(
        exports.write_export(project, content, ending), content_type=exports.MEDIA_TYPES[ending]
    )
    response["Content-Disposition"] = (
        f'attachment; filename="{exports.export_name(project, content, ending)}"'
    )
    return response
