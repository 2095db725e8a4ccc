"""Practising a kind of work and taking its test; and judging what was written in tests."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from django.http import Http404, QueryDict
from pydantic import Field, StringConstraints

from annotations import access, selectors, services
from annotations.api.handing_in import Answers, Letter, Text, fields_of_answer
from annotations.api.handing_in import RankingIn as RankingAnswer
from annotations.api.handing_in import RatingIn as RatingAnswer
from annotations.api.labelling import QuestionOut, Shown
from annotations.api.operations import LARGEST_ID, Answer, Body, Call, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.api.people import ReasonText
from annotations.api.problems import Problem, expect_valid
from annotations.api.prompts import MessageOut, messages_out
from annotations.forms.qualification import answer_form, said_in
from annotations.models import (
    WRITTEN_KINDS,
    Kind,
    KindRule,
    Project,
    Role,
    Scope,
    ScreeningAnswer,
    TestAttempt,
)
from annotations.selectors import Question, Written
from annotations.services.qualification import MAX_WHY_CHARS

operations = Operations("Qualification")

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]


class AskedOut(Answer):
    """What is asked next, in practice or in a test, as one person sees it."""

    item: int
    number: int
    of: int
    messages: list[MessageOut]
    completions: list[Shown]
    questions: list[QuestionOut]


class JudgedText(Answer):
    """What somebody wrote in a test, and what an owner said of it."""

    messages: list[MessageOut]
    text: str
    passes: bool
    reason: str


class AttemptOut(Answer):
    """One go at a test."""

    id: int
    state: Literal["running", "waiting", "passed", "failed"] = Field(
        description="`waiting`: an owner is to judge what was written."
    )
    percent: int | None = Field(description="How much was right, once it is decided.")
    pass_percent: int
    begun_at: datetime
    finished_at: datetime | None
    judged: list[JudgedText] = Field(description="Of texts, once all of them are judged.")


class QualificationOut(Answer):
    """How far the owner of the token is in qualifying for a kind of work."""

    kind: Kind
    is_tested: bool
    pass_percent: int
    practice_left: int
    attempts: list[AttemptOut]
    attempts_left: int
    decision: str | None = Field(description="Why an owner decided by hand, if one did.")
    is_granted: bool | None = Field(description="What they decided.")
    question: AskedOut | None = Field(
        description="Of the test that runs, or else of the practice; null where none is asked."
    )


class ComparisonSaid(Body):
    """Which is better: left is A, right is B."""

    kind: Literal["comparison"]
    outcome: Literal["left", "right", "tie", "both_bad"]


class RankingSaid(Body):
    """Letters in tiers, best first; those in one tier are tied."""

    kind: Literal["ranking"]
    tiers: list[list[Letter]] = Field(min_length=1, max_length=26)


class RatingSaid(Body):
    """Answers to the questions: by letter and question, a point of the scale, or 0 or 1."""

    kind: Literal["rating"]
    answers: Answers


class ReviewSaid(Body):
    """What is to be said of A."""

    kind: Literal["review"]
    decision: Literal["accept", "fix", "reject"]


class TextSaid(Body):
    """The text that is asked for."""

    kind: Literal["demonstration", "rewrite", "assembly"]
    text: Text


class SaidInTest(Body):
    """An answer in practice or in a test."""

    item: Id = Field(description="Of the question that it answers.")
    answer: Annotated[
        ComparisonSaid | RankingSaid | RatingSaid | ReviewSaid | TextSaid,
        Field(discriminator="kind"),
    ]


class PointOut(Answer):
    """A point of a rating, what was said and what is known."""

    letter: str
    question: str
    said: str
    known: str
    is_right: bool


class Explained(Answer):
    """What is known of a question of the practice."""

    is_right: bool | None = Field(description="Null: of a text nothing is known.")
    percent: int | None
    known: str = Field(description="In words, or an example of a text; of a rating, see `points`.")
    points: list[PointOut]
    why: str


class AnsweredQuestion(Answer):
    """What came of an answer: in practice what is known, in a test nothing before its end."""

    explained: Explained | None
    now: QualificationOut


class TestLine(Answer):
    """A test of what people write that waits to be judged. Whose it is nobody is told."""

    id: int
    kind: Kind
    texts: int
    judged: int
    finished_at: datetime


class VerdictOut(Answer):
    """What an owner said of a text."""

    passes: bool
    reason: str
    digest: str


class WrittenOut(Answer):
    """A text of a test, the question and an example of a good answer."""

    answer: int
    messages: list[MessageOut]
    completions: list[Shown]
    text: str
    example: str
    verdict: VerdictOut | None


class TestToJudge(Answer):
    """What somebody wrote in a test, whoever it is."""

    id: int
    kind: Kind
    state: Literal["running", "waiting", "passed", "failed"]
    guideline: int | None
    texts: list[WrittenOut]


class VerdictIn(Body):
    """Whether a text passes by the guidelines, and why."""

    answer: Id
    passes: bool
    reason: Annotated[ReasonText, StringConstraints(max_length=MAX_WHY_CHARS)] = Field(
        description="Its author reads it once all of the test is judged."
    )
    instead_of: Annotated[str, StringConstraints(max_length=64)] = Field(
        "", description="The `digest` of the verdict that this takes the place of."
    )


class Verdicts(Body):
    """Verdicts on some of the texts of a test, or all."""

    verdicts: list[VerdictIn] = Field(min_length=1, max_length=100)


KIND = "projects/<int:project_id>/qualification/<str:kind>"


@operations.get(KIND)
def get_qualification(call: Call, project_id: int, kind: str) -> QualificationOut:
    """Show how far the owner of the token is in qualifying for a kind of work, and what is asked.

    Which items are gold it tells nobody: what it asks is asked of them in no other work.
    """
    return _standing(call, _rule(call, project_id, kind))


@operations.post(f"{KIND}/test", Scope.LABEL, status=201)
def begin_test(call: Call, project_id: int, kind: str) -> QualificationOut:
    """Begin the test of a kind of work, after its practice. One that runs is gone on with."""
    rule = _rule(call, project_id, kind)
    services.begin_test(rule, call.user)
    return _standing(call, rule)


@operations.post(f"{KIND}/answers", Scope.LABEL)
def answer_question(call: Call, project_id: int, kind: str, body: SaidInTest) -> AnsweredQuestion:
    """Answer the question that is asked: in practice it is told at once what is known.

    In a test the last answer decides, or has an owner judge what was written.
    """
    rule = _rule(call, project_id, kind)
    question = selectors.next_question(call.user, rule)
    if question is None or question.item.pk != body.item:
        raise Problem(
            "not-possible",
            "That answers no question that is asked now: it was answered before, or is asked no "
            "more. Get this address again.",
        )
    if body.answer.kind != rule.kind:
        raise Problem("wrong-body", f"This takes a {rule.kind}, not a {body.answer.kind}.")
    form = answer_form(question, _data(question, body))
    expect_valid(form)
    running = selectors.qualification_of(call.user, rule).running
    explained = None
    if running is None:
        given = services.answer_practice(call.user, question.item, said_in(form))
        explained = _explained(question, given)
    else:
        services.answer_test(running, question.item, said_in(form))
    return AnsweredQuestion(explained=explained, now=_standing(call, rule))


@operations.get("projects/<int:project_id>/tests")
def list_tests_to_judge(call: Call, project_id: int, query: Paged) -> Page[TestLine]:
    """List the written tests that wait for an owner, without the names of their authors."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    found = selectors.tests_to_judge(project, call.user).prefetch_related("answers__verdict")
    return page_of(found, query, _test_line)


