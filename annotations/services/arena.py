"""Battles as whoever asks has them: a question, two answers, a vote, and the vote taken back.

Every step is said once: a second vote, from another tab or a double click, changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import get_language, gettext_noop
from django.utils.translation import gettext as _

from annotations import queue
from annotations.algorithms.broken_answers import is_error_text
from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.identity import asks_who, names_model
from annotations.algorithms.text import (
    MAX_COMPLETION_CHARS,
    MAX_PROMPT_CHARS,
    TextError,
    check_text,
    unix_newlines,
)
from annotations.importers import Messages, user_turn
from annotations.models import (
    Assignment,
    AssignmentEvent,
    Battle,
    Comparison,
    Completion,
    Item,
    Kind,
    Project,
    Prompt,
    User,
    in_force,
)
from annotations.selectors.arena import asked_today, liked_answer, vote_of
from annotations.services.assignments import undo
from annotations.services.prompts import prompt_of
from annotations.services.rules import ServiceError, check, lock
from annotations.services.submissions import annotate

MAX_QUESTIONS = 12
"""In one conversation: what is said grows with each, and so does what every answer costs."""

NO_ANSWER = gettext_noop(
    "An answer did not come, so there is nothing to vote on. Ask again; if it happens again, tell "
    "an engineer of the project, for whom the sampling worker's log says why."
)

Mark = Battle.Mark
State = Battle.State


@dataclass(frozen=True)
class Written:
    """An answer that was written to its end."""

    text: str
    sampling: dict[str, Any] = field(default_factory=dict)


def question_to_ask(
    project: Project, user: User, text: str, *, after: Battle | None = None, daily_limit: int
) -> Messages:
    """Return the messages that two checkpoints are to answer, or raise ServiceError.

    A message `after` a battle goes on with the answer that was preferred there; after a tie with A,
    whose place was drawn.
    """
    text = check(unix_newlines(text), gettext_noop("Your question"), MAX_PROMPT_CHARS).strip()
    if not text:
        raise ServiceError(_("Your question is empty. Write what two models should answer."))
    if project.is_paused:
        raise ServiceError(_("The project is paused, so nothing was asked. Ask one of its owners."))
    _expect_below(daily_limit, project, user)
    if after is None:
        return user_turn(text)
    liked = liked_answer(after)
    if liked is None:
        raise ServiceError(
            _(
                "There is no answer to go on with. Vote for one of them, or for a tie, or ask "
                "something new."
            )
        )
    said = after.prompt.messages
    if sum(message["role"] == "user" for message in said) >= MAX_QUESTIONS:
        raise ServiceError(
            _(
                "A conversation has %(most)s questions at most, and this one has them. Ask "
                "something new."
            )
            % {"most": MAX_QUESTIONS}
        )
    return (
        *({"role": one["role"], "content": one["content"]} for one in said),
        {"role": "assistant", "content": liked.text},
        *user_turn(text),
    )


@transaction.atomic
def open_battle(
    project: Project,
    user: User,
    messages: Messages,
    checkpoints: tuple[int, int],
    *,
    after: Battle | None = None,
    daily_limit: int,
) -> Battle:
    """Keep a question that two checkpoints are answering; the first is shown as A."""
    lock(project)
    _expect_below(daily_limit, project, user)
    asked = [message["content"] for message in messages if message["role"] == "user"]
    left, right = checkpoints
    return Battle.objects.create(
        project=project,
        voter=user,
        prompt=prompt_of(
            project,
            messages,
            user,
            split=after.prompt.split if after else "",
            origin=Prompt.Origin.ARENA,
        ),
        previous=after,
        left_checkpoint_id=left,
        right_checkpoint_id=right,
        marks=[Mark.ASKS_WHO.value] if any(map(asks_who, asked)) else [],
        asked_at=Now(),
    )


def note_generations(battle: Battle, names: tuple[str, str], *, instead_of: list[str]) -> bool:
    """Keep what names the answers while they are written, in the place of others.

    Return False if somebody else has begun them meanwhile, or they have ended.
    """
    writing = Battle.objects.filter(id=battle.pk, state=State.WRITING, generations=list(instead_of))
    return writing.update(generations=list(names), read_at=Now()) == 1


def note_reader(battle: Battle) -> None:
    """Keep that somebody reads the answers at this moment."""
    Battle.objects.filter(id=battle.pk, state=State.WRITING).update(read_at=Now())


def has_reader(battle: Battle, *, within: timedelta) -> bool:
    """Say whether somebody was seen to read the answers, by the clock of the database."""
    return Battle.objects.filter(id=battle.pk, read_at__gte=Now() - within).exists()


@transaction.atomic
def answer_battle(
    battle: Battle,
    left: Written,
    right: Written,
    *,
    names: Collection[str] = (),
    generations: Sequence[str] = (),
) -> Battle:
    """Keep both answers. `names` are what the checkpoints are called. Twice is once.

    Answers that others were begun in the place of change nothing.
    """
    current = _locked(battle)
    if not _waits_for(current, generations):
        return current
    answers = (left, right)
    if not all(_is_storable(answer.text) for answer in answers):
        return _fail(
            current,
            gettext_noop(
                "A model wrote something that can't be kept: far too much, or half a character. "
                "Ask again."
            ),
        )
    checkpoints = (current.left_checkpoint_id, current.right_checkpoint_id)
    current.left, current.right = (
        Completion.objects.create(
            prompt_id=current.prompt_id,
            text=answer.text,
            origin=Completion.Origin.CHECKPOINT,
            checkpoint_id=checkpoint_id,
            sampling=answer.sampling,
        )
        for answer, checkpoint_id in zip(answers, checkpoints, strict=True)
    )
    texts = [answer.text for answer in answers]
    current.marks = _with(current.marks, _marks_of(texts, current.prompt.text, names))
    current.state, current.answered_at = State.ANSWERED, Now()
    current.save(update_fields=["left", "right", "marks", "state", "answered_at"])
    current.refresh_from_db(fields=["answered_at"])
    return current


@transaction.atomic
def fail_battle(battle: Battle, reason: str, *, generations: Sequence[str] = ()) -> Battle:
    """End a battle without a vote; `reason` is a sentence that says what to do. Twice is once."""
    current = _locked(battle)
    return _fail(current, reason) if _waits_for(current, generations) else current


@transaction.atomic
def vote(battle: Battle, outcome: str) -> Battle:
    """Keep which answer is better: left is A. A vote that is there stays as it is.

    A vote that follows one that was taken back is marked: its voter has seen the names.
    """
    if outcome not in Comparison.Outcome.values:
        raise ServiceError(_("Choose which answer is better, a tie, or “both bad”."))
    current = _locked(battle)
    left, right = current.left, current.right
    if left is None or right is None:
        raise ServiceError(
            why_failed(current) or _("The answers are not there yet. Wait for them, then vote.")
        )
    if vote_of(current) is not None:
        return current
    if Mark.EQUAL_ANSWERS in current.marks and outcome in ("left", "right"):
        raise ServiceError(_("Both answers say the same. Choose a tie, or “both bad”."))
    if current.assignment is None:
        current.assignment = _assign(current, left, right)
        if _was_voted_on(current):
            current.marks = _with(current.marks, [Mark.DUPLICATE])
    else:
        current.marks = _with(current.marks, [Mark.AFTER_REVEAL])
    current.save(update_fields=["assignment", "marks"])
    annotation = annotate(current.assignment)[0]
    Comparison.objects.create(annotation=annotation, left=left, right=right, outcome=outcome)
    return current


def why_failed(battle: Battle) -> str:
    """Return why there is no vote, in the language of whoever asks.

    A model's own sentence is in English; who reads another language is told that it did not come.
    """
    told = _(battle.error) if battle.error else ""
    is_english = get_language() in (None, settings.LANGUAGE_CODE)
    return told if is_english or told != battle.error else _(NO_ANSWER)


@transaction.atomic
def take_back_vote(battle: Battle) -> None:
    """Retract a vote within the grace period. Taking it back twice changes nothing."""
    current = _locked(battle)
    if current.assignment is None:
        raise ServiceError(_("There is no vote to take back. Vote first."))
    if current.followed_by.exists():
        raise ServiceError(_("The conversation has gone on since, so the vote stays as it is."))
    undo(current.assignment)


def _locked(battle: Battle) -> Battle:
    battles = Battle.objects.select_for_update(of=("self",), no_key=True)
    return battles.select_related(
        "project", "voter", "prompt", "left", "right", "assignment__item__project"
    ).get(id=battle.pk)


def _waits_for(current: Battle, generations: Sequence[str]) -> bool:
    return current.state == State.WRITING and current.generations == list(generations)


def _expect_below(daily_limit: int, project: Project, user: User) -> None:
    if asked_today(user, project) >= daily_limit:
        raise ServiceError(
            _(
                "You have asked %(limit)s questions today, which is as many as this project's "
                "arena takes from one person. Come back tomorrow."
            )
            % {"limit": daily_limit}
        )


def _fail(current: Battle, reason: str) -> Battle:
    current.state, current.error = State.FAILED, reason
    current.marks = _with(current.marks, [Mark.FAILED])
    current.save(update_fields=["state", "error", "marks"])
    return current


def _is_storable(text: str) -> bool:
    try:
        check_text(text, field="The answer", max_chars=MAX_COMPLETION_CHARS)
    except TextError:
        return False
    return True


def _marks_of(texts: Sequence[str], asked: str, names: Collection[str]) -> list[Mark]:
    found = {
        Mark.EMPTY_ANSWER: not all(text.strip() for text in texts),
        Mark.ERROR_TEXT: any(map(is_error_text, texts)),
        Mark.EQUAL_ANSWERS: len({text.strip() for text in texts}) == 1,
        Mark.NAMES_MODEL: any(names_model(text, names, asked=asked) for text in texts),
    }
    return [mark for mark, is_so in found.items() if is_so]


def _with(marks: Iterable[str], more: Iterable[Mark]) -> list[str]:
    return sorted({*marks, *(mark.value for mark in more)})


def _was_voted_on(current: Battle) -> bool:
    """Say whether the voter has asked the same before, and a vote on it is in force."""
    again = Battle.objects.filter(voter_id=current.voter_id, prompt_id=current.prompt_id)
    voted = in_force("assignment__annotations__") & Q(assignment__annotations__isnull=False)
    return again.filter(voted).exclude(id=current.pk).exists()


def _assign(current: Battle, left: Completion, right: Completion) -> Assignment:
    """Make the item that the vote is about, already in the hands of whoever asked."""
    item = Item.objects.create(
        project=current.project,
        kind=Kind.COMPARISON,
        prompt=current.prompt,
        purpose=Item.Purpose.ARENA,
        open_slots=0,
        fingerprint=fingerprint_of(
            Kind.COMPARISON, current.prompt.messages, [left.text, right.text]
        ),
        batch="arena",
    )
    item.completions.add(left, right)
    assignment = Assignment.objects.create(
        item=item,
        annotator=current.voter,
        fingerprint=item.fingerprint,
        shown_order=[left.pk, right.pk],
        leased_at=current.answered_at or current.asked_at,
        lease_until=queue.lease_end(current.project),
    )
    assignment.refresh_from_db(fields=["lease_until"])
    queue.record(assignment.pk, AssignmentEvent.Name.LEASED)
    return assignment
