"""Votes that people gave elsewhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.prompts import content_hash
from annotations.importers import PromptRow, VoteRow
from annotations.models import (
    Annotation,
    Comparison,
    Completion,
    HeldOut,
    Item,
    Kind,
    Membership,
    Project,
    Prompt,
    Role,
    User,
)
from annotations.services.prompts import import_prompts, prompts_by_hash
from annotations.services.rules import ServiceError, chunks, lock


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


@transaction.atomic
def import_preferences(
    project: Project, rows: Sequence[VoteRow], imported_by: User, *, batch: str
) -> ImportedVotes:
    """Add comparisons that people made elsewhere. The same votes twice add nothing.

    A pair is two completions, each told by its prompt, its text and its model's name; which of
    them was on the left may differ from vote to vote. Of two votes by one person on one pair the
    first stays. The people become inactive users who cannot sign in.
    """
    lock(project)
    import_prompts(
        project, [PromptRow(row.messages) for row in rows], imported_by, as_demonstrations=False
    )
    pairs = _ImportedPairs(project, rows, batch)
    people = ImportedPeople(project, (row.annotator for row in rows), imported_by)
    votes = ties = 0
    places: dict[int, int] = {}
    for row in rows:
        item, left, right = pairs.of(row)
        annotator = people.of(row.annotator)
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
        self.prompts = prompts_by_hash(project, [row.messages for row in rows])
        self.completions: dict[tuple[int, str, str], Completion] = {}
        self.items: dict[frozenset[int], Item] = {}
        self.voted: set[tuple[int, int]] = set()
        for ids in chunks(prompt.pk for prompt in self.prompts.values()):
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
                fingerprint=fingerprint_of(
                    Kind.COMPARISON, prompt.messages, [left.text, right.text]
                ),
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


class ImportedPeople:
    """The users that stand for people who voted elsewhere, and for models that did.

    Models learn nothing from what models said: those are held out from the first.
    """

    def __init__(
        self,
        project: Project,
        names: Iterable[str],
        imported_by: User,
        *,
        models: Collection[str] = (),
    ) -> None:
        self.usernames = {name: _imported_username(project, name) for name in dict.fromkeys(names)}
        self.users: dict[str, User] = {}
        self.created = 0
        for chunk in chunks(self.usernames.values()):
            known = User.objects.filter(username__in=chunk)
            self.users.update((user.username, user) for user in known)
        for name, username in self.usernames.items():
            if username not in self.users:
                self.users[username] = _create_imported_user(project, username, name)
                self.created += 1
        for name in models:
            HeldOut.objects.get_or_create(
                project=project,
                user=self.of(name),
                ended_at=None,
                defaults={"made_by": imported_by},
            )

    def of(self, name: str) -> User:
        return self.users[self.usernames[name]]


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