@operations.get("tests/<int:attempt_id>")
def get_test_to_judge(call: Call, attempt_id: int) -> TestToJudge:
    """Show what somebody wrote in a test, whoever it is. Other owners can."""
    return _to_judge(access.get_test_to_judge_for(call.user, attempt_id))


@operations.post("tests/<int:attempt_id>/verdicts", Scope.WRITE)
def judge_test(call: Call, attempt_id: int, body: Verdicts) -> TestToJudge:
    """Say of texts of a test whether they pass, and why; once all are judged it is decided.

    A verdict that somebody else gave meanwhile is replaced by who names its digest alone.
    """
    attempt = access.get_test_to_judge_for(call.user, attempt_id)
    known = {one.answer.pk for one in selectors.written_in(attempt)}
    if foreign := sorted({one.answer for one in body.verdicts} - known):
        raise Problem("not-possible", f"Answer {foreign[0]} is not one of this test. Get it again.")
    verdicts = {
        one.answer: services.Verdict(one.passes, one.reason, one.instead_of)
        for one in body.verdicts
    }
    return _to_judge(services.judge_test(attempt, verdicts, judged_by=call.user))


def _rule(call: Call, project_id: int, kind: str) -> KindRule:
    project: Project = access.get_project_for(call.user, project_id)
    rule = selectors.rule_of(call.user, project, kind)
    if rule is None:
        raise Http404("This kind of work has no test.")
    return rule


