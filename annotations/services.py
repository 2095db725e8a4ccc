"""Every write but leases. Each service is one transaction with the whole rule in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import F, Max
from django.db.models.functions import Now
from django.utils import timezone

from annotations import markdown, queue
from annotations.algorithms.prompts import content_hash, last_user_text, split_for
from annotations.algorithms.text import (
    MAX_COMPLETION_CHARS,
    MAX_REASON_CHARS,
    TextError,
    check_text,
    same_words,
    unix_newlines,
)
from annotations.importers import DemonstrationRow, Messages, PromptRow, VoteRow
from annotations.models import (
    Annotation,
    Assignment,
    Comparison,
    Completion,
    Demonstration,
    GuidelineVersion,
    Item,
    Kind,
    Membership,
    Project,
    Prompt,
    RankedCompletion,
    Ranking,
    Role,
    User,
)
from annotations.selectors import guideline_in_force

CHUNK = 500
"""Values in one SQL statement."""

MAX_OVERLAP = 100
MAX_LEASE_MINUTES = 24 * 60
LONGEST_MS = 2**31 - 1

T = TypeVar("T")


class ServiceError(Exception):
    """What was asked for cannot be done. The text is a sentence for the person who asked."""


@dataclass(frozen=True)
class ImportedPrompts:
    """What became of the rows of an import of prompts."""

    created: int
    duplicates: int
    items: int


@dataclass(frozen=True)
class Answer:
    """A completion that a checkpoint, or something outside, gave to a prompt."""

    prompt_id: int
    text: str
    checkpoint_id: int | None = None
    source_name: str = ""
    sampling: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AddedItems:
    """What became of a batch of answers. Dropped answers are in no item."""

    completions: int
    items: int
    dropped: int


@dataclass(frozen=True)
class ImportedVotes:
    """What became of the rows of an import of preferences.

    `pairs` and `annotators` are those that the file brought anew; `duplicates` are votes by people
    who had already judged that pair.
    """

    pairs: int
    votes: int
    annotators: int
    ties: int
    duplicates: int


# Projects, members, guidelines


@transaction.atomic
def create_project(*, name: str, description: str, created_by: User) -> Project:
    """Create a project that its creator owns."""
    name, description = _project_texts(name, description)
    if Project.objects.filter(name=name).exists():
        raise ServiceError(f"There is already a project called “{name}”. Choose another name.")
    project = Project.objects.create(name=name, description=description, created_by=created_by)
    Membership.objects.create(project=project, user=created_by, role=Role.OWNER)
    return project


@transaction.atomic
def update_project(
    project: Project, *, name: str, description: str, comparison_overlap: int, lease_minutes: int
) -> Project:
    """Change the settings of a project. A new overlap holds for items that are made from now on."""
    name, description = _project_texts(name, description)
    if Project.objects.filter(name=name).exclude(id=project.pk).exists():
        raise ServiceError(f"There is already a project called “{name}”. Choose another name.")
    if not 1 <= comparison_overlap <= MAX_OVERLAP:
        raise ServiceError(f"Choose an overlap from 1 to {MAX_OVERLAP}.")
    if not 1 <= lease_minutes <= MAX_LEASE_MINUTES:
        raise ServiceError(f"Choose a lease from 1 to {MAX_LEASE_MINUTES:,} minutes.")
    project.name, project.description = name, description
    project.comparison_overlap, project.lease_minutes = comparison_overlap, lease_minutes
    project.save(update_fields=["name", "description", "comparison_overlap", "lease_minutes"])
    return project


@transaction.atomic
def add_member(project: Project, user: User, role: str) -> Membership:
    """Make a person a member of a project."""
    role = _role(role)
    _lock(project)
    if Membership.objects.filter(project=project, user=user).exists():
        raise ServiceError(f"{user} is already a member. Change their role instead.")
    return Membership.objects.create(project=project, user=user, role=role)


@transaction.atomic
def set_role(membership: Membership, role: str) -> Membership:
    """Give a member another role. The last active owner stays one."""
    role = _role(role)
    if role != Role.OWNER:
        _keep_an_owner(membership)
    membership.role = role
    membership.save(update_fields=["role"])
    return membership


@transaction.atomic
def pause_member(membership: Membership) -> Membership:
    """Give a member no more work, and no more pages but the one they have open."""
    _keep_an_owner(membership)
    membership.state = Membership.State.PAUSED
    membership.save(update_fields=["state"])
    return membership


@transaction.atomic
def resume_member(membership: Membership) -> Membership:
    """Let a paused member work again."""
    membership.state = Membership.State.ACTIVE
    membership.save(update_fields=["state"])
    return membership


@transaction.atomic
def remove_member(membership: Membership) -> None:
    """End a membership. What the person annotated stays; what they hold goes to others."""
    _keep_an_owner(membership)
    queue.release_leases_of(membership.user, membership.project)
    membership.delete()


@transaction.atomic
def save_guideline_draft(project: Project, kind: str, text: str, user: User) -> GuidelineVersion:
    """Keep a text as the one draft of the guidelines for a kind of work."""
    text, html = _rendered(text)
    _lock(project)
    drafts = project.guideline_versions.filter(kind=_kind(kind), published_at__isnull=True)
    if draft := drafts.first():
        draft.text, draft.html, draft.created_by = text, html, user
        draft.save(update_fields=["text", "html", "created_by"])
        return draft
    return GuidelineVersion.objects.create(
        project=project,
        kind=kind,
        version=_next_version(project, kind),
        text=text,
        html=html,
        created_by=user,
    )


@transaction.atomic
def publish_guideline(project: Project, kind: str, text: str, user: User) -> GuidelineVersion:
    """Put a text in force as a new version. Versions never change again; the draft becomes it."""
    if not text.strip():
        raise ServiceError("The guidelines are empty. Write what people should look for.")
    draft = save_guideline_draft(project, kind, text, user)
    draft.published_at = timezone.now()
    draft.save(update_fields=["published_at"])
    return draft


# Prompts and demonstrations


@transaction.atomic
def import_prompts(
    project: Project,
    rows: Sequence[PromptRow],
    created_by: User | None,
    *,
    origin: str = Prompt.Origin.IMPORTED,
    as_demonstrations: bool = True,
) -> ImportedPrompts:
    """Add prompts that the project does not have yet, each with an item to write an answer."""
    _lock(project)
    known = _prompts_by_hash(project, [row.messages for row in rows])
    new: dict[str, Prompt] = {}
    for row in rows:
        prompt = _prompt(project, row.messages, created_by, origin)
        prompt.external_id, prompt.tags = row.external_id, list(row.tags)
        if prompt.content_hash not in known:
            new.setdefault(prompt.content_hash, prompt)
    created = Prompt.objects.bulk_create(new.values(), batch_size=CHUNK)
    items = []
    if as_demonstrations:
        items = Item.objects.bulk_create(
            (Item(project=project, kind=Kind.DEMONSTRATION, prompt=prompt) for prompt in created),
            batch_size=CHUNK,
        )
    return ImportedPrompts(len(created), len(rows) - len(created), len(items))


@transaction.atomic
def add_demonstrations(project: Project, rows: Sequence[DemonstrationRow], author: User) -> int:
    """Add answers that a person wrote elsewhere. Return how many were new.

    An answer takes the open place of the prompt's item, where there is one.
    """
    _lock(project)
    import_prompts(project, [PromptRow(row.messages) for row in rows], author)
    prompts = _prompts_by_hash(project, [row.messages for row in rows])
    guideline = guideline_in_force(project, Kind.DEMONSTRATION)
    return sum(
        _add_demonstration(prompts[content_hash(row.messages)], row.completion, author, guideline)
        for row in rows
    )


def _add_demonstration(
    prompt: Prompt, text: str, author: User, guideline: GuidelineVersion | None
) -> bool:
    _check(text, "The demonstration", MAX_COMPLETION_CHARS)
    human = prompt.completions.filter(origin=Completion.Origin.HUMAN, author=author)
    if not text.strip() or human.filter(text=text).exists():
        return False
    open_items = prompt.items.filter(kind=Kind.DEMONSTRATION, open_slots__gt=0)
    item = open_items.exclude(annotations__annotator=author).order_by("id").first()
    if item is None or not queue.take_place(item.pk):
        item = Item.objects.create(
            project_id=prompt.project_id, kind=Kind.DEMONSTRATION, prompt=prompt, open_slots=0
        )
    annotation = Annotation.objects.create(
        item=item, annotator=author, kind=Kind.DEMONSTRATION, guideline_version=guideline
    )
    _write_demonstration(annotation, text)
    return True


# Completions that people are asked about


@transaction.atomic
def add_completions(
    project: Project,
    answers: Sequence[Answer],
    *,
    kind: str,
    purpose: str = Item.Purpose.TRAINING,
    batch: str,
    overlap: int | None = None,
) -> AddedItems:
    """Ask people about answers: in pairs, or in one ranking a prompt.

    Answers of one prompt that differ in whitespace alone are one answer. A prompt that already has
    items of this batch gets no more, so that doing it again adds nothing. For an evaluation a
    prompt has as many answers by the child as by the parent; the first of each make a pair, the
    second of each the next.
    """
    if kind not in (Kind.COMPARISON, Kind.RANKING):
        raise ServiceError(f"Completions are compared or ranked; “{kind}” is neither.")
    if not batch:
        raise ServiceError("Name the batch, so that the same answers are not added twice.")
    overlap = project.comparison_overlap if overlap is None else overlap
    if not 1 <= overlap <= MAX_OVERLAP:
        raise ServiceError(f"Choose an overlap from 1 to {MAX_OVERLAP}.")
    _lock(project)
    answers_by_prompt = _new_answers_by_prompt(project, answers, batch)
    groups: list[list[Answer]] = []
    dropped = 0
    for same_prompt in answers_by_prompt.values():
        if purpose == Item.Purpose.EVALUATION:
            pairs = _sides_in_pairs(same_prompt)
            found = [pair for pair in pairs if len(_distinct(pair)) == 2]
        else:
            found = _groups(_distinct(same_prompt), kind)
        groups += found
        dropped += len(same_prompt) - sum(len(group) for group in found)
    completions = _create_items(project, groups, purpose=purpose, batch=batch, overlap=overlap)
    return AddedItems(completions=completions, items=len(groups), dropped=dropped)


def _new_answers_by_prompt(
    project: Project, answers: Sequence[Answer], batch: str
) -> dict[int, list[Answer]]:
    by_prompt: dict[int, list[Answer]] = {}
    for answer in answers:
        by_prompt.setdefault(answer.prompt_id, []).append(answer)
    known: set[int] = set()
    for ids in _chunks(by_prompt):
        known.update(project.prompts.filter(id__in=ids).values_list("id", flat=True))
    if missing := by_prompt.keys() - known:
        raise ServiceError(f"Prompt {min(missing)} does not belong to this project.")
    done = set(project.items.filter(batch=batch).values_list("prompt_id", flat=True))
    return {prompt: group for prompt, group in by_prompt.items() if prompt not in done}


def _sides_in_pairs(answers: Sequence[Answer]) -> list[list[Answer]]:
    sides: dict[int | None, list[Answer]] = {}
    for answer in answers:
        sides.setdefault(answer.checkpoint_id, []).append(answer)
    if len(sides) != 2 or len({len(side) for side in sides.values()}) != 1:
        raise ServiceError(
            "An evaluation takes completions of each prompt by two checkpoints, as many by the "
            "child as by the parent. Sample the same number from each."
        )
    return [list(pair) for pair in zip(*sides.values(), strict=True)]


def _distinct(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers that can be stored and that say something different from those before."""
    distinct: dict[str, Answer] = {}
    for answer in answers:
        try:
            check_text(answer.text, field="The completion", max_chars=MAX_COMPLETION_CHARS)
        except TextError:
            continue
        distinct.setdefault(same_words(answer.text), answer)
    return list(distinct.values())


