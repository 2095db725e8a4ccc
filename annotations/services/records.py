"""Records of an import, written in one go: prompts, completions, items, and what people said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from django.db import transaction
from django.db.models import F

from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.prompts import content_hash, last_user_text, split_for
from annotations.importers import (
    AnySaid,
    Chosen,
    Messages,
    Ordered,
    Rated,
    Record,
    Written,
)
from annotations.models import (
    Annotation,
    Comparison,
    Completion,
    Demonstration,
    Item,
    Kind,
    Project,
    Prompt,
    RankedCompletion,
    Ranking,
    Rating,
    RatingAnswer,
    RatingScheme,
    Rewrite,
    User,
)
from annotations.services.imported_people import ImportedPeople
from annotations.services.many_rows import insert_rows
from annotations.services.origins import annotations_named
from annotations.services.rating_schemes import FLAG
from annotations.services.rules import ServiceError, chunks, lock

Key = tuple[int, str, str]
"""A completion by its prompt, text and model."""


class Task(NamedTuple):
    """What an item asks: its kind, its prompt, and the completions that it shows."""

    kind: str
    prompt_id: int
    shown: frozenset[int]


class _Made(NamedTuple):
    """An item, and the questions of a rating."""

    item_id: int
    scheme_id: int | None


class _Asked(NamedTuple):
    """A task, with what makes its item."""

    task: Task
    messages: Messages
    shown: Sequence[int]
    texts: Sequence[str]
    questions: Mapping[str, int]
    """That a rating answers: names to points, 0 for flags."""


class _Told(NamedTuple):
    """Something that somebody said, with where it belongs."""

    said: AnySaid
    asked: _Asked


class _Annotated(NamedTuple):
    """An annotation that was written: its number, what it says, and the questions of a rating."""

    number: int
    said: AnySaid
    asked: _Asked
    scheme_id: int | None


@transaction.atomic
def add_records(
    project: Project,
    records: Sequence[Record],
    imported_by: User,
    *,
    batch: str,
    asks: bool,
) -> Counter[str]:
    """Add what the records hold and the project has not. The same records twice add nothing.

    A completion is told by its prompt, its text and its model's name, a piece of work by its
    completions, an annotation by its piece of work and its author. Of two by one person the first
    stays. Where `asks`, people are asked about what nobody judged.
    """
    lock(project)
    writing = _Writing(project, records, imported_by, batch)
    writing.tell()
    if asks:
        writing.ask()
    return writing.counts


class _Writing:
    """What a batch comes to. Nothing is looked for that belongs to a prompt which it brings."""

    def __init__(
        self, project: Project, records: Sequence[Record], imported_by: User, batch: str
    ) -> None:
        self.project, self.batch = project, batch
        self.counts: Counter[str] = Counter()
        self.new_prompts: Collection[int] = ()
        self.records = self._with_prompts(self._unknown(records), imported_by)
        self.completions = self._completions()
        self.items: dict[Task, _Made] = {}
        self.told = list(self._told())
        names = dict.fromkeys(told.said.annotator for told in self.told)
        models = {told.said.annotator for told in self.told if told.said.by_model}
        self.people = ImportedPeople(project, names, imported_by, models=models)
        self.counts["annotators"] = self.people.created

    def _unknown(self, records: Sequence[Record]) -> list[Record]:
        """Leave out what this very project once gave away and now gets back."""
        origins = [said.origin for record in records for said in record.said if said.origin]
        known = annotations_named(self.project, origins)
        if not known:
            return list(records)
        kept: list[Record] = []
        for record in records:
            said = tuple(one for one in record.said if one.origin not in known)
            self.counts["duplicates"] += len(record.said) - len(said)
            if said or not record.said:
                kept.append(replace(record, said=said))
        return kept

    def _with_prompts(
        self, records: Sequence[Record], imported_by: User
    ) -> list[tuple[int, Record]]:
        """Return the records, each with the number of its prompt; write those that are missing."""
        hashes = [content_hash(record.messages) for record in records]
        wanted: dict[str, Record] = {}
        for digest, record in zip(hashes, records, strict=True):
            wanted.setdefault(digest, record)
        numbers: dict[str, int] = {}
        for some in chunks(wanted):
            known = self.project.prompts.filter(content_hash__in=some)
            numbers.update(known.values_list("content_hash", "id"))
        missing = {digest: one for digest, one in wanted.items() if digest not in numbers}
        made = insert_rows(
            Prompt,
            (
                "project_id",
                "created_by_id",
                "origin",
                "content_hash",
                "split",
                "messages",
                "text",
                "external_id",
                "tags",
            ),
            (
                (
                    self.project.pk,
                    imported_by.pk,
                    Prompt.Origin.IMPORTED,
                    digest,
                    _split_of(record.messages, digest),
                    record.messages,
                    last_user_text(record.messages),
                    record.external_id,
                    record.tags,
                )
                for digest, record in missing.items()
            ),
        )
        self.new_prompts = set(made)
        self.counts["prompts"] += len(made)
        numbers.update(zip(missing, made, strict=True))
        return [(numbers[digest], one) for digest, one in zip(hashes, records, strict=True)]

    def _completions(self) -> dict[Key, int]:
        """Return the numbers of the records' completions; write those that are missing."""
        wanted = dict.fromkeys(
            (prompt_id, one.text, one.model)
            for prompt_id, record in self.records
            for one in record.candidates
        )
        found: dict[Key, int] = {}
        for keys in chunks(key for key in wanted if key[0] not in self.new_prompts):
            imported = Completion.objects.filter(
                prompt__in={key[0] for key in keys},
                text__in={key[1] for key in keys},
                origin=Completion.Origin.IMPORTED,
            ).order_by("-id")
            named = imported.values_list("id", "prompt_id", "text", "source_name")
            for number, prompt_id, text, model in named:
                found[prompt_id, text, model] = number
        missing = [key for key in wanted if key not in found]
        made = insert_rows(
            Completion,
            ("prompt_id", "text", "source_name", "origin"),
            ((*key, Completion.Origin.IMPORTED) for key in missing),
        )
        self.counts["completions"] += len(made)
        found.update(zip(missing, made, strict=True))
        return found

    def _asked(
        self,
        kind: str,
        prompt_id: int,
        record: Record,
        places: Iterable[int],
        questions: Mapping[str, int] | None = None,
    ) -> _Asked:
        candidates = [record.candidates[place] for place in places]
        shown = [self.completions[prompt_id, one.text, one.model] for one in candidates]
        texts = [one.text for one in candidates]
        task = Task(kind, prompt_id, frozenset(shown))
        return _Asked(task, record.messages, shown, texts, questions or {})

    def _told(self) -> Iterator[_Told]:
        for prompt_id, record in self.records:
            for said in record.said:
                kind, places = _asked_by(said)
                questions = _questions_of(said) if isinstance(said, Rated) else None
                yield _Told(said, self._asked(kind, prompt_id, record, places, questions))

    def tell(self) -> None:
        """Write what people said."""
        written = [told for told in self.told if told.asked.task.kind == Kind.DEMONSTRATION]
        self._tell_judgements(
            [one for one in self.told if one.asked.task.kind != Kind.DEMONSTRATION]
        )
        self._tell_demonstrations(written)

    def _find_items(self, asked: Iterable[Task]) -> None:
        """Find the items that there are of tasks. Whatever prompt is new has none."""
        wanted = {task for task in asked if task.prompt_id not in self.new_prompts}
        wanted -= self.items.keys()
        through = Item.completions.through.objects
        item_ids: set[int] = set()
        for ids in chunks({completion for task in wanted for completion in task.shown}):
            item_ids.update(through.filter(completion__in=ids).values_list("item_id", flat=True))
        for ids in chunks(sorted(item_ids, reverse=True)):
            shown: dict[int, set[int]] = {}
            pairs = through.filter(item__in=ids).values_list("item_id", "completion_id")
            for item_id, completion_id in pairs:
                shown.setdefault(item_id, set()).add(completion_id)
            items = Item.objects.filter(
                id__in=ids, purpose=Item.Purpose.TRAINING, project=self.project
            ).order_by("-id")
            for number, kind, prompt_id, scheme_id in items.values_list(
                "id", "kind", "prompt_id", "rating_scheme_id"
            ):
                task = Task(kind, prompt_id, frozenset(shown[number]))
                self.items[task] = _Made(number, scheme_id)

    def _make_items(self, made: Sequence[tuple[_Asked, int, int]]) -> list[_Made]:
        """Write items: what each asks, its overlap, and how many may still be handed it."""
        schemes = [
            _fitting(self.published, asked.questions).pk if asked.task.kind == Kind.RATING else None
            for asked, _, _ in made
        ]
        numbers = insert_rows(
            Item,
            (
                "project_id",
                "batch",
                "kind",
                "prompt_id",
                "overlap",
                "open_slots",
                "fingerprint",
                "rating_scheme_id",
            ),
            (
                (
                    self.project.pk,
                    self.batch,
                    asked.task.kind,
                    asked.task.prompt_id,
                    overlap,
                    open_slots,
                    fingerprint_of(asked.task.kind, asked.messages, asked.texts),
                    scheme_id,
                )
                for (asked, overlap, open_slots), scheme_id in zip(made, schemes, strict=True)
            ),
        )
        insert_rows(
            Item.completions.through,
            ("item_id", "completion_id"),
            (
                (number, completion_id)
                for number, (asked, _, _) in zip(numbers, made, strict=True)
                for completion_id in asked.shown
            ),
        )
        self.counts["items"] += len(numbers)
        return [_Made(*pair) for pair in zip(numbers, schemes, strict=True)]

    @cached_property
    def published(self) -> list[RatingScheme]:
        """The questions that the project asks, the newest first."""
        return _published(self.project)

    def _tell_judgements(self, judged: Sequence[_Told]) -> None:
        self._find_items(told.asked.task for told in judged)
        new = self._unheard(judged)
        self.counts["duplicates"] += len(judged) - len(new)
        votes = Counter(told.asked.task for told in new)
        for number, items in _by_number(
            {made.item_id: votes[task] for task, made in self.items.items() if votes[task]}
        ):
            for ids in chunks(items):
                Item.objects.filter(id__in=ids).update(overlap=F("overlap") + number)
        missing: dict[Task, _Asked] = {}
        for told in new:
            if told.asked.task not in self.items:
                missing.setdefault(told.asked.task, told.asked)
        made = self._make_items([(asked, votes[task], 0) for task, asked in missing.items()])
        self.items.update(zip(missing, made, strict=True))
        self._write_payloads(self._annotate([(self.items[told.asked.task], told) for told in new]))

    def _unheard(self, judged: Sequence[_Told]) -> list[_Told]:
        """Return what was said by people who have not said anything about it yet."""
        heard: set[tuple[Task, int]] = set()
        tasks = {made.item_id: task for task, made in self.items.items()}
        for ids in chunks(tasks):
            votes = Annotation.objects.filter(item__in=ids).values_list("item_id", "annotator_id")
            heard.update((tasks[item_id], person_id) for item_id, person_id in votes)
        new: list[_Told] = []
        for told in judged:
            vote = told.asked.task, self.people.of(told.said.annotator)
            if vote not in heard:
                heard.add(vote)
                new.append(told)
        return new

    def _annotate(self, told: Sequence[tuple[_Made, _Told]]) -> list[_Annotated]:
        numbers = insert_rows(
            Annotation,
            ("item_id", "annotator_id", "kind", "shown_order", "reason", "wall_ms"),
            (
                (
                    made.item_id,
                    self.people.of(one.said.annotator),
                    one.asked.task.kind,
                    one.asked.shown,
                    one.said.reason,
                    one.said.wall_ms,
                )
                for made, one in told
            ),
        )
        self.counts["annotations"] += len(numbers)
        return [
            _Annotated(number, one.said, one.asked, made.scheme_id)
            for number, (made, one) in zip(numbers, told, strict=True)
        ]

    def _write_payloads(self, annotated: Sequence[_Annotated]) -> None:
        insert_rows(
            Comparison,
            ("annotation_id", "left_id", "right_id", "outcome", "strength"),
            (
                (one.number, *one.asked.shown, one.said.outcome, one.said.strength)
                for one in annotated
                if isinstance(one.said, Chosen)
            ),
        )
        self._write_rankings(annotated)
        self._write_ratings(annotated)
        rewritten = [one for one in annotated if isinstance(one.said, Written)]
        insert_rows(
            Rewrite,
            ("annotation_id", "original_id", "completion_id"),
            (
                (one.number, one.asked.shown[0], text)
                for one, text in zip(rewritten, self._write_texts(rewritten), strict=True)
            ),
        )

    def _write_rankings(self, annotated: Sequence[_Annotated]) -> None:
        entries: list[tuple[int, int, int]] = []
        ranked: list[tuple[int]] = []
        for one in annotated:
            if isinstance(one.said, Ordered):
                ranked.append((one.number,))
                # `shown` has the ranked ones alone, in the order of the tiers.
                shown = iter(one.asked.shown)
                entries += [
                    (one.number, next(shown), number)
                    for number, tier in enumerate(one.said.tiers)
                    for _ in tier
                ]
        insert_rows(Ranking, ("annotation_id",), ranked)
        insert_rows(RankedCompletion, ("ranking_id", "completion_id", "tier"), entries)

    def _write_ratings(self, annotated: Sequence[_Annotated]) -> None:
        schemes = {scheme.pk: scheme for scheme in self.published}
        answers: list[tuple[int, int, str, int]] = []
        ratings: list[tuple[int, int]] = []
        for one in annotated:
            if isinstance(one.said, Rated):
                assert one.scheme_id is not None  # a constraint of rating items
                scheme = schemes[one.scheme_id]
                _expect_fit(scheme, one.asked.questions)
                ratings.append((one.number, scheme.pk))
                for completion, of_one in zip(
                    one.asked.shown, _answers(one.said, scheme), strict=True
                ):
                    answers += [
                        (one.number, completion, name, value) for name, value in of_one.items()
                    ]
        insert_rows(Rating, ("annotation_id", "scheme_id"), ratings)
        insert_rows(RatingAnswer, ("rating_id", "completion_id", "question", "value"), answers)

    def _write_texts(self, annotated: Sequence[_Annotated]) -> Sequence[int]:
        rows: list[tuple[int, str, str, int]] = []
        for one in annotated:
            assert isinstance(one.said, Written)
            author_id = self.people.of(one.said.annotator)
            prompt_id = one.asked.task.prompt_id
            rows.append((prompt_id, one.said.text, Completion.Origin.HUMAN, author_id))
        return insert_rows(Completion, ("prompt_id", "text", "origin", "author_id"), rows)

    def _tell_demonstrations(self, told: Sequence[_Told]) -> None:
        new: dict[tuple[int, int, str], _Told] = {}
        for one in told:
            assert isinstance(one.said, Written)
            author_id = self.people.of(one.said.annotator)
            new.setdefault((one.asked.task.prompt_id, author_id, one.said.text), one)
        for keys in chunks([key for key in new if key[0] not in self.new_prompts]):
            written = Completion.objects.filter(
                prompt__in={key[0] for key in keys},
                author__in={key[1] for key in keys},
                text__in={key[2] for key in keys},
                origin=Completion.Origin.HUMAN,
            )
            for prompt_id, author, text in written.values_list("prompt_id", "author_id", "text"):
                new.pop((prompt_id, author or 0, text), None)
        self.counts["duplicates"] += len(told) - len(new)
        made = self._make_items([(one.asked, 1, 0) for one in new.values()])
        annotated = self._annotate(list(zip(made, new.values(), strict=True)))
        insert_rows(
            Demonstration,
            ("annotation_id", "completion_id"),
            (
                (one.number, text)
                for one, text in zip(annotated, self._write_texts(annotated), strict=True)
            ),
        )

    def ask(self) -> None:
        """Make the items of what nobody judged, if the project has none of them."""
        overlap = self.project.comparison_overlap
        wanted: dict[Task, _Asked] = {}
        unanswered: dict[int, _Asked] = {}
        for prompt_id, record in self.records:
            if record.said:
                continue
            places = range(len(record.candidates))
            match len(places):
                case 0:
                    kind = Kind.DEMONSTRATION
                case 1:
                    kind = Kind.RATING if self.published else Kind.REWRITE
                case 2:
                    kind = Kind.COMPARISON
                case _:
                    kind = Kind.RANKING
            asked = self._asked(kind, prompt_id, record, places)
            if places:
                wanted[asked.task] = asked
            else:
                unanswered[prompt_id] = asked
        self._find_items(wanted)
        made = self._make_items(
            [(one, overlap, overlap) for task, one in wanted.items() if task not in self.items]
        )
        self.counts["asked"] += len(made) + self._ask_for_answers(unanswered)

    def _ask_for_answers(self, unanswered: Mapping[int, _Asked]) -> int:
        known: set[int] = set()
        for ids in chunks(number for number in unanswered if number not in self.new_prompts):
            items = Item.objects.filter(prompt__in=ids, kind=Kind.DEMONSTRATION)
            known.update(items.values_list("prompt_id", flat=True))
        # What the batch itself told is an answer, too.
        known.update(
            told.asked.task.prompt_id
            for told in self.told
            if told.asked.task.kind == Kind.DEMONSTRATION
        )
        missing = [one for number, one in unanswered.items() if number not in known]
        return len(self._make_items([(asked, 1, 1) for asked in missing]))


