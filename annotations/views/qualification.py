"""Practice and the test of a kind of work; for owners groups, rules, practice, texts to judge."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations import access, selectors, services
from annotations.forms.qualification import (
    AnswerForm,
    GroupForm,
    PracticeForm,
    RuleForm,
    VerdictForm,
    answer_form,
    said_in,
)
from annotations.models import (
    WRITTEN_KINDS,
    Kind,
    KindRule,
    Project,
    Role,
    ScreeningAnswer,
    TestAttempt,
)
from annotations.views.request import AuthenticatedRequest, SeeOther

PAGE_SIZE = 25

WRITING = "annotations/_screening_writing.html"
ASKING = {
    Kind.COMPARISON: "annotations/_screening_comparison.html",
    Kind.RANKING: "annotations/_screening_ranking.html",
    Kind.RATING: "annotations/_screening_rating.html",
    Kind.REVIEW: "annotations/_screening_review.html",
} | dict.fromkeys(WRITTEN_KINDS, WRITING)
"""The part of a page that asks a question, by its kind."""


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
        "to_judge": selectors.tests_to_judge(project, request.user).count(),
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
    form = PracticeForm(request.POST) if request.method == "POST" else None
    if form is not None and form.is_valid():
        item = access.get_item_for(request.user, form.cleaned_data["item"], Role.OWNER)
        try:
            if "remove" in request.POST:
                services.stop_practising_with(item)
            elif "retire" in request.POST:
                services.retire_gold(item)
            else:
                services.practise_with(item, form.cleaned_data["why"])
        except services.ServiceError as error:
            form.add_error("why", str(error))
        else:
            return SeeOther(request.get_full_path())
    page = Paginator(selectors.gold_items(project, kind), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    meant = form and form["item"].value()
    sent = [form if str(item.pk) == meant else None for item in page]
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "kind": Kind(kind),
        "is_written": kind in WRITTEN_KINDS,
        "is_served": kind not in selectors.UNSERVED,
        "chosen": selectors.practice_items(project, kind),
        "page": page,
        "gold": list(zip(page, sent, strict=True)),
        "lost": form if not any(sent) else None,
    }
    status = 422 if form else 200
    return render(request, "annotations/practice_items.html", context, status=status)


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
    question = selectors.next_question(request.user, rule)
    if question is None or request.POST.get("item") != str(question.item.pk):
        if request.POST.get("text", "").strip():
            return _page(request, project, rule, None, lost=request.POST["text"])
        return SeeOther(reverse("annotations:qualify", args=[project_id, kind]))
    form = answer_form(question, request.POST)
    if not form.is_valid():
        return _page(request, project, rule, form)
    running = selectors.qualification_of(request.user, rule).running
    try:
        if running is None:
            given = services.answer_practice(request.user, question.item, said_in(form))
            return _explain(request, project, rule, question, given)
        services.answer_test(running, question.item, said_in(form))
    except services.ServiceError as error:
        form.add_error(None, str(error))
        return _page(request, project, rule, form)
    return SeeOther(reverse("annotations:qualify", args=[project_id, kind]))


@login_required
@never_cache
@require_GET
def tests_to_judge(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """List the written tests that wait for an owner, without the names of their authors."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    found = selectors.tests_to_judge(project, request.user)
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "tests": found.annotate(judged=Count("answers__verdict")),
        "asked": project.kind_rules.filter(is_tested=True).values_list("kind", flat=True),
    }
    return render(request, "annotations/tests_to_judge.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def judge_test(request: AuthenticatedRequest, attempt_id: int) -> HttpResponse:
    """Show what somebody wrote in a test, whoever it is; keep what an owner says of it."""
    attempt = access.get_test_to_judge_for(request.user, attempt_id)
    written = selectors.written_in(attempt)
    data = request.POST.copy() if request.POST else None
    forms = [_verdict_form(one.answer, data) for one in written]
    problem = ""
    if request.method == "POST" and all(form.is_valid() for form in forms):
        given = {
            one.answer.pk: services.Verdict(**form.cleaned_data)
            for one, form in zip(written, forms, strict=True)
            if form.cleaned_data["passes"] is not None
        }
        try:
            judged = services.judge_test(attempt, given, judged_by=request.user)
        except services.ServiceError as error:
            problem = str(error)
            if data is not None and isinstance(error, services.JudgedMeanwhileError):
                # The other verdict is told with the refusal, so it may be replaced knowingly.
                data[f"answer-{error.answer_id}-shown"] = error.digest
        else:
            messages.success(request, _outcome(judged))
            return SeeOther(reverse("annotations:tests_to_judge", args=[attempt.project_id]))
    context = {
        "project": attempt.project,
        "membership": access.get_membership_for(request.user, attempt.project_id),
        "attempt": attempt,
        "guideline": selectors.guideline_in_force(attempt.project, attempt.kind),
        "written": list(zip(written, forms, strict=True)),
        "problem": problem,
        "is_asked": attempt.project.kind_rules.filter(kind=attempt.kind, is_tested=True).exists(),
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "annotations/judge_test.html", context, status=status)


def _verdict_form(answer: ScreeningAnswer, data: QueryDict | None) -> VerdictForm:
    verdict = getattr(answer, "verdict", None)
    initial = verdict and {
        "passes": "yes" if verdict.passes else "no",
        "reason": verdict.reason,
        "shown": services.Verdict(verdict.passes, verdict.reason).digest,
    }
    return VerdictForm(data, prefix=f"answer-{answer.pk}", initial=initial)


def _outcome(judged: TestAttempt) -> str:
    if judged.passed is None:
        return "Saved. The test is decided once all its texts are judged."
    how = "passed" if judged.passed else "not passed"
    return f"Test {judged.pk} is {how}, with {judged.percent} %. Its author reads your reasons."


def _rule(request: AuthenticatedRequest, project_id: int, kind: str) -> tuple[Project, KindRule]:
    project = access.get_project_for(request.user, project_id)
    rule = selectors.rule_of(request.user, project, kind)
    if rule is None:
        raise Http404("This kind of work has no test.")
    return project, rule


def _page(
    request: AuthenticatedRequest,
    project: Project,
    rule: KindRule,
    form: AnswerForm | None,
    *,
    lost: str = "",
) -> HttpResponse:
    """Show where a person is. A lost text is one that answers no question of theirs any more."""
    question = selectors.next_question(request.user, rule)
    standing = selectors.qualification_of(request.user, rule)
    told = [] if question else [one for one in standing.attempts if _is_told(one)]
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.pk),
        "rule": rule,
        "standing": standing,
        "question": question,
        "is_written": rule.kind in WRITTEN_KINDS,
        "judged": [(one, selectors.written_in(one)) for one in told],
        "form": form or (answer_form(question) if question else None),
        "asking": ASKING[Kind(rule.kind)],
        "lost": lost,
        # As owners judge only what others write.
        "is_only_owner": rule.kind in WRITTEN_KINDS
        and not selectors.has_another_owner(project, request.user),
    }
    status = 409 if lost else 422 if form else 200
    return render(request, "annotations/qualify.html", context, status=status)


def _explain(
    request: AuthenticatedRequest,
    project: Project,
    rule: KindRule,
    question: selectors.Question,
    given: ScreeningAnswer,
) -> HttpResponse:
    context: dict[str, Any] = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.pk),
        "rule": rule,
        "question": question,
        "given": given,
        "percent": int(round(100 * given.share, 6)),
        "is_written": rule.kind in WRITTEN_KINDS,
        "why": question.item.practice.why,
    }
    known = selectors.known_answer(question.item)
    if rule.kind in WRITTEN_KINDS:
        context["example"] = known
    elif rule.kind == Kind.RATING:
        context["points"] = selectors.rated_in_words(question, given.said)
    else:
        context["said"] = selectors.in_letters(question, given.said)
        context["known"] = selectors.in_letters(question, known)
    return render(request, "annotations/practice_answer.html", context)


def _is_told(attempt: TestAttempt) -> bool:
    """Say whether the author of a test reads what was said of each answer: of texts alone."""
    return attempt.kind in WRITTEN_KINDS and attempt.passed is not None