def _groups(answers: list[Answer], kind: str) -> list[list[Answer]]:
    """Return what is shown together: consecutive pairs, or all of them to be ranked."""
    if kind == Kind.RANKING:
        return [answers] if len(answers) >= 2 else []
    return [answers[start : start + 2] for start in range(0, len(answers) - 1, 2)]


def _create_items(
    project: Project, groups: list[list[Answer]], *, purpose: str, batch: str, overlap: int
) -> int:
    """Create an item for each group. Return how many completions there are in them."""
    items = Item.objects.bulk_create(
        (
            Item(
                project=project,
                kind=Kind.COMPARISON if len(group) == 2 else Kind.RANKING,
                prompt_id=group[0].prompt_id,
                purpose=purpose,
                overlap=overlap,
                open_slots=overlap,
                batch=batch,
            )
            for group in groups
        ),
        batch_size=CHUNK,
    )
    completions = Completion.objects.bulk_create(
        (_completion(answer) for group in groups for answer in group), batch_size=CHUNK
    )
    shown = Item.completions.through
    item_of = (item for item, group in zip(items, groups, strict=True) for _ in group)
    shown.objects.bulk_create(
        (
            shown(item_id=item.pk, completion_id=completion.pk)
            for item, completion in zip(item_of, completions, strict=True)
        ),
        batch_size=CHUNK,
    )
    return len(completions)


