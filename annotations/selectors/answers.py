"""What an annotation says, as the fields of the form that it was entered in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations.algorithms.parts import parts_of
from annotations.algorithms.text import letter_of
from annotations.keys import ACTIONS
from annotations.models import (
    Annotation,
    Comparison,
    Completion,
    ConversationChoice,
    CorrectionDraft,
    Kind,
    RankedCompletion,
    Rating,
    RatingAnswer,
)

SCALES = ("choice", "decision")
ABOUT = "turn"
"""Says which turn of a conversation was entered. Nobody enters it."""
ABOUT_ONE = re.compile(r"(?P<what>tier|rating|part)-(?P<position>[1-9])(?P<rest>-.+)?")
"""A field about one of the completions that are shown."""
CHOSEN = {action.name: action.label for action in ACTIONS} | {
    "left": gettext_noop("A is better"),
    "right": gettext_noop("B is better"),
}
"""An answer on a scale in words, not yet translated; it has the name of the key that chooses it, or
is the side alone where an import did not say by how much."""


@dataclass(frozen=True)
class Correction:
    """What the page of a correction is filled in with, and whether somebody has begun with it."""

    fields: dict[str, list[str]]
    revision: int = 0
    is_begun: bool = False


def correction_of(annotation: Annotation) -> Correction:
    """Return the draft of a correction, or what was handed in where there is none."""
    handed_in = fields_of(annotation)
    draft = CorrectionDraft.objects.filter(annotation=annotation).first()
    if draft is None:
        return Correction(handed_in)
    is_begun = _entered_in(draft.fields) != _entered_in(handed_in)
    return Correction(draft.fields, draft.revision, is_begun)


def _entered_in(fields: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: values for name, values in fields.items() if any(values)}


def fields_of(annotation: Annotation) -> dict[str, list[str]]:
    """Return the fields that its page would send to make the same annotation again."""
    match Kind(annotation.kind):
        case Kind.DEMONSTRATION:
            return {"text": [annotation.demonstration.completion.text]}
        case Kind.COMPARISON:
            return _comparison_fields(annotation)
        case Kind.RANKING:
            return _ranking_fields(annotation)
        case Kind.RATING:
            return _rating_fields(annotation) | {"reason": [annotation.reason]}
        case Kind.REWRITE:
            text = annotation.rewrite.completion.text
            return {"text": [text], "reason": [annotation.reason]}
        case Kind.ASSEMBLY:
            return _assembly_fields(annotation)
        case Kind.REVIEW:
            return _review_fields(annotation)
        case Kind.CONVERSATION:
            return {}  # it was entered turn by turn, and is not entered again


def words_of(annotation: Annotation) -> Iterator[tuple[str, str]]:
    """Yield what an annotation says, each part with its name, for people to read."""
    if annotation.kind == Kind.CONVERSATION:
        return _conversation_in_words(annotation)
    return in_words(fields_of(annotation))


def in_short(annotation: Annotation) -> str:
    """Return what an annotation says in a line: what was written, or else what was chosen."""
    match Kind(annotation.kind):
        case Kind.DEMONSTRATION:
            return annotation.demonstration.completion.text
        case Kind.REWRITE:
            return annotation.rewrite.completion.text
        case Kind.ASSEMBLY:
            return annotation.assembly.completion.text
        case Kind.CONVERSATION:
            choices = annotation.conversation.choices.all()
            return " · ".join(_chosen(_judgement(choice)) for choice in choices)
        case Kind.REVIEW:
            said = {"decision": [annotation.review.decision], "reason": [annotation.reason]}
        case _:
            said = fields_of(annotation)
    return " · ".join(f"{name}: {value}" for name, value in in_words(said))


def with_payload(annotations: QuerySet[Annotation]) -> QuerySet[Annotation]:
    """Return annotations with what they say, in as many queries as there are kinds of payload."""
    return annotations.select_related(
        "demonstration__completion",
        "comparison",
        "ranking",
        "rating",
        "rewrite__completion",
        "assembly__completion",
        "review__completion",
        "conversation",
    ).prefetch_related(
        Prefetch("ranking__entries", RankedCompletion.objects.order_by("tier", "id")),
        Prefetch("rating__answers", RatingAnswer.objects.order_by("id")),
        "assembly__parts",
        Prefetch("conversation__choices", ConversationChoice.objects.order_by("position")),
    )


def in_words(fields: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield what was entered into a form, each with its name, for people to read."""
    for name, values in sorted(fields.items()):
        if name != ABOUT and any(value.strip() for value in values):
            said = [_chosen(value) for value in values] if name in SCALES else values
            yield _name_in_words(name), "\n".join(said)


