"""On which items people disagree, and what each of them said.

Of a small project that is looked for when somebody asks. Of a large one the worthiest items are
looked for in the background; what is shown of them is of this moment.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from django.db.models import Count, Exists, OuterRef, QuerySet

from annotations.algorithms.disagreement import open_bits, scale_bits
from annotations.algorithms.paired import Estimate
from annotations.algorithms.rankings import outcomes_from_ranking
from annotations.algorithms.review_sampling import share_of_all
from annotations.algorithms.text import letter_of
from annotations.kept import Made, keep_up, recall
from annotations.models import (
    Adjudication,
    Annotation,
    Assignment,
    Comparison,
    Completion,
    Item,
    Kind,
    Project,
    Question,
    RankedCompletion,
    RatingAnswer,
    RatingScheme,
    Review,
    User,
    counted,
    in_force,
)
from annotations.selectors.answers import in_words
from annotations.selectors.sizes import is_small

ADJUDICATED = (Kind.COMPARISON, Kind.RANKING, Kind.RATING)
WINDOW = 20_000
"""Finished items that are looked at, the newest."""
MOST_KEPT = 1000
"""Items that are kept as the worthiest: who has decided about them finds no more until the next
are looked for."""
AT_ONCE = 1000
"""Items whose votes are in memory at one time."""
FEW = 100
"""Of them are looked at, at one time, while somebody waits."""
WORTHIEST = "worth-deciding"
TURNED = {"left": "right", "right": "left"}

Pairs = dict[tuple[int, int], list[str]]
"""What was said about every two completions of an item, the lower id first."""


Ratings = dict[tuple[int, str], list[int]]
"""What was answered about every completion of an item to every question."""


@dataclass(frozen=True)
class _Open:
    """What the votes on an item leave open, and how they are split in words."""

    bits: float
    votes: int
    words: str


@dataclass(frozen=True)
class Disagreement:
    """An item on which people disagree, and what a decision about it is worth."""

    item: Item
    bits: float
    votes: int
    words: str


@dataclass(frozen=True)
class Waiting:
    """What waits for the decision of one person, and where that was looked for before, when."""

    found: list[Disagreement]
    as_of: datetime | None = None
    """None: it was looked for just now."""
    is_known: bool = True
    """False: a large project was not looked through yet."""


@dataclass(frozen=True)
class Answer:
    """What one person said, as the one who decides sees the completions."""

    words: list[tuple[str, str]]
    reason: str
    saw_otherwise: bool
    """They saw the completions under other letters, which their reason may name."""


def waiting_for(project: Project, user: User, *, limit: int = 50) -> Waiting:
    """Return the items that a person may decide about, those worth most first.

    Not those that they voted on, were handed or wrote a text of, nor what is decided or still to
    be finished.
    """
    if is_small(project):
        return Waiting(_worthiest_of(_newest(project), project, user, limit))
    kept: Made[list[int]] | None = recall(project, WORTHIEST)
    if kept is None:
        return Waiting([], is_known=False)
    return Waiting(_worthiest_of(kept.value, project, user, limit, FEW), as_of=kept.made_at)


def disagreements(project: Project, user: User, *, limit: int = 50) -> list[Disagreement]:
    """Return the items alone of what waits for somebody."""
    return waiting_for(project, user, limit=limit).found


def keep_worthiest(project: Project) -> None:
    """Look for what is worth most in a large project, unless that was done a while ago only."""
    keep_up(project, WORTHIEST, lambda: _worthiest(project))


def _worthiest(project: Project) -> list[int]:
    """Return the items that people disagree about, those worth most first."""
    newest = _newest(project)
    bits: dict[int, float] = {}
    for place in range(0, len(newest), AT_ONCE):
        found = _left_open(Item.objects.filter(id__in=newest[place : place + AT_ONCE]))
        bits |= {item: left.bits for item, left in found.items() if left.bits > 0}
    return sorted(bits, key=lambda item: (-bits[item], item))[:MOST_KEPT]


def bits_open(item: Item) -> float:
    """Return what the votes on an item leave open."""
    found = _left_open(Item.objects.filter(id=item.pk))
    return found[item.pk].bits if item.pk in found else 0.0


def may_decide(item: Item, user: User) -> bool:
    """Return whether a person has no part in what was said about an item."""
    return not _part_in(Item.objects.filter(id=item.pk), user).exists()


def decided(project: Project) -> QuerySet[Adjudication]:
    """Return the decisions in force, newest first."""
    found = Adjudication.objects.filter(in_force("reference__"), item__project=project)
    related = ("reference__annotator", "item__prompt")
    return found.select_related(*related).order_by("-reference_id")


def order_for(item: Item, user: User) -> list[int]:
    """Return the completions in the order in which somebody decides about them: by lot."""
    order = sorted(item.completions.values_list("id", flat=True))
    random.Random(f"{item.pk} {user.pk}").shuffle(order)
    return order


def answers_about(item: Item, order: Sequence[int]) -> list[Answer]:
    """Return what people said about an item, in an order that says nothing about who they are."""
    given = item.annotations.filter(
        counted("", item.project_id), kind=item.kind, adjudication__isnull=True
    )
    found = list(given.select_related("comparison").order_by("id"))
    random.Random(item.pk).shuffle(found)
    return [_answer(one, order) for one in found]


def texts_in(order: Sequence[int]) -> list[tuple[str, str]]:
    """Return the letter and the text of each completion."""
    found = Completion.objects.in_bulk(order)
    return [(letter_of(n), found[one].text) for n, one in enumerate(order, start=1)]


def _answer(annotation: Annotation, order: Sequence[int]) -> Answer:
    if annotation.kind == Kind.COMPARISON:
        comparison = annotation.comparison
        outcome = comparison.outcome
        if comparison.left_id != order[0]:
            outcome = TURNED.get(outcome, outcome)
        fields = {"choice": ["-".join(filter(None, [outcome, comparison.strength]))]}
    elif annotation.kind == Kind.RATING:
        return _rating_answer(annotation, order)
    else:
        tiers = dict(annotation.ranking.entries.values_list("completion_id", "tier"))
        fields = {f"tier-{n}": [str(tiers[one] + 1)] for n, one in enumerate(order, start=1)}
    return Answer(list(in_words(fields)), annotation.reason, _saw_otherwise(annotation, order))


def _saw_otherwise(annotation: Annotation, order: Sequence[int]) -> bool:
    return bool(annotation.shown_order) and annotation.shown_order != list(order)


def _rating_answer(annotation: Annotation, order: Sequence[int]) -> Answer:
    given = {
        (one.completion_id, one.question): one.value for one in annotation.rating.answers.all()
    }
    words = [
        (f"{letter_of(number)}: {question['text']}", _value_in_words(question, value))
        for number, completion in enumerate(order, start=1)
        for question in annotation.rating.scheme.questions
        if (value := given.get((completion, question["name"]))) is not None
    ]
    return Answer(words, annotation.reason, _saw_otherwise(annotation, order))


def _value_in_words(question: Question, value: int) -> str:
    if question["form"] == "flag":
        return "yes" if value else "no"
    return f"{value} of {question['points']}"


def _worthiest_of(
    candidates: Sequence[int], project: Project, user: User, limit: int, at_once: int | None = None
) -> list[Disagreement]:
    """Return those of the items that people disagree about and that a person may decide about.

    With `at_once`, of candidates in the order of what they were worth: so many are looked at, and
    then more until there are enough.
    """
    found: dict[int, _Open] = {}
    step = at_once or max(len(candidates), 1)
    for place in range(0, len(candidates), step):
        some = candidates[place : place + step]
        parts = set(_part_in(Item.objects.filter(id__in=some), user).values_list("id", flat=True))
        allowed = _to_decide(project).filter(id__in=set(some) - parts)
        left_open = _left_open(allowed)
        found |= {item: left for item, left in left_open.items() if left.bits > 0}
        if len(found) >= limit:
            break
    first = sorted(found, key=lambda one: (-found[one].bits, one))[:limit]
    items = Item.objects.select_related("prompt").in_bulk(first)
    return [Disagreement(item=items[number], **vars(found[number])) for number in first]


def _newest(project: Project) -> list[int]:
    """Return the newest items that wait for a decision, if people disagree about them."""
    return list(_to_decide(project).order_by("-id").values_list("id", flat=True)[:WINDOW])


def _to_decide(project: Project) -> QuerySet[Item]:
    """Return the finished items that several people judged and nobody has decided about."""
    held = Assignment.objects.filter(item=OuterRef("pk"), state=Assignment.State.LEASED)
    done = Adjudication.objects.filter(in_force("reference__"), item=OuterRef("pk"))
    return project.items.filter(
        ~Exists(held),
        ~Exists(done),
        kind__in=ADJUDICATED,
        purpose=Item.Purpose.TRAINING,
        overlap__gt=1,
        open_slots=0,
    )


def _part_in(items: QuerySet[Item], user: User) -> QuerySet[Item]:
    """Return those of the items about which a person said something, or has written."""
    said = Annotation.objects.filter(item=OuterRef("pk"), annotator=user, adjudication__isnull=True)
    had = Assignment.objects.filter(item=OuterRef("pk"), annotator=user)
    wrote = Item.completions.through.objects.filter(item=OuterRef("pk"), completion__author=user)
    return items.filter(Exists(said) | Exists(had) | Exists(wrote))


def _left_open(items: QuerySet[Item]) -> dict[int, _Open]:
    """Return what the votes on each of the items of one project leave open."""
    rows = list(items.values_list("id", "project_id", "kind", "rating_scheme"))
    if not rows:
        return {}
    project_id = rows[0][1]
    judged = [row[0] for row in rows if row[2] != Kind.RATING]
    schemes = {item: scheme for item, _, kind, scheme in rows if kind == Kind.RATING}
    kinds = {row[0]: row[2] for row in rows}
    questions = {
        scheme.pk: scheme.questions
        for scheme in RatingScheme.objects.filter(id__in=schemes.values())
    }
    found = {
        item: _Open(
            bits=sum(map(open_bits, said.values())),
            votes=max(map(len, said.values())),
            words=_in_words(kinds[item], said),
        )
        for item, said in _pairs_by_item(judged, project_id).items()
    }
    for item, rated in _ratings_by_item(schemes, project_id).items():
        found[item] = _of_ratings(questions[schemes[item] or 0], rated)  # a rating has questions
    return found


def _of_ratings(questions: Sequence[Question], rated: Ratings) -> _Open:
    """Return what ratings leave open: scales whose answers are far apart, and flags."""
    asked = {one["name"]: one for one in questions}
    bits, distances, flags = 0.0, [], 0
    for (_, name), values in rated.items():
        if asked[name]["form"] == "flag":
            left = open_bits(values)
            flags += left > 0
        else:
            left = scale_bits(values, asked[name]["points"])
            distances += [max(values) - min(values)] if left else []
        bits += left
    words = []
    if distances:
        scales = "1 scale" if len(distances) == 1 else f"{len(distances)} scales"
        words.append(f"{scales} up to {max(distances)} points apart")
    if flags:
        words.append(f"{flags} flag{'s' if flags > 1 else ''} raised by some")
    return _Open(bits, max(map(len, rated.values())), ", ".join(words))


def _ratings_by_item(schemes: Mapping[int, int | None], project_id: int) -> dict[int, Ratings]:
    found: dict[int, Ratings] = defaultdict(lambda: defaultdict(list))
    path = "rating__annotation__"
    answers = RatingAnswer.objects.filter(
        counted(path, project_id),
        rating__annotation__item__in=list(schemes),
        rating__annotation__adjudication__isnull=True,
    ).order_by()
    for item, scheme, completion, question, value in answers.values_list(
        f"{path}item_id", "rating__scheme_id", "completion_id", "question", "value"
    ):
        # An import may answer questions of another version. Not a condition of the query: SQLite
        # would begin with every rating of the scheme, for each item.
        if scheme == schemes[item]:
            found[item][completion, question].append(value)
    return found


def _pairs_by_item(chosen: Sequence[int], project_id: int) -> dict[int, Pairs]:
    found: dict[int, Pairs] = defaultdict(lambda: defaultdict(list))
    compared = Comparison.objects.filter(
        counted("annotation__", project_id),
        annotation__item__in=chosen,
        annotation__adjudication__isnull=True,
    ).values_list("annotation__item_id", "left_id", "right_id", "outcome")
    for item, left, right, outcome in compared:
        first, second = sorted((left, right))
        label = TURNED.get(outcome, outcome) if left != first else outcome
        found[item][first, second].append(label)
    ranked = RankedCompletion.objects.filter(
        counted("ranking__annotation__", project_id),
        ranking__annotation__item__in=chosen,
        ranking__annotation__adjudication__isnull=True,
    ).order_by("ranking_id", "tier", "completion_id")
    rows = ranked.values_list("ranking_id", "ranking__annotation__item_id", "tier", "completion_id")
    for (_, item), entries in groupby(rows, key=itemgetter(0, 1)):
        tiers = [[row[3] for row in tied] for _, tied in groupby(entries, key=itemgetter(2))]
        for first, second, label in outcomes_from_ranking(tiers):
            found[item][first, second].append(label)
    return found


def _in_words(kind: str, pairs: Pairs) -> str:
    """Return how the votes are split, without a letter: everyone sees another order."""
    if kind == Kind.RANKING:
        split = sum(len(set(labels)) > 1 for labels in pairs.values())
        return f"{split} of {len(pairs)} pairs ranked differently"
    counts = Counter(label for labels in pairs.values() for label in labels)
    sides = sorted((counts.pop("left", 0), counts.pop("right", 0)), reverse=True)
    others = [f"{count} {name.replace('_', ' ')}" for name, count in sorted(counts.items())]
    return ", ".join([f"{sides[0]} against {sides[1]}", *others])


def rejected_share(project: Project) -> tuple[Estimate | None, int]:
    """Return the share of all texts that reviewers would reject, and how many they looked at.

    The texts were drawn with known probabilities, which the share undoes.
    """
    found = (
        Review.objects.filter(
            counted("annotation__", project.pk),
            counted("subject__", project.pk),
            annotation__item__project=project,
            annotation__item__review_chance__gt=0,
        )
        .order_by()
        .values_list("decision", "annotation__item__review_chance")
        .annotate(Count("pk"))
    )
    drawn = [
        (decision == Review.Decision.REJECT, chance or 0.0, times)
        for decision, chance, times in found
    ]
    return share_of_all(drawn), sum(times for *_, times in drawn)
