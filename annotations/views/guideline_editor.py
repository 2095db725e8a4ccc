"""Writing guidelines: a draft that saves itself, its preview, and the act of publishing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotations import access, selectors, services
from annotations.algorithms.clauses import add_case
from annotations.algorithms.merge import merge
from annotations.algorithms.paragraphs import Row, side_by_side
from annotations.algorithms.text import TextError
from annotations.forms import CaseForm, GuidelineForm
from annotations.models import GuidelineDraft, GuidelineVersion, Kind, Project, Role
from annotations.views.guidelines import Part, part_of
from annotations.views.request import AuthenticatedRequest, SeeOther


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def edit_guideline(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    part = part_of(kind)
    if request.method == "POST":
        return _take(request, project, part, GuidelineForm(request.POST))
    draft = selectors.guideline_draft(project, kind, request.user)
    in_force = selectors.guideline_in_force(project, kind)
    begun = draft or _first_text(project, part, in_force)
    form = GuidelineForm(
        initial={
            "text": begun.text if begun else "",
            "note": draft.note if draft else "",
            "revision": draft.revision if draft else 0,
            "begun_from": draft.begun_from if draft else _number(in_force),
        }
    )
    return _page(request, project, part, form, draft=draft)


def _first_text(
    project: Project, part: Part, in_force: GuidelineVersion | None
) -> GuidelineVersion | None:
    """Return what a new draft begins with: for evaluations at first what they are judged by now."""
    if part.is_for_evaluation and (in_force is None or in_force.is_taken_back):
        return selectors.guideline_in_force(project, Kind.COMPARISON)
    return in_force


@login_required
@require_POST
def save_draft(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    """Keep what was typed, and answer with what is stored and how it would look."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    part, form = part_of(kind), GuidelineForm(request.POST)
    context: dict[str, Any] = {"project": project, "kind": part}
    if not form.is_valid():
        errors = [error for of_field in form.errors.values() for error in of_field]
        return render(
            request, "annotations/_guideline_saved.html", context | {"errors": errors}, status=422
        )
    try:
        saved = _save(request, project, part, form.entered())
    except services.ServiceError as error:
        context["errors"] = [str(error)]
        return render(request, "annotations/_guideline_saved.html", context, status=422)
    in_force = selectors.guideline_in_force(project, kind)
    context |= {
        "saved": saved,
        "check": selectors.check_guideline(project, kind, saved.draft.text, in_force),
        **_preview(saved.draft.text),
    }
    status = 409 if saved.stale else 200
    return render(request, "annotations/_guideline_saved.html", context, status=status)


def _take(
    request: AuthenticatedRequest, project: Project, part: Part, form: GuidelineForm
) -> HttpResponse:
    if not form.is_valid():
        return _page(request, project, part, form, status=422)
    entered = form.entered()
    if "discard" in request.POST:
        services.discard_guideline_draft(project, part.value, request.user)
        messages.success(request, "The draft is gone. What is in force has not changed.")
        return SeeOther(reverse("annotations:edit_guideline", args=[project.pk, part.value]))
    try:
        if "preview" in request.POST:
            selectors.guideline_preview(entered["text"])
            return _page(request, project, part, form, shows_preview=True)
        saved = _save(request, project, part, entered)
        if saved.stale:
            return _both_tabs(request, project, part, entered, saved.draft)
        if "add_case" in request.POST:
            return _add_case(request, project, part, saved.draft)
        if _begun_case(request).is_begun:
            return _left_out(request, project, part, saved.draft)
        if "publish" in request.POST:
            return _publish(request, project, part, entered, saved.draft)
    except services.GuidelineConflict as conflict:
        return _both_people(request, project, part, entered, conflict.theirs)
    except (services.ServiceError, TextError) as error:
        form.add_error("text", str(error))
        return _page(request, project, part, form, status=422)
    messages.success(request, "Draft saved. Labellers still see the version in force.")
    return SeeOther(reverse("annotations:edit_guideline", args=[project.pk, part.value]))


def _save(
    request: AuthenticatedRequest, project: Project, part: Part, entered: dict[str, Any]
) -> services.SavedGuideline:
    return services.save_guideline_draft(
        project,
        part.value,
        entered["text"],
        request.user,
        note=entered["note"],
        revision=entered["revision"],
        begun_from=entered["begun_from"],
    )


def _publish(
    request: AuthenticatedRequest,
    project: Project,
    part: Part,
    entered: dict[str, Any],
    draft: GuidelineDraft,
) -> HttpResponse:
    in_force = selectors.guideline_in_force(project, part.value)
    if in_force is not None and not entered["note"].strip():
        form = _form_of(draft)
        form.add_error("note", "Say in a sentence what is new; labellers read it first.")
        return _page(request, project, part, form, draft=draft, status=422)
    found = selectors.check_guideline(project, part.value, entered["text"], in_force)
    if found.conflicts and request.POST["publish"] != "anyway":
        return _page(request, project, part, _form_of(draft), draft=draft, asks_again=True)
    version = services.publish_guideline(
        project,
        part.value,
        entered["text"],
        request.user,
        note=entered["note"],
        begun_from=draft.begun_from,
    )
    messages.success(
        request,
        "Evaluations are judged by the guidelines of their kind from the next item on."
        if version.is_taken_back
        else f"Version {version.version} is in force from the next item on.",
    )
    return SeeOther(reverse("annotations:guideline", args=[project.pk, part.value]))