def _completion(answer: Answer) -> Completion:
    by_checkpoint = answer.checkpoint_id is not None
    return Completion(
        prompt_id=answer.prompt_id,
        text=answer.text,
        origin=Completion.Origin.CHECKPOINT if by_checkpoint else Completion.Origin.IMPORTED,
        checkpoint_id=answer.checkpoint_id,
        source_name=answer.source_name,
        sampling=answer.sampling,
    )


# Answers to assignments


@transaction.atomic
def submit_demonstration(assignment: Assignment, text: str, *, reason: str = "") -> Annotation:
    """Keep an ideal answer. A second submit changes nothing and answers as the first did."""
    if existing := _existing(assignment):
        return existing
    _expect_kind(assignment, Kind.DEMONSTRATION)
    text = _check(unix_newlines(text), "Your text", MAX_COMPLETION_CHARS)
    if not text.strip():
        raise ServiceError("Your text is empty. Write an answer to the prompt, or skip it.")
    annotation, created = _annotate(assignment, reason)
    if created:
        _write_demonstration(annotation, text)
    return annotation


@transaction.atomic
def submit_comparison(
    assignment: Assignment, outcome: str, strength: str = "", *, reason: str = ""
) -> Annotation:
    """Keep which completion is better, as seen: left is the one that was shown first.

    A second submit changes nothing and answers as the first did.
    """
    if existing := _existing(assignment):
        return existing
    _expect_kind(assignment, Kind.COMPARISON)
    if outcome not in Comparison.Outcome.values:
        raise ServiceError("Choose which completion is better, a tie, or “both bad”.")
    sided = outcome in (Comparison.Outcome.LEFT, Comparison.Outcome.RIGHT)
    if sided and strength not in Comparison.Strength.values:
        raise ServiceError("Choose how much better it is: significantly, better, slightly …")
    if not sided and strength:
        raise ServiceError("A tie and “both bad” have no strength. Choose one or the other.")
    annotation, created = _annotate(assignment, reason)
    if created:
        left, right = assignment.shown_order
        Comparison.objects.create(
            annotation=annotation, left_id=left, right_id=right, outcome=outcome, strength=strength
        )
    return annotation