def fitting_scheme(project: Project, questions: Mapping[str, int]) -> RatingScheme:
    """Return the newest published questions that ask all of these: names to points, 0 for flags."""
    return _fitting(_published(project), questions)


def _published(project: Project) -> list[RatingScheme]:
    published = project.rating_schemes.filter(published_at__isnull=False)
    return list(published.order_by("-version"))


def _fitting(published: Iterable[RatingScheme], questions: Mapping[str, int]) -> RatingScheme:
    for scheme in published:
        if _fits(scheme, questions):
            return scheme
    names = ", ".join(
        f"{name} ({f'{points} points' if points else 'yes or no'})"
        for name, points in questions.items()
    )
    raise ServiceError(
        f"The file rates by questions that this project does not ask: {names}. An owner publishes "
        "them on the project's page of questions; then import the file again."
    )


def _fits(scheme: RatingScheme, questions: Mapping[str, int]) -> bool:
    asked = {one["name"]: 0 if one["form"] == FLAG else one["points"] for one in scheme.questions}
    return all(
        name in asked and (points <= asked[name] if points else asked[name] == 0)
        for name, points in questions.items()
    )


def _expect_fit(scheme: RatingScheme, questions: Mapping[str, int]) -> None:
    if not _fits(scheme, questions):
        raise ServiceError(
            f"A text was rated by {', '.join(questions)}, and here it is rated by other questions "
            "already. Import these ratings into a project of their own."
        )


