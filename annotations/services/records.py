"""Records of an import, written in one go: prompts, completions, items, and what people said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.prompts import content_hash, split_for
from annotations.importers import (
    AnySaid,
    Candidate,
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
from annotations.services.origins import annotations_named
from annotations.services.prompts import new_prompt, prompts_by_hash
from annotations.services.rating_schemes import FLAG, scheme_in_force
from annotations.services.rules import CHUNK, ServiceError, chunks, lock

Key = tuple[int, str, str]
"""A completion by its prompt, text and model."""


@dataclass(frozen=True)
class Task:
    """What an item asks: its kind, its prompt, and the completions that it shows."""

    kind: str
    prompt_id: int
    shown: frozenset[int]


@dataclass
class _Told:
    """Something that somebody said, with where it belongs."""

    said: AnySaid
    prompt: Prompt
    shown: list[Completion]
    kind: str


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
    def __init__(
        self, project: Project, records: Sequence[Record], imported_by: User, batch: str
    ) -> None:
        self.project, self.batch = project, batch
        self.counts: Counter[str] = Counter()
        self.records = self._unknown(records)
        self.prompts = self._prompts(imported_by)
        self.completions = self._completions()
        self.items: dict[Task, Item] = {}
        self.told = list(self._told())
        names = dict.fromkeys(told.said.annotator for told in self.told)
        models = {told.said.annotator for told in self.told if told.said.by_model}
        self.people = ImportedPeople(project, names, imported_by, models=models)
        self.counts["annotators"] = self.people.created

    def _unknown(self, records: Sequence[Record]) -> list[Record]:
        """Leave out what this very project once gave away and now gets back."""
        origins = [said.origin for record in records for said in record.said]
        known = annotations_named(self.project, origins)
        kept: list[Record] = []
        for record in records:
            said = tuple(one for one in record.said if one.origin not in known)
            self.counts["duplicates"] += len(record.said) - len(said)
            if said or not record.said:
                kept.append(
                    Record(
                        record.messages, record.candidates, said, record.external_id, record.tags
                    )
                )
        return kept

    def _prompts(self, imported_by: User) -> dict[str, Prompt]:
        known = prompts_by_hash(self.project, [record.messages for record in self.records])
        new: dict[str, Prompt] = {}
        for record in self.records:
            digest = content_hash(record.messages)
            if digest not in known and digest not in new:
                prompt = new_prompt(
                    self.project, record.messages, imported_by, Prompt.Origin.IMPORTED
                )
                prompt.split = split_for(content_hash(_beginning(record.messages)))
                prompt.external_id, prompt.tags = record.external_id, list(record.tags)
                new[digest] = prompt
        for prompt in Prompt.objects.bulk_create(new.values(), batch_size=CHUNK):
            known[prompt.content_hash] = prompt
        self.counts["prompts"] += len(new)
        return known

    def _prompt(self, record: Record) -> Prompt:
        return self.prompts[content_hash(record.messages)]

    def _completions(self) -> dict[Key, Completion]:
        wanted: dict[Key, None] = {}
        for record in self.records:
            for one in record.candidates:
                wanted[_key(self._prompt(record), one)] = None
        found: dict[Key, Completion] = {}
        for keys in chunks(wanted):
            imported = Completion.objects.filter(
                prompt__in={key[0] for key in keys},
                text__in={key[1] for key in keys},
                origin=Completion.Origin.IMPORTED,
            )
            for completion in imported.order_by("-id"):
                found[completion.prompt_id, completion.text, completion.source_name] = completion
        missing = [key for key in wanted if key not in found]
        created = Completion.objects.bulk_create(
            (
                Completion(
                    prompt_id=prompt_id,
                    text=text,
                    source_name=model,
                    origin=Completion.Origin.IMPORTED,
                )
                for prompt_id, text, model in missing
            ),
            batch_size=CHUNK,
        )
        found.update(zip(missing, created, strict=True))
        self.counts["completions"] += len(created)
        return found

    def _shown(self, record: Record) -> list[Completion]:
        prompt = self._prompt(record)
        return [self.completions[_key(prompt, one)] for one in record.candidates]

    def _told(self) -> Iterator[_Told]:
        for record in self.records:
            prompt, shown = self._prompt(record), self._shown(record)
            for said in record.said:
                kind, places = _asked_by(said)
                yield _Told(said, prompt, [shown[place] for place in places], kind)

    def tell(self) -> None:
        """Write what people said."""
        judged = [told for told in self.told if told.kind != Kind.DEMONSTRATION]
        self._find_or_make_items(
            {_task(told): told for told in judged}.values(), overlap=0, open_slots=0
        )
        self._tell_judgements(judged)
        self._tell_demonstrations([told for told in self.told if told.kind == Kind.DEMONSTRATION])

    def _find_or_make_items(self, wanted: Iterable[_Told], *, overlap: int, open_slots: int) -> int:
        asked = {_task(told): told for told in wanted if _task(told) not in self.items}
        self.items.update(self._existing(asked))
        missing = [told for task, told in asked.items() if task not in self.items]
        made = Item.objects.bulk_create(
            (self._item(told, overlap=overlap, open_slots=open_slots) for told in missing),
            batch_size=CHUNK,
        )
        through = Item.completions.through
        through.objects.bulk_create(
            (
                through(item_id=item.pk, completion_id=completion.pk)
                for item, told in zip(made, missing, strict=True)
                for completion in told.shown
            ),
            batch_size=CHUNK,
        )
        self.items.update((_task(told), item) for told, item in zip(missing, made, strict=True))
        self.counts["items"] += len(made)
        return len(made)

    def _existing(self, asked: Iterable[Task]) -> dict[Task, Item]:
        shown = {completion for task in asked for completion in task.shown}
        through = Item.completions.through.objects
        item_ids: set[int] = set()
        for ids in chunks(shown):
            item_ids.update(
                through.filter(completion__in=ids).values_list("item_id", flat=True).distinct()
            )
        found: dict[Task, Item] = {}
        for ids in chunks(sorted(item_ids, reverse=True)):
            items = Item.objects.filter(
                id__in=ids, purpose=Item.Purpose.TRAINING, project=self.project
            )
            for item in items.order_by("-id").prefetch_related("completions"):
                completions = frozenset(one.pk for one in item.completions.all())
                found[Task(item.kind, item.prompt_id, completions)] = item
        return found

    def _item(self, told: _Told, *, overlap: int, open_slots: int) -> Item:
        texts = [completion.text for completion in told.shown]
        return Item(
            project=self.project,
            kind=told.kind,
            prompt=told.prompt,
            overlap=overlap,
            open_slots=open_slots,
            fingerprint=fingerprint_of(told.kind, told.prompt.messages, texts),
            rating_scheme=self._scheme(told) if told.kind == Kind.RATING else None,
            batch=self.batch,
        )

    def _scheme(self, told: _Told) -> RatingScheme:
        if isinstance(told.said, Rated):
            return fitting_scheme(self.project, _questions_of(told.said))
        scheme = scheme_in_force(self.project)
        assert scheme is not None  # whoever asks for ratings looked whether there are questions
        return scheme

    def _tell_judgements(self, judged: Sequence[_Told]) -> None:
        item_ids = {self.items[_task(told)].pk for told in judged}
        voted: set[tuple[int, int]] = set()
        for ids in chunks(item_ids):
            voted.update(
                Annotation.objects.filter(item__in=ids).values_list("item_id", "annotator_id")
            )
        new: list[_Told] = []
        for told in judged:
            vote = self.items[_task(told)].pk, self.people.of(told.said.annotator).pk
            if vote not in voted:
                voted.add(vote)
                new.append(told)
        self.counts["duplicates"] += len(judged) - len(new)
        made = self._annotate([(self.items[_task(told)], told) for told in new])
        self._write_payloads(list(zip(made, new, strict=True)))
        places = Counter(annotation.item_id for annotation in made)
        for votes, items in _by_number(places):
            for ids in chunks(items):
                Item.objects.filter(id__in=ids).update(overlap=F("overlap") + votes)

    def _annotate(self, told: Sequence[tuple[Item, _Told]]) -> list[Annotation]:
        made = Annotation.objects.bulk_create(
            (
                Annotation(
                    item=item,
                    annotator=self.people.of(one.said.annotator),
                    kind=one.kind,
                    shown_order=[completion.pk for completion in one.shown],
                    reason=one.said.reason,
                    wall_ms=one.said.wall_ms,
                )
                for item, one in told
            ),
            batch_size=CHUNK,
        )
        self.counts["annotations"] += len(made)
        return made

    def _write_payloads(self, pairs: Sequence[tuple[Annotation, _Told]]) -> None:
        Comparison.objects.bulk_create(
            (
                Comparison(
                    annotation=annotation,
                    left=told.shown[0],
                    right=told.shown[1],
                    outcome=told.said.outcome,
                    strength=told.said.strength,
                )
                for annotation, told in pairs
                if isinstance(told.said, Chosen)
            ),
            batch_size=CHUNK,
        )
        self._write_rankings([pair for pair in pairs if isinstance(pair[1].said, Ordered)])
        self._write_ratings([pair for pair in pairs if isinstance(pair[1].said, Rated)])
        rewritten = [pair for pair in pairs if isinstance(pair[1].said, Written)]
        texts = self._write_texts(rewritten)
        Rewrite.objects.bulk_create(
            (
                Rewrite(annotation=annotation, original=told.shown[0], completion=text)
                for (annotation, told), text in zip(rewritten, texts, strict=True)
            ),
            batch_size=CHUNK,
        )

    def _write_rankings(self, pairs: Sequence[tuple[Annotation, _Told]]) -> None:
        Ranking.objects.bulk_create(
            (Ranking(annotation=annotation) for annotation, _ in pairs), batch_size=CHUNK
        )
        entries: list[RankedCompletion] = []
        for annotation, told in pairs:
            assert isinstance(told.said, Ordered)
            # `shown` has the ranked ones alone, in the order of the tiers.
            shown = iter(told.shown)
            entries += [
                RankedCompletion(ranking_id=annotation.pk, completion=next(shown), tier=number)
                for number, tier in enumerate(told.said.tiers)
                for _ in tier
            ]
        RankedCompletion.objects.bulk_create(entries, batch_size=CHUNK)

    def _write_ratings(self, pairs: Sequence[tuple[Annotation, _Told]]) -> None:
        answers: list[RatingAnswer] = []
        ratings: list[Rating] = []
        for annotation, told in pairs:
            assert isinstance(told.said, Rated)
            scheme = annotation.item.rating_scheme
            assert scheme is not None  # a constraint of rating items
            _expect_fit(scheme, _questions_of(told.said))
            ratings.append(Rating(annotation=annotation, scheme=scheme))
            for completion, of_one in zip(told.shown, _answers(told.said, scheme), strict=True):
                answers += [
                    RatingAnswer(
                        rating_id=annotation.pk, completion=completion, question=name, value=value
                    )
                    for name, value in of_one.items()
                ]
        Rating.objects.bulk_create(ratings, batch_size=CHUNK)
        RatingAnswer.objects.bulk_create(answers, batch_size=CHUNK)

    def _write_texts(self, pairs: Sequence[tuple[Annotation, _Told]]) -> list[Completion]:
        texts: list[Completion] = []
        for annotation, told in pairs:
            assert isinstance(told.said, Written)
            texts.append(
                Completion(
                    prompt=told.prompt,
                    text=told.said.text,
                    origin=Completion.Origin.HUMAN,
                    author_id=annotation.annotator_id,
                )
            )
        return Completion.objects.bulk_create(texts, batch_size=CHUNK)

    def _tell_demonstrations(self, told: Sequence[_Told]) -> None:
        new: dict[tuple[int, int, str], _Told] = {}
        for one in told:
            assert isinstance(one.said, Written)
            author = self.people.of(one.said.annotator).pk
            new.setdefault((one.prompt.pk, author, one.said.text), one)
        for keys in chunks(list(new)):
            written = Completion.objects.filter(
                prompt__in={key[0] for key in keys},
                author__in={key[1] for key in keys},
                text__in={key[2] for key in keys},
                origin=Completion.Origin.HUMAN,
            )
            for known in written.values_list("prompt_id", "author_id", "text"):
                new.pop((known[0], known[1] or 0, known[2]), None)
        self.counts["duplicates"] += len(told) - len(new)
        items = Item.objects.bulk_create(
            (self._item(one, overlap=1, open_slots=0) for one in new.values()), batch_size=CHUNK
        )
        self.counts["items"] += len(items)
        pairs = list(
            zip(
                self._annotate(list(zip(items, new.values(), strict=True))),
                new.values(),
                strict=True,
            )
        )
        Demonstration.objects.bulk_create(
            (
                Demonstration(annotation=annotation, completion=text)
                for (annotation, _), text in zip(pairs, self._write_texts(pairs), strict=True)
            ),
            batch_size=CHUNK,
        )

    def ask(self) -> None:
        """Make the items of what nobody judged, if the project has none of them."""
        overlap = self.project.comparison_overlap
        questions = scheme_in_force(self.project)
        wanted: list[_Told] = []
        unanswered: dict[int, Prompt] = {}
        nothing = Written(annotator="", text="")
        for record in self.records:
            if record.said:
                continue
            prompt, shown = self._prompt(record), self._shown(record)
            match len(shown):
                case 0:
                    unanswered[prompt.pk] = prompt
                case 1:
                    kind = Kind.RATING if questions else Kind.REWRITE
                    wanted.append(_Told(nothing, prompt, shown, kind))
                case 2:
                    wanted.append(_Told(nothing, prompt, shown, Kind.COMPARISON))
                case _:
                    wanted.append(_Told(nothing, prompt, shown, Kind.RANKING))
        made = self._find_or_make_items(wanted, overlap=overlap, open_slots=overlap)
        self.counts["asked"] += made + self._ask_for_answers(unanswered)

    def _ask_for_answers(self, prompts: dict[int, Prompt]) -> int:
        asked: set[int] = set()
        for ids in chunks(prompts):
            items = Item.objects.filter(prompt__in=ids, kind=Kind.DEMONSTRATION)
            asked.update(items.values_list("prompt_id", flat=True))
        new = [prompt for number, prompt in prompts.items() if number not in asked]
        told = (_Told(Written(annotator="", text=""), one, [], Kind.DEMONSTRATION) for one in new)
        Item.objects.bulk_create(
            (self._item(one, overlap=1, open_slots=1) for one in told), batch_size=CHUNK
        )
        self.counts["items"] += len(new)
        return len(new)


def fitting_scheme(project: Project, questions: dict[str, int]) -> RatingScheme:
    """Return the newest published questions that ask all of these: names to points, 0 for flags."""
    published = project.rating_schemes.filter(published_at__isnull=False)
    for scheme in published.order_by("-version"):
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


def _fits(scheme: RatingScheme, questions: dict[str, int]) -> bool:
    asked = {one["name"]: 0 if one["form"] == FLAG else one["points"] for one in scheme.questions}
    return all(
        name in asked and (points <= asked[name] if points else asked[name] == 0)
        for name, points in questions.items()
    )


def _expect_fit(scheme: RatingScheme, questions: dict[str, int]) -> None:
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


def _task(told: _Told) -> Task:
    return Task(told.kind, told.prompt.pk, frozenset(one.pk for one in told.shown))


def _key(prompt: Prompt, candidate: Candidate) -> Key:
    return prompt.pk, candidate.text, candidate.model


def _beginning(messages: Messages) -> Messages:
    """Return a conversation up to the user's first turn: all that follows goes with it."""
    for number, turn in enumerate(messages, start=1):
        if turn["role"] == "user":
            return messages[:number]
    return messages


def _by_number(places: Counter[int]) -> list[tuple[int, list[int]]]:
    by_number: dict[int, list[int]] = {}
    for item_id, votes in places.items():
        by_number.setdefault(votes, []).append(item_id)
    return list(by_number.items())