@transaction.atomic
def submit_ranking(
    assignment: Assignment, tiers: Sequence[Sequence[int]], *, reason: str = ""
) -> Annotation:
    """Keep a ranking: tiers of completion ids, best first; those in one tier are tied.

    A second submit changes nothing and answers as the first did.
    """
    if existing := _existing(assignment):
        return existing
    _expect_kind(assignment, Kind.RANKING)
    ranked = [completion for tier in tiers for completion in tier]
    if sorted(ranked) != sorted(assignment.shown_order) or not all(tiers):
        raise ServiceError("Give every completion a place, each exactly once.")
    annotation, created = _annotate(assignment, reason)
    if created:
        ranking = Ranking.objects.create(annotation=annotation)
        RankedCompletion.objects.bulk_create(
            RankedCompletion(ranking=ranking, completion_id=completion, tier=number)
            for number, tier in enumerate(tiers)
            for completion in tier
        )
    return annotation


@transaction.atomic
def skip(assignment: Assignment, reason: str, note: str = "") -> None:
    """Give an assignment back, with a reason; the item goes to others.

    Skipping what was submitted changes nothing; skipping twice keeps the first reason.
    """
    if reason not in Assignment.SkipReason.values:
        raise ServiceError("Choose why you skip this one.")
    note = _check(unix_newlines(note), "Your note", 500)
    skipped = {
        "state": Assignment.State.SKIPPED,
        "skip_reason": reason,
        "skip_note": note,
        "closed_at": Now(),
    }
    of_this = Assignment.objects.filter(id=assignment.pk)
    if of_this.filter(state=Assignment.State.LEASED).update(**skipped):
        queue.return_place(assignment.item_id)
    else:
        of_this.filter(state=Assignment.State.EXPIRED).update(**skipped)
    assignment.refresh_from_db()


