"""Votes between checkpoints, written in bulk: for tests of figures that many votes make."""

from __future__ import annotations

from collections.abc import Iterable

from annotations.models import Annotation, Comparison, Completion, Item, Project, Prompt, User
from training.models import Checkpoint

Vote = tuple[int, int, str, User]
"""Left checkpoint, right checkpoint, outcome, who said so."""


def make_players(project: Project, *names: str) -> list[Checkpoint]:
    """Return policies without files, for what never loads them."""
    return Checkpoint.objects.bulk_create(
        Checkpoint(project=project, name=name, kind=Checkpoint.Kind.POLICY, path=f"made/{name}")
        for name in names
    )


def cast_votes(
    project: Project,
    votes: Iterable[Vote],
    *,
    purpose: str = "evaluation",
    texts: tuple[str, str] = ("old pond", "a frog leaps in"),
    tags: tuple[str, ...] = (),
) -> list[Annotation]:
    """Write a comparison on a prompt of its own for each vote; return the annotations."""
    cast = list(votes)
    start = Prompt.objects.count()
    prompts = Prompt.objects.bulk_create(
        Prompt(
            project=project,
            messages=[{"role": "user", "content": f"Haiku {start + number}"}],
            text=f"Haiku {start + number}",
            content_hash=f"{start + number:064d}",
            split="test",
            tags=list(tags),
        )
        for number in range(len(cast))
    )
    sides = [
        Completion.objects.bulk_create(
            Completion(prompt=prompt, text=text, origin="checkpoint", checkpoint_id=vote[side])
            for prompt, vote in zip(prompts, cast, strict=True)
        )
        for side, text in enumerate(texts)
    ]
    items = Item.objects.bulk_create(
        Item(project=project, kind="comparison", prompt=prompt, purpose=purpose, open_slots=0)
        for prompt in prompts
    )
    annotations = Annotation.objects.bulk_create(
        Annotation(item=item, annotator=vote[3], kind="comparison")
        for item, vote in zip(items, cast, strict=True)
    )
    Comparison.objects.bulk_create(
        Comparison(annotation=annotation, left=left, right=right, outcome=vote[2])
        for annotation, left, right, vote in zip(annotations, *sides, cast, strict=True)
    )
    return annotations