def _questions_of(said: Rated) -> dict[str, int]:
    asked: dict[str, int] = {}
    for of_one in said.scales.values():
        for name, point in of_one.items():
            asked[name] = max(asked.get(name, 0), point)
    for of_one in said.flags.values():
        asked.update(dict.fromkeys(of_one, 0))
    return asked


def _answers(said: Rated, scheme: RatingScheme) -> Iterator[dict[str, int]]:
    """Yield the answers about each rated completion; a flag that was not raised is a no."""
    flags = {one["name"]: 0 for one in scheme.questions if one["form"] == FLAG}
    for place in sorted(said.scales.keys() | said.flags.keys()):
        yield {**flags, **said.scales.get(place, {}), **said.flags.get(place, {})}


def _asked_by(said: AnySaid) -> tuple[str, list[int]]:
    """Return the kind of work that something was said about, and which candidates it shows."""
    match said:
        case Chosen():
            return Kind.COMPARISON, [said.left, said.right]
        case Ordered():
            return Kind.RANKING, [place for tier in said.tiers for place in tier]
        case Rated():
            return Kind.RATING, sorted(said.scales.keys() | said.flags.keys())
        case Written(of=None):
            return Kind.DEMONSTRATION, []
        case Written():
            return Kind.REWRITE, [said.of or 0]


def _split_of(messages: Messages, digest: str) -> str:
    """Return the split of a conversation: all that follows the user's first turn goes with it."""
    users = (n for n, turn in enumerate(messages, start=1) if turn["role"] == "user")
    turns = next(users, len(messages))
    return split_for(digest if turns == len(messages) else content_hash(messages[:turns]))


def _by_number(votes: Mapping[int, int]) -> list[tuple[int, list[int]]]:
    by_number: dict[int, list[int]] = {}
    for item_id, number in votes.items():
        by_number.setdefault(number, []).append(item_id)
    return list(by_number.items())
