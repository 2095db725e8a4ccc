"""Practice and the test of a kind of work; and for owners groups, rules and practice items."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations import access, selectors, services
from annotations.forms.qualification import AnswerForm, GroupForm, PracticeForm, RuleForm
from annotations.models import Item, Kind, KindRule, Project, Role, ScreeningAnswer
from annotations.views.request import AuthenticatedRequest, SeeOther

PAGE_SIZE = 25


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def access_rules(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show who may do what; make groups and decide for whom a kind of work is."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    is_group, is_rule = "save_group" in request.POST, "save_rule" in request.POST
    group_form = GroupForm(request.POST if is_group else None, project=project)
    rule_form = RuleForm(request.POST if is_rule else None, project=project)
    form = group_form if is_group else rule_form
    if form.is_valid():
        try:
            if is_group:
                services.save_group(project, **form.cleaned_data)
            else:
                services.set_kind_rule(project, **form.cleaned_data)
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Saved. It holds from the next item that is handed out.")
            return SeeOther(reverse("annotations:access_rules", args=[project_id]))
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "groups": project.groups.prefetch_related("members__user", "rules"),
        "rules": project.kind_rules.select_related("group").order_by("kind"),
        "group_form": group_form,
        "rule_form": rule_form,
        "screened": [(kind.value, kind.label) for kind in selectors.SCREENED],
    }
    status = 422 if form.is_bound else 200
    return render(request, "annotations/access_rules.html", context, status=status)


@login_required
@require_POST
def delete_group(request: AuthenticatedRequest, project_id: int, group_id: int) -> HttpResponse:
    group = access.get_group_for(request.user, project_id, group_id)
    try:
        services.delete_group(group)
    except services.ServiceError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"There is no group “{group}” any more.")
    return SeeOther(reverse("annotations:access_rules", args=[project_id]))


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def practice_items(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    """Choose with which gold items people practise, and say why their answers are right."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    if kind not in selectors.SCREENED:
        raise Http404("There is no practice for this kind.")
    form = PracticeForm(request.POST or None)
    if form.is_valid():
        item = access.get_item_for(request.user, form.cleaned_data["item"], Role.OWNER)
        try:
            if "remove" in request.POST:
                services.stop_practising_with(item)
            else:
                services.practise_with(item, form.cleaned_data["why"])
        except services.ServiceError as error:
            messages.error(request, str(error))
        return SeeOther(request.get_full_path())
    gold = Paginator(selectors.gold_items(project, kind), PAGE_SIZE)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "kind": Kind(kind),
        "chosen": selectors.practice_items(project, kind),
        "page": gold.get_page(request.GET.get("page")),
    }
    return render(request, "annotations/practice_items.html", context)


@login_required
@never_cache
@require_GET
def qualify(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    """Show a person where they are: the next practice item, the test, or how it ended."""
    project, rule = _rule(request, project_id, kind)
    return _page(request, project, rule, None)


@login_required
@require_POST
def begin_test(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    _, rule = _rule(request, project_id, kind)
    try:
        services.begin_test(rule, request.user)
    except services.ServiceError as error:
        messages.error(request, str(error))
    return SeeOther(reverse("annotations:qualify", args=[project_id, kind]))


@login_required
@require_POST
def answer(request: AuthenticatedRequest, project_id: int, kind: str) -> HttpResponse:
    """Keep an answer: in practice it is told at once what is known, in a test at the end."""
    project, rule = _rule(request, project_id, kind)
    question = _question(request, rule)
    form = AnswerForm(request.POST)
    if not form.is_valid():
        return _page(request, project, rule, form)
    if question is None or question.item.pk != form.cleaned_data["item"]:
        return SeeOther(reverse("annotations:qualify", args=[project_id, kind]))
    running = selectors.qualification_of(request.user, rule).running
    if running is not None:
        services.answer_test(running, question.item, form.cleaned_data["outcome"])
        return SeeOther(reverse("annotations:qualify", args=[project_id, kind]))
    given = services.answer_practice(request.user, question.item, form.cleaned_data["outcome"])
    return _explain(request, project, rule, question, given)


def _rule(request: AuthenticatedRequest, project_id: int, kind: str) -> tuple[Project, KindRule]:
    project = access.get_project_for(request.user, project_id)
    rule = project.kind_rules.filter(kind=kind, is_tested=True).first()
    if rule is None:
        raise Http404("This kind of work has no test.")
    return project, rule


def _question(request: AuthenticatedRequest, rule: KindRule) -> selectors.Question | None:
    """Return what a person is to answer next, of a test that runs or else of the practice."""
    running = selectors.qualification_of(request.user, rule).running
    if running is not None:
        number = running.answers.count()
        item = Item.objects.select_related("prompt").get(id=running.items[number])
        return selectors.question_about(request.user, item, number + 1, len(running.items))
    left = list(selectors.practice_left_for(request.user, rule))
    if not left:
        return None
    every = selectors.practice_items(rule.project, rule.kind).count()
    return selectors.question_about(request.user, left[0], every - len(left) + 1, every)


def _page(
    request: AuthenticatedRequest, project: Project, rule: KindRule, form: AnswerForm | None
) -> HttpResponse:
    question = _question(request, rule)
    initial = {"item": question.item.pk} if question else None
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.pk),
        "rule": rule,
        "standing": selectors.qualification_of(request.user, rule),
        "question": question,
        "form": form or AnswerForm(initial=initial),
    }
    return render(request, "annotations/qualify.html", context, status=422 if form else 200)


def _explain(
    request: AuthenticatedRequest,
    project: Project,
    rule: KindRule,
    question: selectors.Question,
    given: ScreeningAnswer,
) -> HttpResponse:
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.pk),
        "rule": rule,
        "question": question,
        "given": _in_words(question, given.better),
        "known": _in_words(question, selectors.known_answer(question.item)),
        "is_right": given.is_right,
        "why": question.item.practice.why,
    }
    return render(request, "annotations/practice_answer.html", context)


def _in_words(question: selectors.Question, better: int | str) -> str:
    """Return what was found better in words, as this person saw it."""
    words = {"tie": "Neither is better", "both_bad": "Both are bad"}
    for letter, completion in zip("AB", question.shown, strict=True):
        words[str(completion.pk)] = f"{letter} is better"
    return words[str(better)]