def _chosen(value: str) -> str:
    """Return an answer on a scale in words.

    >>> _chosen("right"), _chosen("right-slightly")
    ('B is better', 'B is slightly better')
    """
    return _(CHOSEN[value]) if value in CHOSEN else value


def _name_in_words(name: str) -> str:
    """Return the name of a field as its page says it.

    >>> _name_in_words("tier-2"), _name_in_words("rating-1-overall"), _name_in_words("part-2-3")
    ('Place of B', 'Overall, A', 'Part 3 of B')
    """
    found = ABOUT_ONE.fullmatch(name)
    if found is None:
        return name.replace("-", " ").capitalize()
    letter = letter_of(int(found["position"]))
    words = (found["rest"] or "").replace("-", " ").strip()
    if found["what"] == "tier":
        return _("Place of %(letter)s") % {"letter": letter}
    if found["what"] == "part":
        return _("Part %(number)s of %(letter)s") % {"number": words, "letter": letter}
    return f"{words.capitalize()}, {letter}"


def _conversation_in_words(annotation: Annotation) -> Iterator[tuple[str, str]]:
    choices = annotation.conversation.choices.select_related("prompt", "left", "right")
    for number, choice in enumerate(choices, start=1):
        place = {"number": number}
        yield _("Message %(number)s") % place, choice.prompt.text
        yield _("Reply A to message %(number)s") % place, choice.left.text or _("(empty)")
        yield _("Reply B to message %(number)s") % place, choice.right.text or _("(empty)")
        yield _("Choice %(number)s") % place, _chosen(_judgement(choice))


def _judgement(judged: Comparison | ConversationChoice) -> str:
    return "-".join(filter(None, [judged.outcome, judged.strength]))


def _comparison_fields(annotation: Annotation) -> dict[str, list[str]]:
    return {"choice": [_judgement(annotation.comparison)], "reason": [annotation.reason]}


def _ranking_fields(annotation: Annotation) -> dict[str, list[str]]:
    tiers = {entry.completion_id: entry.tier for entry in annotation.ranking.entries.all()}
    places = {
        f"tier-{position}": [str(tiers[completion_id] + 1)]
        for position, completion_id in enumerate(annotation.shown_order, start=1)
    }
    return _rating_fields(annotation) | places | {"reason": [annotation.reason]}


def _rating_fields(annotation: Annotation) -> dict[str, list[str]]:
    """Return the answers to questions; a flag that was not raised is not in what a form sends."""
    rating: Rating | None = getattr(annotation, "rating", None)
    if rating is None:
        return {}
    flags = {question["name"] for question in rating.scheme.questions if question["form"] == "flag"}
    positions = {completion: n for n, completion in enumerate(annotation.shown_order, start=1)}
    return {
        f"rating-{positions[one.completion_id]}-{one.question}": [str(one.value)]
        for one in rating.answers.all()
        if one.value or one.question not in flags
    }


def _assembly_fields(annotation: Annotation) -> dict[str, list[str]]:
    assembly = annotation.assembly
    chosen = {
        (part.source_id, part.start, part.end): part.position for part in assembly.parts.all()
    }
    texts = Completion.objects.in_bulk(annotation.shown_order)
    orders = {
        f"part-{position}-{number}": [str(chosen[completion_id, part.start, part.end] + 1)]
        for position, completion_id in enumerate(annotation.shown_order, start=1)
        for number, part in enumerate(parts_of(texts[completion_id].text), start=1)
        if (completion_id, part.start, part.end) in chosen
    }
    return orders | {"text": [assembly.completion.text], "reason": [annotation.reason]}


def _review_fields(annotation: Annotation) -> dict[str, list[str]]:
    review = annotation.review
    text = review.completion or Completion.objects.get(id=annotation.shown_order[0])
    return {
        "decision": [review.decision],
        "text": [text.text],
        "reason": [annotation.reason],
    }
