"""Groups, rules for kinds of work, practice, tests, and what owners decide by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations.algorithms.text import MAX_COMPLETION_CHARS, unix_newlines
from annotations.models import (
    WRITTEN_KINDS,
    Group,
    Item,
    Kind,
    KindRule,
    Membership,
    PracticeItem,
    Project,
    Review,
    ScreeningAnswer,
    TestAttempt,
    User,
)
from annotations.selectors.members import has_another_owner
from annotations.selectors.qualification import qualification_of
from annotations.selectors.screening import (
    OUTCOMES,
    SCREENED,
    gold_items,
    question_about,
    share_right,
)
from annotations.services.ratings import check_answers
from annotations.services.rewrites import check_new_text
from annotations.services.rules import ServiceError, check, lock

MAX_WHY_CHARS = 4000
MOST_QUESTIONS = 100
MOST_ATTEMPTS = 100

_SYSTEM_RANDOM = random.SystemRandom()


@transaction.atomic
def save_group(project: Project, name: str, members: Sequence[int]) -> Group:
    """Make a group of these memberships, or change the one that has this name."""
    name = check(name.strip(), "The name", 60)
    if not name:
        raise ServiceError("The group has no name. Give it one.")
    lock(project)
    group, _ = Group.objects.get_or_create(project=project, name=name)
    group.members.set(Membership.objects.filter(project=project, id__in=members))
    return group


@transaction.atomic
def delete_group(group: Group) -> None:
    """Forget a group that no kind of work is kept for. Its members stay members."""
    lock(group.project)
    if rule := group.rules.first():
        raise ServiceError(
            f"“{rule.get_kind_display()}” is kept for this group. Open it to others first."
        )
    group.delete()


@transaction.atomic
def set_kind_rule(
    project: Project,
    kind: str,
    *,
    group: Group | None,
    is_tested: bool,
    pass_percent: int,
    questions: int,
    attempts: int,
) -> KindRule:
    """Decide whom the queue hands a kind of work from now on."""
    if kind not in Kind.values:
        raise ServiceError(f"Choose a kind of work: {', '.join(Kind.values)}.")
    if is_tested and kind not in SCREENED:
        raise ServiceError(f"There is no test for “{Kind(kind).label}”. Keep it for a group.")
    if group is not None and group.project_id != project.pk:
        raise ServiceError("Choose a group of this project.")
    within = (
        0 <= pass_percent <= 100
        and 1 <= questions <= MOST_QUESTIONS
        and 1 <= attempts <= MOST_ATTEMPTS
    )
    if not within:
        raise ServiceError(
            f"Choose 0 to 100 %, 1 to {MOST_QUESTIONS} questions and 1 to {MOST_ATTEMPTS} goes."
        )
    rule, _ = KindRule.objects.update_or_create(
        project=project,
        kind=kind,
        defaults={
            "group": group,
            "is_tested": is_tested,
            "pass_percent": pass_percent,
            "questions": questions,
            "attempts": attempts,
        },
    )
    return rule


@transaction.atomic
def practise_with(item: Item, why: str) -> PracticeItem:
    """Let people practise with a gold item, which is then asked in tests and unseen no more."""
    is_asked = gold_items(item.project, item.kind).filter(id=item.pk).exists()
    if item.kind not in SCREENED or not (is_asked or hasattr(item, "practice")):
        raise ServiceError("Choose a gold item that tests ask.")
    why = check(unix_newlines(why.strip()), "The explanation", MAX_WHY_CHARS)
    if not why:
        raise ServiceError("Say why the known answer is right: people read it after theirs.")
    practice, _ = PracticeItem.objects.update_or_create(item=item, defaults={"why": why})
    return practice


def stop_practising_with(item: Item) -> None:
    """Use an item for practice no more. Who has seen its answer is not asked it again."""
    PracticeItem.objects.filter(item=item).delete()


@transaction.atomic
def answer_practice(person: User, item: Item, said: Any) -> ScreeningAnswer:
    """Keep what somebody said in practice; the first answer counts."""
    answer, _ = ScreeningAnswer.objects.get_or_create(
        person=person, item=item, attempt=None, defaults=_scored(person, item, said)
    )
    return answer


@transaction.atomic
def begin_test(rule: KindRule, person: User, *, rng: random.Random = _SYSTEM_RANDOM) -> TestAttempt:
    """Draw a test: items that are new to a person, as far as there are any. One runs at a time."""
    lock(rule.project)
    standing = qualification_of(person, rule)
    if standing.running:
        return standing.running
    if not rule.is_tested:
        raise ServiceError(_("No test is asked for this kind of work any more."))
    if standing.decision:
        raise ServiceError(
            _("An owner has decided about this by hand, so there is no test to take.")
        )
    if standing.passed:
        raise ServiceError(_("You have passed already. Start with the work."))
    if standing.waiting:
        raise ServiceError(_("Your last test is still to be judged. Wait for that."))
    if standing.practice_left:
        raise ServiceError(_("Finish the practice first."))
    if not standing.attempts_left:
        raise ServiceError(_("You have used all your goes. Ask an owner of the project."))
    if rule.kind in WRITTEN_KINDS and not has_another_owner(rule.project, person):
        raise ServiceError(
            _(
                "You are the only owner, so nobody could judge your test. Qualify yourself by hand "
                "on your own page, or make somebody else an owner."
            )
        )
    items = _draw(rule, person, rng)
    if not items:
        raise ServiceError(_("There are no questions yet. Ask an owner to make gold items."))
    return TestAttempt.objects.create(
        project=rule.project,
        kind=rule.kind,
        person=person,
        items=items,
        pass_percent=rule.pass_percent,
    )


@transaction.atomic
def answer_test(attempt: TestAttempt, item: Item, said: Any) -> TestAttempt:
    """Keep an answer to the question that comes next; the last one decides the test.

    What was written waits for an owner instead. `said` is an outcome as the person saw it, tiers
    of completions, points by completion and question, a decision, or a text.
    """
    current = TestAttempt.objects.select_for_update().get(id=attempt.pk)
    done = current.answers.count()
    if current.finished_at is not None or current.items[done] != item.pk:
        return current  # sent twice, or from a page that is behind
    answer = ScreeningAnswer(
        person=current.person, item=item, attempt=current, **_scored(current.person, item, said)
    )
    answer.save(force_insert=True)
    current.right += answer.is_right
    if done + 1 == len(current.items):
        current.finished_at = timezone.now()
        if current.kind not in WRITTEN_KINDS:
            decide_test(current)
    current.save(update_fields=["right", "score", "passed", "finished_at"])
    return current


def decide_test(attempt: TestAttempt) -> None:
    """Say whether a test is passed: the mean share of its answers that is right."""
    shares = [answer.share for answer in attempt.answers.all()]
    attempt.right = sum(share == 1 for share in shares)
    attempt.score = sum(shares) / len(shares)
    # Thirds do not add up to one in the last bits.
    attempt.passed = round(100 * attempt.score, 6) >= attempt.pass_percent


def _scored(person: User, item: Item, said: Any) -> dict[str, Any]:
    """Return an answer as it is kept, with how much of it is right. A text is for an owner."""
    kept = _checked(person, item, said)
    if item.kind in WRITTEN_KINDS:
        return {"said": kept, "is_right": False}
    share = share_right(item, kept)
    score = share if item.kind in (Kind.RANKING, Kind.RATING) else None
    return {"said": kept, "is_right": share == 1, "score": score}


def _checked(person: User, item: Item, said: Any) -> Any:
    """Return what was said as it is kept, or say what is wrong with it."""
    question = question_about(person, item, 0, 0)
    match Kind(item.kind):
        case Kind.COMPARISON:
            if said not in OUTCOMES:
                raise ServiceError(_("Choose which completion is better, a tie, or “both bad”."))
            return question.better(said)
        case Kind.RANKING:
            if sorted(one for tied in said for one in tied) != sorted(question.order):
                raise ServiceError(_("Give every completion a place, each exactly once."))
            return [list(tied) for tied in said]
        case Kind.RATING:
            scheme = item.rating_scheme
            answers = check_answers(scheme.questions if scheme else [], question.order, said)
            return {str(completion): points for completion, points in answers.items()}
        case Kind.REVIEW:
            if said not in Review.Decision.values:
                raise ServiceError(_("Choose whether you accept the text, fix it or reject it."))
            return str(said)
        case Kind.REWRITE:
            return check_new_text(said, question.texts[0])
        case _:
            text = check(unix_newlines(said), gettext_noop("Your text"), MAX_COMPLETION_CHARS)
            if not text.strip():
                raise ServiceError(_("Your text is empty. Write it."))
            return text


def _draw(rule: KindRule, person: User, rng: random.Random) -> list[int]:
    """Return the questions of a test; those that a person had before only where too few are new.

    A question was had as an item that asks the same, too.
    """
    gold = gold_items(rule.project, rule.kind).exclude(subject__annotator=person)
    every = dict(gold.values_list("id", "fingerprint"))
    asked = person.assignments.filter(item__project=rule.project, item__kind=rule.kind)
    seen = {
        *ScreeningAnswer.objects.filter(person=person).values_list("item_id", flat=True),
        *asked.filter(item__in=every).values_list("item_id", flat=True),
    }
    prints = set(asked.exclude(fingerprint="").values_list("fingerprint", flat=True))
    seen |= {item for item, fingerprint in every.items() if fingerprint in prints}
    drawn = list(every)
    rng.shuffle(drawn)
    drawn = sorted(drawn, key=lambda item: item in seen)[: rule.questions]
    rng.shuffle(drawn)
    return drawn