def _existing(assignment: Assignment) -> Annotation | None:
    return Annotation.objects.filter(assignment_id=assignment.pk).first()


def _expect_kind(assignment: Assignment, kind: Kind) -> None:
    if assignment.item.kind != kind:
        raise ServiceError(
            f"This assignment asks for a {assignment.item.kind}, not a {kind.value}. Open it again."
        )


def _annotate(assignment: Assignment, reason: str) -> tuple[Annotation, bool]:
    """Close an assignment and return its annotation, and whether this call made it.

    Of two submits at once only one closes it; the other waits for its row and finds the answer.
    """
    reason = _check(unix_newlines(reason), "Your reason", MAX_REASON_CHARS)
    surplus = False
    if not _close(assignment, Assignment.State.LEASED):
        if not _close(assignment, Assignment.State.EXPIRED):
            if existing := _existing(assignment):
                return existing, False
            raise ServiceError("You skipped this one, so it has gone to others. Start the next.")
        surplus = not queue.take_place(assignment.item_id)
    assignment.refresh_from_db(fields=["state", "closed_at", "leased_at"])
    return (
        Annotation.objects.create(
            item_id=assignment.item_id,
            annotator_id=assignment.annotator_id,
            assignment=assignment,
            kind=assignment.item.kind,
            guideline_version_id=assignment.guideline_version_id,
            shown_order=assignment.shown_order,
            reason=reason,
            surplus=surplus,
            wall_ms=_milliseconds(assignment),
        ),
        True,
    )


def _close(assignment: Assignment, state: str) -> bool:
    in_state = Assignment.objects.filter(id=assignment.pk, state=state)
    return in_state.update(state=Assignment.State.SUBMITTED, closed_at=Now()) == 1


def _milliseconds(assignment: Assignment) -> int | None:
    if assignment.closed_at is None:
        return None
    elapsed = (assignment.closed_at - assignment.leased_at).total_seconds()
    return min(max(0, round(elapsed * 1000)), LONGEST_MS)


def _write_demonstration(annotation: Annotation, text: str) -> None:
    completion = Completion.objects.create(
        prompt_id=annotation.item.prompt_id,
        text=text,
        origin=Completion.Origin.HUMAN,
        author_id=annotation.annotator_id,
    )
    Demonstration.objects.create(annotation=annotation, completion=completion)


# Votes from elsewhere


