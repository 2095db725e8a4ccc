"""Guidelines: drafts, one for each who writes, and publishing.

Nobody overwrites what somebody else wrote. A page that shows an older revision of one's own draft
saves nothing over it; a draft that was begun from a version which is not in force any more is not
published before its author has seen both.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from annotations import markdown
from annotations.algorithms.clauses import clauses_of
from annotations.algorithms.merge import has_conflicts
from annotations.algorithms.text import TextError, unix_newlines
from annotations.models import (
    EVALUATION,
    GENERAL,
    GUIDELINE_PARTS,
    GuidelineCase,
    GuidelineDraft,
    GuidelineVersion,
    Item,
    Kind,
    Project,
    User,
)
from annotations.selectors.guideline_cases import fingerprint_of_case, gold_conflicts
from annotations.selectors.guidelines import (
    guideline_draft,
    guideline_in_force,
    guideline_version,
)
from annotations.services.gold import retire_gold
from annotations.services.rules import ServiceError, check, lock

MAX_DRAFT_CHARS = 1_000_000
"""Far more than can be published: what does not fit yet is not lost meanwhile."""
MAX_NOTE_CHARS = 300
MOST_ERRORS = 5
"""As many as are read before the first is mended."""


class GuidelineConflict(ServiceError):
    """Somebody published a version after the one that a draft was begun from."""

    def __init__(self, theirs: GuidelineVersion) -> None:
        super().__init__(
            f"{theirs.created_by} has published version {theirs.version} since you began. Your "
            "text is kept; look at both, and publish what shall hold."
        )
        self.theirs = theirs


@dataclass(frozen=True)
class SavedGuideline:
    """What is stored now. Nothing changed where it is `stale`, newer than the page knew."""

    draft: GuidelineDraft
    stale: bool = False


@transaction.atomic
def save_guideline_draft(
    project: Project,
    kind: str,
    text: str,
    user: User,
    *,
    note: str = "",
    revision: int | None = None,
    begun_from: int | None = None,
) -> SavedGuideline:
    """Keep a text as a person's draft of the guidelines for a kind of work, or for every kind.

    A page that knows an older `revision` than the one stored changes nothing. `begun_from` is the
    version that the text has in it; by default the one in force, of a new draft.
    """
    text = check(unix_newlines(text), "The draft", MAX_DRAFT_CHARS)
    note = check(unix_newlines(note).strip(), "The note", MAX_NOTE_CHARS)
    lock(project)
    draft = guideline_draft(project, _part(kind), user)
    if draft is None:
        begun_from = _number_in_force(project, kind) if begun_from is None else begun_from
        return SavedGuideline(
            GuidelineDraft.objects.create(
                project=project, kind=kind, author=user, text=text, note=note, begun_from=begun_from
            )
        )
    if revision is not None and revision != draft.revision:
        return SavedGuideline(draft, stale=(draft.text, draft.note) != (text, note))
    draft.text, draft.note, draft.revision = text, note, draft.revision + 1
    if begun_from is not None:
        draft.begun_from = begun_from
    draft.save()
    return SavedGuideline(draft)


@transaction.atomic
def discard_guideline_draft(project: Project, kind: str, user: User) -> None:
    """Throw one's own draft away and begin again with what is in force."""
    GuidelineDraft.objects.filter(project=project, kind=kind, author=user).delete()