def _data(question: Question, body: SaidInTest) -> QueryDict:
    """Return an answer as the form of the page sends it."""
    data = QueryDict(mutable=True)
    shown = len(question.order)
    match body.answer:
        case ComparisonSaid():
            data["outcome"] = body.answer.outcome
        case ReviewSaid():
            data["decision"] = body.answer.decision
        case TextSaid():
            data["text"] = body.answer.text
        case RankingSaid():
            ranked = RankingAnswer(kind="ranking", tiers=body.answer.tiers, answers={})
            data.update(fields_of_answer(shown, ranked))
        case RatingSaid():
            rated = RatingAnswer(kind="rating", answers=body.answer.answers)
            data.update(fields_of_answer(shown, rated))
    return data


def _standing(call: Call, rule: KindRule) -> QualificationOut:
    standing = selectors.qualification_of(call.user, rule)
    question = selectors.next_question(call.user, rule)
    return QualificationOut(
        kind=Kind(rule.kind),
        is_tested=rule.is_tested,
        pass_percent=rule.pass_percent,
        practice_left=standing.practice_left,
        attempts=[_attempt(one) for one in standing.attempts],
        attempts_left=standing.attempts_left,
        decision=standing.decision.reason if standing.decision else None,
        is_granted=standing.decision.is_granted if standing.decision else None,
        question=_asked(question) if question else None,
    )


def _asked(question: Question) -> AskedOut:
    scheme = question.item.rating_scheme
    return AskedOut(
        item=question.item.pk,
        number=question.number,
        of=question.of,
        messages=messages_out(question.item.prompt.messages),
        completions=_lettered(question),
        questions=[QuestionOut(**one) for one in scheme.questions] if scheme else [],
    )


def _lettered(question: Question) -> list[Shown]:
    return [Shown(letter=letter, text=text) for letter, text in question.lettered]


def _state(attempt: TestAttempt) -> Literal["running", "waiting", "passed", "failed"]:
    if attempt.passed is None:
        return "waiting" if attempt.is_waiting else "running"
    return "passed" if attempt.passed else "failed"


def _attempt(attempt: TestAttempt) -> AttemptOut:
    is_told = attempt.kind in WRITTEN_KINDS and attempt.passed is not None
    return AttemptOut(
        id=attempt.pk,
        state=_state(attempt),
        percent=None if attempt.passed is None else attempt.percent,
        pass_percent=attempt.pass_percent,
        begun_at=attempt.created_at,
        finished_at=attempt.finished_at,
        judged=[
            JudgedText(
                messages=messages_out(one.question.item.prompt.messages),
                text=one.answer.said,
                passes=one.answer.verdict.passes,
                reason=one.answer.verdict.reason,
            )
            for one in selectors.written_in(attempt)
        ]
        if is_told
        else [],
    )


def _explained(question: Question, given: ScreeningAnswer) -> Explained:
    kind, known = question.item.kind, selectors.known_answer(question.item)
    is_written = kind in WRITTEN_KINDS
    points = selectors.rated_in_words(question, given.said) if kind == Kind.RATING else []
    words = ""
    if is_written:
        words = str(known)
    elif kind != Kind.RATING:
        words = selectors.in_letters(question, known)
    return Explained(
        is_right=None if is_written else given.is_right,
        percent=None if is_written else int(round(100 * given.share, 6)),
        known=words,
        points=[
            PointOut(
                letter=one.letter,
                question=one.text,
                said=one.given,
                known=one.known,
                is_right=one.is_right,
            )
            for one in points
        ],
        why=question.item.practice.why,
    )


def _test_line(attempt: TestAttempt) -> TestLine:
    assert attempt.finished_at is not None  # of what waits to be judged
    return TestLine(
        id=attempt.pk,
        kind=Kind(attempt.kind),
        texts=len(attempt.items),
        judged=sum(hasattr(answer, "verdict") for answer in attempt.answers.all()),
        finished_at=attempt.finished_at,
    )


def _to_judge(attempt: TestAttempt) -> TestToJudge:
    guideline = selectors.guideline_in_force(attempt.project, attempt.kind)
    return TestToJudge(
        id=attempt.pk,
        kind=Kind(attempt.kind),
        state=_state(attempt),
        guideline=guideline.pk if guideline else None,
        texts=[_written(one) for one in selectors.written_in(attempt)],
    )


def _written(one: Written) -> WrittenOut:
    verdict = getattr(one.answer, "verdict", None)
    return WrittenOut(
        answer=one.answer.pk,
        messages=messages_out(one.question.item.prompt.messages),
        completions=_lettered(one.question),
        text=one.answer.said,
        example=one.example,
        verdict=VerdictOut(
            passes=verdict.passes,
            reason=verdict.reason,
            digest=services.Verdict(verdict.passes, verdict.reason).digest,
        )
        if verdict
        else None,
    )