@transaction.atomic
def import_preferences(
    project: Project, rows: Sequence[VoteRow], imported_by: User, *, batch: str
) -> ImportedVotes:
    """Add comparisons that people made elsewhere. The same votes twice add nothing.

    A pair is two completions, each told by its prompt, its text and its model's name; which of
    them was on the left may differ from vote to vote. Of two votes by one person on one pair the
    first stays. The people become inactive users who cannot sign in.
    """
    _lock(project)
    import_prompts(
        project, [PromptRow(row.messages) for row in rows], imported_by, as_demonstrations=False
    )
    pairs = _ImportedPairs(project, rows, batch)
    people = _ImportedPeople(project, rows)
    votes = ties = 0
    places: dict[int, int] = {}
    for row in rows:
        item, left, right = pairs.of(row)
        annotator = people.of(row)
        if (item.pk, annotator.pk) in pairs.voted:
            continue
        pairs.voted.add((item.pk, annotator.pk))
        annotation = Annotation.objects.create(
            item=item,
            annotator=annotator,
            kind=Kind.COMPARISON,
            shown_order=[left.pk, right.pk],
        )
        Comparison.objects.create(
            annotation=annotation,
            left=left,
            right=right,
            outcome=row.outcome,
            strength=row.strength,
        )
        places[item.pk] = places.get(item.pk, 0) + 1
        votes += 1
        ties += row.outcome == Comparison.Outcome.TIE
    pairs.set_overlaps(places)
    return ImportedVotes(pairs.created, votes, people.created, ties, len(rows) - votes)


class _ImportedPairs:
    """The items of imported pairs: those that are there, and new ones as they are asked for."""

    def __init__(self, project: Project, rows: Sequence[VoteRow], batch: str) -> None:
        self.project, self.batch = project, batch
        self.created = 0
        self.prompts = _prompts_by_hash(project, [row.messages for row in rows])
        self.completions: dict[tuple[int, str, str], Completion] = {}
        self.items: dict[frozenset[int], Item] = {}
        self.voted: set[tuple[int, int]] = set()
        for ids in _chunks(prompt.pk for prompt in self.prompts.values()):
            self._load(ids)

    def _load(self, prompt_ids: Sequence[int]) -> None:
        imported = Completion.objects.filter(
            prompt__in=prompt_ids, origin=Completion.Origin.IMPORTED, items__isnull=False
        )
        for completion in imported.order_by("-id").distinct():
            self.completions[self._key(completion)] = completion
        items = Item.objects.filter(
            prompt__in=prompt_ids, kind=Kind.COMPARISON, purpose=Item.Purpose.TRAINING
        )
        for item in items.order_by("-id").prefetch_related("completions"):
            self.items[frozenset(one.pk for one in item.completions.all())] = item
        self.voted.update(
            Annotation.objects.filter(
                item__prompt__in=prompt_ids, item__kind=Kind.COMPARISON
            ).values_list("item_id", "annotator_id")
        )

    @staticmethod
    def _key(completion: Completion) -> tuple[int, str, str]:
        return completion.prompt_id, completion.text, completion.source_name

    def of(self, row: VoteRow) -> tuple[Item, Completion, Completion]:
        prompt = self.prompts[content_hash(row.messages)]
        left = self._completion(prompt, row.left, row.left_model)
        right = self._completion(prompt, row.right, row.right_model)
        pair = frozenset((left.pk, right.pk))
        if len(pair) < 2:
            raise ServiceError("A vote compares a completion with itself. Remove that line.")
        if pair not in self.items:
            item = Item.objects.create(
                project=self.project,
                kind=Kind.COMPARISON,
                prompt=prompt,
                overlap=0,
                open_slots=0,
                batch=self.batch,
            )
            item.completions.add(left, right)
            self.items[pair] = item
            self.created += 1
        return self.items[pair], left, right

    def _completion(self, prompt: Prompt, text: str, model: str) -> Completion:
        key = prompt.pk, text, model
        if key not in self.completions:
            self.completions[key] = Completion.objects.create(
                prompt=prompt, text=text, origin=Completion.Origin.IMPORTED, source_name=model
            )
        return self.completions[key]

    def set_overlaps(self, places: Mapping[int, int]) -> None:
        """Make room for the votes, beside the places that the queue hands out."""
        for item_id, votes in places.items():
            Item.objects.filter(id=item_id).update(overlap=F("overlap") + votes)


