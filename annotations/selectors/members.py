"""Who and what is in a project."""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, When
from django.db.models.functions import Coalesce, Collate, Lower
from django.db.models.lookups import IContains

from annotations.models import (
    DailyWork,
    Group,
    Item,
    Kind,
    Membership,
    Project,
    Prompt,
    Role,
    Split,
    Turn,
    User,
    in_force,
)
from annotations.selectors.sizes import is_small

MOST_DIGITS = 18
"""Of a number that every database can look for."""


def group_named(project: Project, number: str) -> Group | None:
    """Return the group of a project that a page asks for by its number; None for everybody."""
    if not (number.isascii() and number.isdigit()) or len(number) > MOST_DIGITS:
        return None
    return project.groups.filter(id=int(number)).first()


def people_in(group: Group | None) -> list[int] | None:
    """Return the ids of the people in a group; None for everybody."""
    return None if group is None else list(group.members.values_list("user_id", flat=True))


def has_another_owner(project: Project, owner: User) -> bool:
    """Say whether somebody else owns a project, who can decide about this owner."""
    owners = project.memberships.filter(
        role=Role.OWNER, state=Membership.State.ACTIVE, user__is_active=True
    )
    return owners.exclude(user=owner).exists()


def members_of(project: Project, group: Group | None = None) -> QuerySet[Membership]:
    """Return everyone in a project or a group, with what each has done: by role, then by name.

    Those who cannot sign in (imported votes are theirs) come last. In a large project what they
    did is from the daily figures: what counts, up to half a minute late.
    """
    done = (
        _kept_count()
        if not is_small(project)
        else Count(
            "user__annotations",
            filter=in_force("user__annotations__")
            & Q(user__annotations__item__project=F("project")),
            distinct=True,
        )
    )
    members = project.memberships.all() if group is None else group.members.all()
    return (
        members.select_related("user")
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


def _kept_count() -> Coalesce:
    work = DailyWork.objects.filter(project=OuterRef("project"), person=OuterRef("user"), tag="")
    by_person = work.order_by().values("person")
    sums = by_person.annotate(done=Sum(F("answers") + F("imported") + F("gold"))).values("done")
    return Coalesce(Subquery(sums), 0)


def prompts_to_converse_about(
    project: Project, *, search: str = "", split: str = ""
) -> QuerySet[Prompt]:
    """Return the prompts of a project that no conversation has been through, newest first."""
    begun = Item.objects.filter(kind=Kind.CONVERSATION, prompt=OuterRef("pk"))
    said = Turn.objects.filter(prompt=OuterRef("pk"))
    found = _found(project, search, split).exclude(origin=Prompt.Origin.ARENA)
    return found.filter(~Exists(begun), ~Exists(said)).order_by("-id")


def prompts_of(project: Project, *, search: str = "", split: str = "") -> QuerySet[Prompt]:
    """Return the prompts of a project, newest first."""
    return _found(project, search, split).order_by("-id")


def with_what_hangs_on_them(prompts: Collection[int]) -> QuerySet[Prompt]:
    """Return these prompts, newest first, each with how many completions and items it has.

    Only of those that are shown: to count for a whole project takes seconds.
    """
    return (
        Prompt.objects.filter(id__in=prompts)
        .annotate(
            completion_count=Count("completions", distinct=True),
            item_count=Count("items", distinct=True),
        )
        .order_by("-id")
    )


def contains(search: str) -> IContains:
    """Return the condition that a prompt's text contains something, whatever its case.

    Where that has plain letters alone, those of the text are compared as plain letters, too: for
    the others PostgreSQL asks the rules of a language about each letter, and takes five times as
    long.
    """
    is_plain = search.isascii() and connection.vendor == "postgresql"
    return IContains(Collate("text", "C") if is_plain else F("text"), search)


def _found(project: Project, search: str, split: str) -> QuerySet[Prompt]:
    prompts = project.prompts.all()
    if search:
        prompts = prompts.filter(contains(search))
    if split in Split.values:
        prompts = prompts.filter(split=split)
    return prompts
