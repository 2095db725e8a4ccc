"""Label Studio's tasks, as its own import takes them, with what people said that counts.

A result's id is the annotation's name elsewhere: what comes back into this project is known by it.
Who said what stands under that name in the task's `meta`, as a pseudonym, because Label Studio
refuses annotations of people whom it does not know. Which model wrote which text stands there, too:
what is in `data` may be shown to labellers. Reviews and conversations have no such form.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.db.models import Exists, OuterRef

from annotations.exports.origins import origin_prefix
from annotations.exports.rows import counted_annotations, pseudonym
from annotations.models import (
    Annotation,
    Comparison,
    Completion,
    Item,
    Kind,
    Message,
    Project,
    RankedCompletion,
    RatingAnswer,
)

AT_ONCE = 500
KINDS = (
    Kind.DEMONSTRATION,
    Kind.COMPARISON,
    Kind.RANKING,
    Kind.RATING,
    Kind.REWRITE,
    Kind.ASSEMBLY,
)
PROMPT = "prompt"
Result = dict[str, Any]


def label_studio_tasks(project: Project, kind: str = "") -> Iterator[dict[str, Any]]:
    """Yield a task for each item that somebody annotated, by item; of one kind those alone.

    Of one kind every prompt is messages: the configuration that shows them shows all alike.
    """
    prefix = origin_prefix(project)
    counted = counted_annotations(project.pk).filter(kind__in=[kind] if kind else KINDS)
    annotated = Item.objects.filter(
        Exists(counted.filter(item=OuterRef("pk"))), project=project
    ).select_related("prompt")
    items = annotated.order_by("id").iterator(chunk_size=AT_ONCE)
    while chunk := list(islice(items, AT_ONCE)):
        said: dict[int, list[Annotation]] = defaultdict(list)
        for annotation in (
            counted.filter(item__in=[item.pk for item in chunk])
            .select_related(
                "comparison",
                "demonstration__completion",
                "rewrite__completion",
                "assembly__completion",
            )
            .order_by("id")
        ):
            said[annotation.item_id].append(annotation)
        told = [one.pk for annotations in said.values() for one in annotations]
        parts = _Parts(told, [item.pk for item in chunk])
        for item in chunk:
            task = _task(item, said[item.pk], parts, prefix)
            if kind:
                task["data"][PROMPT] = list(item.prompt.messages)
            yield task


class _Parts:
    """The completions of a chunk of items, and the rankings and ratings about them."""

    def __init__(self, annotation_ids: Sequence[int], item_ids: Sequence[int]) -> None:
        self.shown: dict[int, list[Completion]] = defaultdict(list)
        through = Item.completions.through.objects.filter(item__in=item_ids)
        for link in through.select_related("completion").order_by("completion_id"):
            self.shown[link.item_id].append(link.completion)
        self.tiers: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for entry in RankedCompletion.objects.filter(ranking__in=annotation_ids).order_by("id"):
            self.tiers[entry.ranking_id][entry.tier].append(entry.completion_id)
        self.answers: dict[int, list[RatingAnswer]] = defaultdict(list)
        answers = RatingAnswer.objects.filter(rating__in=annotation_ids)
        for answer in answers.select_related("rating__scheme").order_by("id"):
            self.answers[answer.rating_id].append(answer)


def _task(
    item: Item, annotations: Sequence[Annotation], parts: _Parts, prefix: str
) -> dict[str, Any]:
    shown = parts.shown[item.pk]
    names = {one.pk: f"answer{place}" for place, one in enumerate(shown, start=1)}
    if item.kind == Kind.REWRITE:
        names = {one.pk: "answer" for one in shown}
    return {
        "id": item.pk,
        "data": {
            "id": item.prompt.external_id or f"prompt-{item.prompt_id}",
            PROMPT: _prompt(item.prompt.messages),
            **({"tags": item.prompt.tags} if item.prompt.tags else {}),
            **_texts(item.kind, shown, names),
        },
        "meta": {
            "kind": item.kind,
            "split": item.prompt.split,
            "annotators": {f"{prefix}{one.pk}": pseudonym(one.annotator_id) for one in annotations},
            "models": {names[one.pk]: model for one in shown if (model := _model(one))},
        },
        "annotations": [_annotation(one, names, parts, prefix) for one in annotations],
        "predictions": [],
    }


def _model(completion: Completion) -> str:
    if completion.checkpoint_id:
        return f"checkpoint {completion.checkpoint_id}"
    return completion.source_name


def _prompt(messages: Sequence[Message]) -> str | list[Message]:
    """Return the prompt as a text if it is one turn by the user, as messages if it is more."""
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    return list(messages)


def _texts(kind: str, shown: Sequence[Completion], names: dict[int, str]) -> dict[str, Any]:
    if kind == Kind.COMPARISON and len(shown) == 2:
        return {names[one.pk]: one.text for one in shown}
    if kind == Kind.REWRITE and len(shown) == 1:
        return {"answer": shown[0].text}
    if kind in (Kind.RANKING, Kind.RATING):
        return {
            "items": [
                {"id": names[one.pk], "title": names[one.pk], "body": one.text} for one in shown
            ]
        }
    return {}


def _annotation(
    annotation: Annotation, names: dict[int, str], parts: _Parts, prefix: str
) -> dict[str, Any]:
    results = _results(annotation, names, parts)
    if annotation.reason:
        results.append(_result("reason", PROMPT, "textarea", {"text": [annotation.reason]}))
    for number, result in enumerate(results):
        name = f"{prefix}{annotation.pk}"
        result["id"] = name if number == 0 else f"{name}.{number}"
    lead_ms = annotation.active_ms or annotation.wall_ms
    return {
        "result": results,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": annotation.created_at.isoformat(),
        "lead_time": None if lead_ms is None else lead_ms / 1000,
    }


def _results(annotation: Annotation, names: dict[int, str], parts: _Parts) -> list[Result]:
    match annotation.kind:
        case Kind.COMPARISON:
            return _of_comparison(annotation.comparison, names)
        case Kind.RANKING:
            tiers = sorted(parts.tiers[annotation.pk].items())
            ranker = {f"tier_{tier + 1}": [names[one] for one in tied] for tier, tied in tiers}
            ranked = _result("ranking", "items", "ranker", {"ranker": ranker})
            return [ranked, *_of_answers(parts.answers[annotation.pk], names)]
        case Kind.RATING:
            return _of_answers(parts.answers[annotation.pk], names)
        case Kind.REWRITE:
            return [_text("rewrite", "answer", annotation.rewrite.completion.text)]
        case Kind.ASSEMBLY:
            return [_text("answer", PROMPT, annotation.assembly.completion.text)]
    return [_text("answer", PROMPT, annotation.demonstration.completion.text)]


def _of_comparison(comparison: Comparison, names: dict[int, str]) -> list[Result]:
    """Return who is better by the places in the task. Label Studio's control knows no tie."""
    results: list[Result] = []
    if comparison.outcome in ("left", "right"):
        better = comparison.left_id if comparison.outcome == "left" else comparison.right_id
        side = "left" if names[better] == "answer1" else "right"
        results.append(_result("comparison", "comparison", "pairwise", {"selected": side}))
    else:
        results.append(_result("verdict", PROMPT, "choices", {"choices": [comparison.outcome]}))
    if comparison.strength:
        strength = {"choices": [comparison.strength]}
        results.append(_result("strength", PROMPT, "choices", strength))
    return results


def _of_answers(answers: Sequence[RatingAnswer], names: dict[int, str]) -> list[Result]:
    results: list[Result] = []
    for answer in answers:
        scheme = {one["name"]: one["form"] for one in answer.rating.scheme.questions}
        name, about = answer.question, names[answer.completion_id]
        if scheme.get(name) == "flag":
            flagged = {"choices": [name if answer.value else f"not {name}"]}
            results.append(_result(f"{name}-{about}", about, "choices", flagged))
        else:
            results.append(_result(f"{name}-{about}", about, "rating", {"rating": answer.value}))
    return results


def _text(name: str, about: str, text: str) -> Result:
    return _result(name, about, "textarea", {"text": [text]})


def _result(name: str, about: str, type: str, value: dict[str, Any]) -> Result:
    return {"id": "", "from_name": name, "to_name": about, "type": type, "value": value}
