"""Who and what is in a project."""

from __future__ import annotations

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, When
from django.db.models.functions import Lower

from annotations.models import (
    Item,
    Kind,
    Membership,
    Project,
    Prompt,
    Role,
    Split,
    Turn,
    in_force,
)


def members_of(project: Project) -> QuerySet[Membership]:
    """Return everyone in a project, with what each has done: by role, then by name.

    Those who cannot sign in (imported votes are theirs) come last.
    """
    done = Count(
        "user__annotations",
        filter=in_force("user__annotations__") & Q(user__annotations__item__project=F("project")),
        distinct=True,
    )
    return (
        project.memberships.select_related("user")
        .prefetch_related("groups")
        .annotate(annotation_count=done)
        .annotate(rank=Case(*(When(role=role, then=n) for n, role in enumerate(Role))))
        .order_by(
            "-user__is_active",
            "rank",
            Lower("user__first_name"),
            Lower("user__last_name"),
            "user__username",
        )
    )


def prompts_to_converse_about(
    project: Project, *, search: str = "", split: str = ""
) -> QuerySet[Prompt]:
    """Return the prompts of a project that no conversation has been through, newest first."""
    begun = Item.objects.filter(kind=Kind.CONVERSATION, prompt=OuterRef("pk"))
    said = Turn.objects.filter(prompt=OuterRef("pk"))
    found = _found(project, search, split).exclude(origin=Prompt.Origin.ARENA)
    return found.filter(~Exists(begun), ~Exists(said)).order_by("-id")


def prompts_of(project: Project, *, search: str = "", split: str = "") -> QuerySet[Prompt]:
    """Return the prompts of a project, newest first, with how much hangs on each."""
    found = _found(project, search, split)
    return found.annotate(
        completion_count=Count("completions", distinct=True),
        item_count=Count("items", distinct=True),
    ).order_by("-id")


def _found(project: Project, search: str, split: str) -> QuerySet[Prompt]:
    prompts = project.prompts.all()
    if search:
        prompts = prompts.filter(text__icontains=search)
    if split in Split.values:
        prompts = prompts.filter(split=split)
    return prompts
