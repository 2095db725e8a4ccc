"""Prompts, and the answers to them that people wrote elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations import queue
from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.prompts import content_hash, last_user_text, split_for
from annotations.algorithms.text import MAX_COMPLETION_CHARS, MAX_PROMPT_CHARS, unix_newlines
from annotations.importers import DemonstrationRow, Messages, PromptRow, user_turn
from annotations.models import (
    Annotation,
    Assignment,
    Completion,
    GuidelineVersion,
    Item,
    Kind,
    Project,
    Prompt,
    User,
)
from annotations.selectors import guideline_in_force
from annotations.selectors.queue import leases_of, limit_reached
from annotations.services.rules import CHUNK, ServiceError, check, chunks, expect_open, lock
from annotations.services.submissions import write_demonstration


@dataclass(frozen=True)
class ImportedPrompts:
    """What became of the rows of an import of prompts."""

    created: int
    duplicates: int
    items: int
    ids: tuple[int, ...]
    """The prompt of each row, in their order: the new one, or the one that was there."""


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
    lock(project)
    known = prompts_by_hash(project, [row.messages for row in rows])
    new: dict[str, Prompt] = {}
    for row in rows:
        prompt = new_prompt(project, row.messages, created_by, origin)
        prompt.external_id, prompt.tags = row.external_id, list(row.tags)
        if prompt.content_hash not in known:
            new.setdefault(prompt.content_hash, prompt)
    created = Prompt.objects.bulk_create(new.values(), batch_size=CHUNK)
    items = []
    if as_demonstrations:
        items = Item.objects.bulk_create(
            (
                Item(
                    project=project,
                    kind=Kind.DEMONSTRATION,
                    prompt=prompt,
                    fingerprint=fingerprint_of(Kind.DEMONSTRATION, prompt.messages),
                )
                for prompt in created
            ),
            batch_size=CHUNK,
        )
    there = known | new
    ids = tuple(there[content_hash(row.messages)].pk for row in rows)
    return ImportedPrompts(len(created), len(rows) - len(created), len(items), ids)


@transaction.atomic
def write_own_prompt(project: Project, user: User, style: str, text: str) -> Assignment:
    """Add a prompt that a labeller thought of, and hand it to them to answer.

    Their own answer comes first because they know best what they asked for; if they skip it,
    it goes to others.
    """
    if not project.own_prompts_allowed:
        raise ServiceError(_("This project takes no prompts from labellers. Start the next item."))
    if project.is_paused or limit_reached(user, project):
        raise ServiceError(_("There is no more to do here for now, so no prompt was added."))
    expect_open(Kind.DEMONSTRATION, user, project)
    if style not in Prompt.Style.values:
        raise ServiceError(_("Choose what kind of prompt this is."))
    text = check(unix_newlines(text), gettext_noop("The prompt"), MAX_PROMPT_CHARS).strip()
    if not text:
        raise ServiceError(_("The prompt is empty. Write what a model should answer."))
    lock(project)
    item = _own_prompt_item(project, user, style, text)
    assignment = queue.lease_item(user, item)
    if assignment is None:
        raise ServiceError(_("You are not active in this project any more. Ask one of its owners."))
    return assignment


def _own_prompt_item(project: Project, user: User, style: str, text: str) -> Item:
    messages = user_turn(text)
    if prompts_by_hash(project, [messages]):
        raise ServiceError(
            _("The project has this very prompt already. Change it, or ask for something else.")
        )
    unanswered = leases_of(user, project).filter(
        item__prompt__created_by=user, item__prompt__origin=Prompt.Origin.ANNOTATOR
    )
    if unanswered.exists():
        raise ServiceError(
            _("You have not answered the last prompt that you wrote. Answer or skip it first.")
        )
    prompt = new_prompt(project, messages, user, Prompt.Origin.ANNOTATOR)
    prompt.style = style
    prompt.save()
    return Item.objects.create(
        project=project,
        kind=Kind.DEMONSTRATION,
        prompt=prompt,
        fingerprint=fingerprint_of(Kind.DEMONSTRATION, messages),
    )


@transaction.atomic
def add_demonstrations(project: Project, rows: Sequence[DemonstrationRow], author: User) -> int:
    """Add answers that a person wrote elsewhere. Return how many were new.

    An answer takes the open place of the prompt's item, where there is one.
    """
    lock(project)
    import_prompts(project, [PromptRow(row.messages) for row in rows], author)
    prompts = prompts_by_hash(project, [row.messages for row in rows])
    guideline = guideline_in_force(project, Kind.DEMONSTRATION)
    return sum(
        _add_demonstration(prompts[content_hash(row.messages)], row.completion, author, guideline)
        for row in rows
    )


def _add_demonstration(
    prompt: Prompt, text: str, author: User, guideline: GuidelineVersion | None
) -> bool:
    check(text, "The demonstration", MAX_COMPLETION_CHARS)
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
    write_demonstration(annotation, text)
    return True


def new_prompt(
    project: Project, messages: Messages, created_by: User | None, origin: str
) -> Prompt:
    """Return a prompt that is not stored yet, with what follows from its messages."""
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


def prompt_of(
    project: Project,
    messages: Messages,
    created_by: User,
    *,
    split: str = "",
    origin: str = Prompt.Origin.ANNOTATOR,
) -> Prompt:
    """Return the prompt of these messages, which a labeller wrote if the project has it not yet.

    What is said later in a conversation is given the `split` of its beginning, so that no reply
    is trained on in one split and part of a prompt in another.
    """
    new = new_prompt(project, messages, created_by, origin)
    prompt, _ = Prompt.objects.get_or_create(
        project=project,
        content_hash=new.content_hash,
        defaults={
            "messages": new.messages,
            "text": new.text,
            "origin": new.origin,
            "split": split or new.split,
            "created_by": created_by,
        },
    )
    return prompt


def prompts_by_hash(project: Project, prompts: Iterable[Messages]) -> dict[str, Prompt]:
    """Return those of the prompts that a project has, by content hash."""
    found: dict[str, Prompt] = {}
    for hashes in chunks(dict.fromkeys(content_hash(messages) for messages in prompts)):
        known = project.prompts.filter(content_hash__in=hashes)
        found.update((prompt.content_hash, prompt) for prompt in known)
    return found
