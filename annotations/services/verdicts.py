"""Judging what was written in a test, without knowing whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from django.db import transaction

from annotations.algorithms.text import unix_newlines
from annotations.models import TestAttempt, TestVerdict, User
from annotations.services.qualification import MAX_WHY_CHARS, decide_test
from annotations.services.rules import ServiceError, check


class Verdict(NamedTuple):
    """Whether a text passes by the guidelines, and why."""

    passes: bool
    reason: str
    shown: str = ""
    """The digest of the verdict that was there when this one was given; empty: there was none."""

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.passes} {self.reason}".encode()).hexdigest()


class JudgedMeanwhileError(ServiceError):
    """Somebody else judged the text after it was shown. The digest is of what they said."""

    def __init__(self, number: int, answer_id: int, stored: Verdict) -> None:
        how = "passes" if stored.passes else "fails"
        super().__init__(
            f"Somebody judged text {number} meanwhile: it {how}, because “{stored.reason}” "
            "Save again to put your words in place of theirs."
        )
        self.answer_id, self.digest = answer_id, stored.digest


@transaction.atomic
def judge_test(
    attempt: TestAttempt, verdicts: Mapping[int, Verdict], *, judged_by: User
) -> TestAttempt:
    """Keep what an owner says of answers, by their ids; once all are judged the test is decided.

    Until then a verdict can be changed. One that is as it was shown leaves alone what is stored;
    one that was given without knowing of another does not replace it.
    """
    current = TestAttempt.objects.select_for_update().get(id=attempt.pk)
    if current.person_id == judged_by.pk:
        raise ServiceError("This test is your own. Somebody else judges it.")
    if not current.is_waiting:
        raise ServiceError("This test is decided already, or is still to be finished.")
    answers = {answer.pk: answer for answer in current.answers.order_by("id")}
    stored = {
        one.pk: Verdict(one.passes, one.reason)
        for one in TestVerdict.objects.filter(answer__attempt=current)
    }
    for answer_id, verdict in verdicts.items():
        reason = check(unix_newlines(verdict.reason.strip()), "The reason", MAX_WHY_CHARS)
        if not reason:
            raise ServiceError("Say why each text passes or fails: its author reads it.")
        given, known = verdict._replace(reason=reason), stored.get(answer_id)
        if given.digest in (given.shown, known and known.digest):
            continue
        if known is not None and known.digest != given.shown:
            raise JudgedMeanwhileError(list(answers).index(answer_id) + 1, answer_id, known)
        TestVerdict.objects.update_or_create(
            answer=answers[answer_id],
            defaults={"passes": verdict.passes, "reason": reason, "judged_by": judged_by},
        )
    judged = dict(TestVerdict.objects.filter(answer__attempt=current).values_list("pk", "passes"))
    if len(judged) == len(current.items):
        current.answers.filter(id__in=[pk for pk, passes in judged.items() if passes]).update(
            is_right=True
        )
        decide_test(current)
        current.save(update_fields=["right", "score", "passed"])
    return current
