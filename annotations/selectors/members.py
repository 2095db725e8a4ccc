"""Who and what is in a project."""

from __future__ import annotations

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from annotations.models import Item, Kind, Membership, Project, Prompt, Split, Turn, in_force


def members_of(project: Project) -> QuerySet[Membership]:
    """Return everyone in a project, people who sign in first, with what each has done."""
    done = Count(
        "user__annotations",
        filter=in_force("user__annotations__") & Q(user__annotations__item__project=F("project")),
        distinct=True,
    )
    return (
        project.memberships.select_related("user")
        .annotate(annotation_count=done)
        .order_by("-user__is_active", "role", "user__username")
    )


def prompts_to_converse_about(
    project: Project, *, search: str = "", split: str = ""
) -> QuerySet[Prompt]:
    """Return the prompts of a project that no conversation has been through, newest first."""
    begun = Item.objects.filter(kind=Kind.CONVERSATION, prompt=OuterRef("pk"))
    said = Turn.objects.filter(prompt=OuterRef("pk"))
    found = _found(project, search, split)
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
