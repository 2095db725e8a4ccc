"""Groups, rules for kinds of work, practice and tests."""

from __future__ import annotations

import random
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from annotations.algorithms.text import unix_newlines
from annotations.models import (
    Group,
    Item,
    Kind,
    KindRule,
    Membership,
    PracticeItem,
    Project,
    ScreeningAnswer,
    TestAttempt,
    User,
)
from annotations.selectors.qualification import (
    OUTCOMES,
    SCREENED,
    gold_items,
    known_answer,
    qualification_of,
    question_about,
)
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
    if item.purpose != Item.Purpose.GOLD or item.kind not in SCREENED:
        raise ServiceError("Choose a gold comparison.")
    why = check(unix_newlines(why.strip()), "The explanation", MAX_WHY_CHARS)
    if not why:
        raise ServiceError("Say why the known answer is right: people read it after theirs.")
    practice, _ = PracticeItem.objects.update_or_create(item=item, defaults={"why": why})
    return practice


def stop_practising_with(item: Item) -> None:
    """Use an item for practice no more. Who has seen its answer is not asked it again."""
    PracticeItem.objects.filter(item=item).delete()


@transaction.atomic
def answer_practice(person: User, item: Item, outcome: str) -> ScreeningAnswer:
    """Keep what somebody said in practice; the first answer counts."""
    better = _better(person, item, outcome)
    answer, _ = ScreeningAnswer.objects.get_or_create(
        person=person,
        item=item,
        attempt=None,
        defaults={"better": better, "is_right": better == known_answer(item)},
    )
    return answer


@transaction.atomic
def begin_test(rule: KindRule, person: User, *, rng: random.Random = _SYSTEM_RANDOM) -> TestAttempt:
    """Draw a test: items that are new to a person, as far as there are any. One runs at a time."""
    lock(rule.project)
    standing = qualification_of(person, rule)
    if standing.running:
        return standing.running
    if standing.passed:
        raise ServiceError("You have passed already. Start with the work.")
    if standing.practice_left:
        raise ServiceError("Finish the practice first.")
    if not standing.attempts_left:
        raise ServiceError("You have used all your goes. Ask an owner of the project.")
    items = _draw(rule, person, rng)
    if not items:
        raise ServiceError("There are no questions yet. Ask an owner to make gold items.")
    return TestAttempt.objects.create(
        project=rule.project,
        kind=rule.kind,
        person=person,
        items=items,
        pass_percent=rule.pass_percent,
    )


@transaction.atomic
def answer_test(attempt: TestAttempt, item: Item, outcome: str) -> TestAttempt:
    """Keep an answer to the question that comes next; the last one decides the test."""
    current = TestAttempt.objects.select_for_update().get(id=attempt.pk)
    done = current.answers.count()
    if current.passed is not None or current.items[done] != item.pk:
        return current  # sent twice, or from a page that is behind
    better = _better(current.person, item, outcome)
    is_right = better == known_answer(item)
    ScreeningAnswer.objects.create(
        person=current.person, item=item, attempt=current, better=better, is_right=is_right
    )
    current.right += is_right
    if done + 1 == len(current.items):
        current.passed = 100 * current.right >= current.pass_percent * len(current.items)
        current.finished_at = timezone.now()
    current.save(update_fields=["right", "passed", "finished_at"])
    return current


def _better(person: User, item: Item, outcome: str) -> int | str:
    if outcome not in OUTCOMES:
        raise ServiceError("Choose which completion is better, a tie, or “both bad”.")
    return question_about(person, item, 0, 0).better(outcome)


def _draw(rule: KindRule, person: User, rng: random.Random) -> list[int]:
    """Return the questions of a test; those that a person had before only where too few are new."""
    every = list(gold_items(rule.project, rule.kind).values_list("id", flat=True))
    seen = {
        *ScreeningAnswer.objects.filter(person=person).values_list("item_id", flat=True),
        *person.assignments.filter(item__in=every).values_list("item_id", flat=True),
    }
    rng.shuffle(every)
    drawn = sorted(every, key=lambda item: item in seen)[: rule.questions]
    rng.shuffle(drawn)
    return drawn