def _add_case(
    request: AuthenticatedRequest, project: Project, part: Part, draft: GuidelineDraft
) -> HttpResponse:
    form = CaseForm(request.POST, prefix="case")
    if not form.is_valid():
        page = _form_of(draft)
        return _page(request, project, part, page, draft=draft, status=422, case_form=form)
    text = add_case(draft.text, form.cleaned_data["clause"], form.case())
    services.save_guideline_draft(project, part.value, text, request.user, note=draft.note)
    messages.success(request, "The case stands in the text of your draft now.")
    return SeeOther(reverse("annotations:edit_guideline", args=[project.pk, part.value]))


def _left_out(
    request: AuthenticatedRequest, project: Project, part: Part, draft: GuidelineDraft
) -> HttpResponse:
    """Keep a case on the page that was typed and not put into the text."""
    form = CaseForm(request.POST, prefix="case")
    form.add_error(
        None, "Your draft is saved without this case. Put it into the text, or empty its fields."
    )
    page = _form_of(draft)
    return _page(request, project, part, page, draft=draft, status=422, case_form=form)


def _begun_case(request: AuthenticatedRequest) -> CaseForm:
    """Return the form of a case with what was typed into it so far."""
    typed = {name: request.POST.get(f"case-{name}", "") for name in CaseForm.base_fields}
    return CaseForm(prefix="case", initial=typed)


def _both_people(
    request: AuthenticatedRequest,
    project: Project,
    part: Part,
    entered: dict[str, Any],
    theirs: GuidelineVersion,
) -> HttpResponse:
    """Show what somebody else published meanwhile, and one's own text with it merged in."""
    draft = selectors.guideline_draft(project, part.value, request.user)
    begun = selectors.guideline_version(project, part.value, draft.begun_from if draft else 0)
    base = begun.text if begun else ""
    merged = merge(base, entered["text"], theirs.text)
    form = GuidelineForm(
        {
            "text": merged.text,
            "note": entered["note"],
            "revision": draft.revision if draft else 0,
            "begun_from": theirs.version,
        }
    )
    return _page(
        request,
        project,
        part,
        form,
        draft=draft,
        status=409,
        theirs=theirs,
        conflicts=merged.conflicts,
        mine=entered["text"],
        their_rows=_changes(base, theirs.text),
        my_rows=_changes(base, entered["text"]),
    )


def _both_tabs(
    request: AuthenticatedRequest,
    project: Project,
    part: Part,
    entered: dict[str, Any],
    draft: GuidelineDraft,
) -> HttpResponse:
    """Show what one has saved in another tab beside what this page has."""
    form = GuidelineForm({**entered, "revision": draft.revision})
    return _page(
        request,
        project,
        part,
        form,
        draft=draft,
        status=409,
        other_tab=draft,
        my_rows=_changes(draft.text, entered["text"]),
    )


def _changes(old: str, new: str) -> Sequence[Row]:
    return [row for row in side_by_side(old, new) if row.op != "same"]


def _form_of(draft: GuidelineDraft) -> GuidelineForm:
    return GuidelineForm(
        {
            "text": draft.text,
            "note": draft.note,
            "revision": draft.revision,
            "begun_from": draft.begun_from,
        }
    )


def _page(
    request: AuthenticatedRequest,
    project: Project,
    part: Part,
    form: GuidelineForm,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    in_force = selectors.guideline_in_force(project, part.value)
    text = str(form["text"].value() or "")
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.pk),
        "kind": part,
        "form": form,
        "in_force": in_force,
        "others": selectors.guideline_drafts_of_others(project, part.value, request.user),
        "is_behind": in_force is not None and _is_behind(form, in_force),
        "case_form": _begun_case(request),
        "check": selectors.check_guideline(project, part.value, text, in_force),
        **_preview(text),
        **more,
    }
    return render(request, "annotations/edit_guideline.html", context, status=status)


def _preview(text: str) -> dict[str, str]:
    """Return how a text would look, or why it could not be published."""
    try:
        return {"preview": selectors.guideline_preview(text), "objection": ""}
    except TextError as error:
        return {"preview": "", "objection": str(error)}


def _is_behind(form: GuidelineForm, in_force: GuidelineVersion) -> bool:
    return str(form["begun_from"].value()) != str(in_force.version)


def _number(version: GuidelineVersion | None) -> int:
    return version.version if version else 0