class _ImportedPeople:
    """The users that stand for people who voted elsewhere."""

    def __init__(self, project: Project, rows: Sequence[VoteRow]) -> None:
        names = dict.fromkeys(row.annotator for row in rows)
        self.usernames = {name: _imported_username(project, name) for name in names}
        self.users: dict[str, User] = {}
        self.created = 0
        for chunk in _chunks(self.usernames.values()):
            known = User.objects.filter(username__in=chunk)
            self.users.update((user.username, user) for user in known)
        for name, username in self.usernames.items():
            if username not in self.users:
                self.users[username] = _create_imported_user(project, username, name)
                self.created += 1

    def of(self, row: VoteRow) -> User:
        return self.users[self.usernames[row.annotator]]


def _imported_username(project: Project, name: str) -> str:
    """Return the username of an imported person; names that cannot be one are hashed."""
    if not re.fullmatch(r"[A-Za-z0-9.@+-]{1,100}", name):
        name = "_" + hashlib.sha256(name.encode("utf-8")).hexdigest()[:32]
    return f"imported-{project.pk}-{name}"


def _create_imported_user(project: Project, username: str, name: str) -> User:
    user = User(username=username, first_name=f"Imported {name}"[:150], is_active=False)
    user.set_unusable_password()
    user.save()
    Membership.objects.create(
        project=project, user=user, role=Role.ANNOTATOR, state=Membership.State.PAUSED
    )
    return user


# Rules that several services share


def _lock(project: Project) -> None:
    """Make the writers of one project's prompts, items and members wait for each other."""
    Project.objects.select_for_update(no_key=True).get(id=project.pk)


def _check(value: str, field: str, max_chars: int) -> str:
    try:
        return check_text(value, field=field, max_chars=max_chars)
    except TextError as error:
        raise ServiceError(str(error)) from None


def _project_texts(name: str, description: str) -> tuple[str, str]:
    name = _check(name.strip(), "The name", 100)
    if not name:
        raise ServiceError("The project has no name. Give it one.")
    return name, _check(unix_newlines(description.strip()), "The description", 300)


def _rendered(text: str) -> tuple[str, str]:
    text = unix_newlines(text)
    try:
        return text, markdown.render(text)
    except TextError as error:
        raise ServiceError(str(error)) from None


def _role(role: str) -> str:
    if role not in Role.values:
        raise ServiceError(f"Choose a role: {', '.join(Role.values)}.")
    return role


def _kind(kind: str) -> str:
    if kind not in Kind.values:
        raise ServiceError(f"Choose a kind of work: {', '.join(Kind.values)}.")
    return kind


def _next_version(project: Project, kind: str) -> int:
    of_kind = project.guideline_versions.filter(kind=kind)
    return (of_kind.aggregate(Max("version"))["version__max"] or 0) + 1


def _keep_an_owner(membership: Membership) -> None:
    _lock(membership.project)
    owners = Membership.objects.filter(
        project_id=membership.project_id, role=Role.OWNER, state=Membership.State.ACTIVE
    )
    if set(owners.values_list("id", flat=True)) == {membership.pk}:
        raise ServiceError(
            "This is the last owner of the project. Make somebody else an owner first."
        )


def _prompt(project: Project, messages: Messages, created_by: User | None, origin: str) -> Prompt:
    digest = content_hash(messages)
    return Prompt(
        project=project,
        messages=[{"role": turn["role"], "content": turn["content"]} for turn in messages],
        text=last_user_text(messages),
        origin=origin,
        content_hash=digest,
        split=split_for(digest),
        created_by=created_by,
    )


def _prompts_by_hash(project: Project, prompts: Iterable[Messages]) -> dict[str, Prompt]:
    """Return those of the prompts that a project has, by content hash."""
    found: dict[str, Prompt] = {}
    for hashes in _chunks(dict.fromkeys(content_hash(messages) for messages in prompts)):
        known = project.prompts.filter(content_hash__in=hashes)
        found.update((prompt.content_hash, prompt) for prompt in known)
    return found


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