@transaction.atomic
def publish_guideline(
    project: Project,
    kind: str,
    text: str,
    user: User,
    *,
    note: str = "",
    begun_from: int | None = None,
) -> GuidelineVersion:
    """Put a text in force as a new version. Versions never change again; one's draft is done.

    Nothing but spaces takes the guidelines for evaluations out of use, and retires the gold items
    whose answers are known by them. Raise GuidelineConflict where another version than `begun_from`
    is in force by now.
    """
    text = unix_newlines(text)
    takes_back = not text.strip() and _is_used_by_evaluations(project, kind)
    if not text.strip() and not takes_back:
        raise ServiceError("The guidelines are empty. Write what people should look for.")
    if has_conflicts(text):
        raise ServiceError(
            "Two texts still stand beside each other between lines of < and >. Keep one of each "
            "pair, or both, and delete those lines."
        )
    note = check(unix_newlines(note).strip(), "The note", MAX_NOTE_CHARS)
    lock(project)
    _expect_nothing_new(project, _part(kind), begun_from)
    general = None if kind == GENERAL else guideline_in_force(project, GENERAL)
    version = _publish(project, kind, text, user, note, general)
    if kind == GENERAL:
        _carry_over(version)
    if takes_back:
        _retire_gold_of_evaluations(project)
    discard_guideline_draft(project, kind, user)
    return version


def _is_used_by_evaluations(project: Project, kind: str) -> bool:
    current = guideline_in_force(project, EVALUATION) if kind == EVALUATION else None
    return current is not None and not current.is_taken_back


def _retire_gold_of_evaluations(project: Project) -> None:
    """Ask nobody what is known by guidelines that they do not see any more."""
    gold = project.items.filter(
        purpose=Item.Purpose.GOLD, open_slots__gt=0, gold__guidelines=EVALUATION
    )
    for item in gold:
        retire_gold(item)


def _expect_nothing_new(project: Project, kind: str, begun_from: int | None) -> None:
    """Raise GuidelineConflict where the text in force is not the one that was begun from.

    A version that only took over a new general part is no obstacle.
    """
    current = guideline_in_force(project, kind)
    if current is None or begun_from is None:
        return
    begun = guideline_version(project, kind, begun_from)
    if current.text != (begun.text if begun else ""):
        raise GuidelineConflict(current)


def _publish(
    project: Project,
    kind: str,
    text: str,
    user: User,
    note: str,
    general: GuidelineVersion | None,
) -> GuidelineVersion:
    try:
        html = (general.html if general else "") + markdown.render(text)
    except TextError as error:
        raise ServiceError(str(error)) from None
    version = GuidelineVersion.objects.create(
        project=project,
        kind=kind,
        version=_number_in_force(project, kind) + 1,
        text=text,
        general=general,
        html=html,
        note=note,
        created_by=user,
    )
    _keep_cases(version)
    return version


def _keep_cases(version: GuidelineVersion) -> None:
    """Write down the cases of a version, with the gold items that speak against them now."""
    clauses, errors = clauses_of(version.text)
    if errors:
        raise ServiceError(" ".join(errors[:MOST_ERRORS]))
    found = [(clause, case) for clause in clauses for case in clause.cases]
    known = gold_conflicts(version.project, version.kind, [case for _, case in found])
    GuidelineCase.objects.bulk_create(
        GuidelineCase(
            version=version,
            clause=clause.slug,
            title=clause.title,
            position=position,
            prompt=case.prompt,
            first=case.first,
            second=case.second,
            expected=case.expected,
            why=case.why,
            digest=case.digest,
            fingerprint=fingerprint_of_case(case),
            conflicts=known.get(case.digest, []),
        )
        for position, (clause, case) in enumerate(found)
    )


def _carry_over(general: GuidelineVersion) -> None:
    """Give every kind of work a version that begins with the new general part.

    Evaluations only where they have guidelines of their own: a general part alone is none.
    """
    kinds: list[str] = list(Kind.values)
    if _is_used_by_evaluations(general.project, EVALUATION):
        kinds.append(EVALUATION)
    for kind in kinds:
        current = guideline_in_force(general.project, kind)
        text = current.text if current else ""
        _publish(general.project, kind, text, general.created_by, general.note, general)


def _part(kind: str) -> str:
    known = [value for value, _ in GUIDELINE_PARTS]
    if kind not in known:
        raise ServiceError(f"Choose a kind of work: {', '.join(known)}.")
    return kind


def _number_in_force(project: Project, kind: str) -> int:
    current = guideline_in_force(project, kind)
    return current.version if current else 0
