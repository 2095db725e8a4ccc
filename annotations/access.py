"""The only way a view obtains an object: what a person may not see does not exist (404).

Being a superuser opens the admin site, not a project.
"""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404

from annotations.models import (
    WRITTEN_KINDS,
    Annotation,
    ApiToken,
    Assignment,
    Battle,
    Completion,
    Group,
    GuidelineVersion,
    Import,
    Invitation,
    Item,
    MemberNote,
    Membership,
    PayEntry,
    Project,
    Prompt,
    Role,
    Scope,
    TestAttempt,
    Ticket,
    User,
)
from annotations.models.api_tokens import digest_of as digest_of_token
from annotations.models.invitations import digest_of
from annotations.prepared import Prepared, Slot

Person = User | AnonymousUser

SCOPES = Scope.choices
"""What tokens can be good for, in words."""

READING = (Role.OWNER, Role.ENGINEER)
"""Who reads what was collected, with its sources. Reviewers judge, and so do not."""

DECIDING = (Role.OWNER, Role.ENGINEER, Role.REVIEWER)
"""Who sees what was reported, by whom, and decides what becomes of it."""


def get_projects_for(user: Person) -> QuerySet[Membership]:
    """Return the active memberships of a person, each with its project, by project name."""
    return (
        Membership.objects.filter(user_id=_id(user), state=Membership.State.ACTIVE)
        .filter(_within(_reach_of(user), "project_id"))
        .select_related("project")
        .order_by("project__name")
    )


def get_membership_for(user: Person, project_id: int) -> Membership:
    """Return a person's active membership of a project, with the project."""
    if own := _OWN_MEMBERSHIP.first(_reach_of(user), person=_id(user), project=project_id):
        return own
    raise Http404("There is no such project for this person.")


def get_project_for(user: Person, project_id: int, *roles: Role) -> Project:
    """Return a project of which a person is an active member, in one of `roles` if given."""
    membership = get_membership_for(user, project_id)
    if roles and membership.role not in roles:
        raise Http404("This page belongs to another role.")
    return membership.project


def may_create_projects(user: Person) -> bool:
    """Say whether a person may begin a project: who owns one already, and the operator.

    Whoever was let in to label could otherwise make themselves an owner, who starts runs, names
    servers to be asked, and finds out who else has an account.
    """
    return (
        bool(getattr(user, "is_staff", False))
        or get_projects_for(user).filter(role=Role.OWNER).exists()
    )


def get_assignment_for(user: Person, assignment_id: int) -> Assignment:
    """Return one's own assignment, in any state, in a project one is still a member of.

    A paused member still reaches it, so that what they were writing is not lost. What is voted in
    the arena has its own page.
    """
    if own := _OWN_ASSIGNMENT.first(_reach_of(user), person=_id(user), assignment=assignment_id):
        return own
    raise Http404("There is no such assignment for this person.")


def get_assignments_for(user: User, project: Project) -> QuerySet[Assignment]:
    """Return one's own assignments in a project that one was let into, but for the arena's."""
    own = Assignment.objects.filter(annotator=user, item__project=project)
    return own.exclude(item__purpose=Item.Purpose.ARENA).select_related("item")


def get_battle_for(user: Person, battle_id: int) -> Battle:
    """Return one's own battle, in a project of which one is an active member."""
    own = Battle.objects.filter(voter_id=_id(user)).select_related(
        "project", "voter", "prompt", "left", "right", "previous", "assignment"
    )
    try:
        battle = own.get(id=battle_id)
    except Battle.DoesNotExist:
        raise Http404("There is no such battle for this person.") from None
    get_membership_for(user, battle.project_id)
    return battle


def get_battles_for(user: Person, project_id: int) -> QuerySet[Battle]:
    """Return one's own battles in a project, the newest first."""
    own = Battle.objects.filter(voter_id=_id(user), project_id=project_id)
    return own.select_related("prompt").order_by("-id")


def get_item_for(user: Person, item_id: int, *roles: Role) -> Item:
    """Return an item of a project that a person is a member of, in one of the roles."""
    try:
        item = Item.objects.select_related("project", "prompt").get(id=item_id)
    except Item.DoesNotExist:
        raise Http404("There is no such item.") from None
    get_project_for(user, item.project_id, *roles)
    return item


def get_prompt_for(user: Person, prompt_id: int, *roles: Role) -> Prompt:
    """Return a prompt of a project that a person is a member of, in one of the roles."""
    try:
        prompt = Prompt.objects.select_related("project").get(id=prompt_id)
    except Prompt.DoesNotExist:
        raise Http404("There is no such prompt.") from None
    get_project_for(user, prompt.project_id, *roles)
    return prompt


def get_import_for(user: Person, import_id: int) -> Import:
    """Return a file that was brought into a project, to its owners and engineers."""
    try:
        brought = Import.objects.select_related("project", "created_by").get(id=import_id)
    except Import.DoesNotExist:
        raise Http404("There is no such import.") from None
    get_project_for(user, brought.project_id, Role.OWNER, Role.ENGINEER)
    return brought


def get_completion_for(user: Person, completion_id: int, *roles: Role) -> Completion:
    """Return a completion in a project that a person is a member of, in one of the roles."""
    try:
        completion = Completion.objects.select_related("prompt").get(id=completion_id)
    except Completion.DoesNotExist:
        raise Http404("There is no such completion.") from None
    get_project_for(user, completion.prompt.project_id, *roles)
    return completion


def get_ticket_for(user: Person, ticket_id: int) -> Ticket:
    """Return a ticket to those who decide about it; for labellers it does not exist."""
    tickets = Ticket.objects.select_related("project", "completion__prompt", "item")
    try:
        ticket = tickets.get(id=ticket_id)
    except Ticket.DoesNotExist:
        raise Http404("There is no such ticket.") from None
    get_project_for(user, ticket.project_id, *DECIDING)
    return ticket


def get_guideline_version_for(user: Person, version_id: int) -> GuidelineVersion:
    """Return a published version of the guidelines to any member."""
    try:
        version = GuidelineVersion.objects.select_related("project", "general").get(id=version_id)
    except GuidelineVersion.DoesNotExist:
        raise Http404("There are no such guidelines.") from None
    get_project_for(user, version.project_id)
    return version


def get_member_for(user: Person, membership_id: int, *roles: Role) -> Membership:
    """Return anyone's membership of a project in which a person has one of the roles."""
    try:
        membership = Membership.objects.select_related("project", "user").get(id=membership_id)
    except Membership.DoesNotExist:
        raise Http404("There is no such member.") from None
    get_project_for(user, membership.project_id, *roles)
    return membership


def get_person_for(user: Person, project_id: int, person_id: int) -> tuple[Project, User]:
    """Return somebody whose work a person may look at: themselves, and to owners everybody.

    Who is no member any more is still there with what they annotated and earned.
    """
    project = get_project_for(user, project_id)
    if person_id != _id(user):
        get_project_for(user, project_id, Role.OWNER)
    member = Membership.objects.filter(project=project, user=OuterRef("pk"))
    paid = PayEntry.objects.filter(project=project, person=OuterRef("pk"))
    said = Annotation.objects.filter(item__project=project, annotator=OuterRef("pk"))
    known = Exists(member) | Exists(paid) | Exists(said)
    person = User.objects.filter(known, id=person_id).first()
    if person is None:
        raise Http404("There is no such person in this project.")
    return project, person


def get_own_membership(user: Person, project_id: int) -> Membership:
    """Return a person's own membership of a project, in any state."""
    own = Membership.objects.filter(
        _within(_reach_of(user), "project_id"), user_id=_id(user), project_id=project_id
    )
    membership = own.select_related("project", "user").first()
    if membership is None:
        raise Http404("There is no such project for this person.")
    return membership


def get_own_account(user: User) -> User:
    """Return a person to themselves, for what is about all of their projects.

    A token that names some of them is no way to the others.
    """
    of_others = Membership.objects.filter(user=user).exclude(_within(_reach_of(user), "project_id"))
    if user.reach is not None and of_others.exists():
        raise Http404("This is about all of your projects. Make a token that reaches all of them.")
    return user


def get_person_named(username: str) -> User:
    """Return the person with an account here who can be made a member."""
    person = User.objects.filter(username=username, is_active=True).first()
    if person is None:
        raise Http404("Nobody here has this name. Ask for it to be created first.")
    return person


def get_group_for(user: Person, project_id: int, group_id: int) -> Group:
    """Return a group of members to the owners of its project."""
    project = get_project_for(user, project_id, Role.OWNER)
    try:
        return project.groups.get(id=group_id)
    except Group.DoesNotExist:
        raise Http404("There is no such group.") from None


def get_test_to_judge_for(user: Person, attempt_id: int) -> TestAttempt:
    """Return a test that an owner is to judge, or has judged; never their own."""
    tests = TestAttempt.objects.select_related("project", "person")
    # What is scored by what is known is never shown, so that nobody learns what is gold.
    written = tests.filter(kind__in=WRITTEN_KINDS, finished_at__isnull=False)
    try:
        attempt = written.exclude(person_id=_id(user)).get(id=attempt_id)
    except TestAttempt.DoesNotExist:
        raise Http404("There is no such test to judge.") from None
    get_project_for(user, attempt.project_id, Role.OWNER)
    return attempt


def get_invitation_for(user: Person, project_id: int, invitation_id: int) -> Invitation:
    """Return a link into a project to its owners."""
    project = get_project_for(user, project_id, Role.OWNER)
    try:
        return project.invitations.get(id=invitation_id)
    except Invitation.DoesNotExist:
        raise Http404("There is no such invitation.") from None


def get_invitation_by(secret: str) -> Invitation:
    """Return the link with this secret, to anybody who knows it; over or not."""
    try:
        return Invitation.objects.select_related("project").get(digest=digest_of(secret))
    except Invitation.DoesNotExist:
        raise Http404("There is no such invitation.") from None


def get_note_for(user: Person, note_id: int) -> MemberNote:
    """Return what somebody was told, to themselves alone."""
    try:
        note = MemberNote.objects.get(id=note_id, person=_id(user))
    except MemberNote.DoesNotExist:
        raise Http404("There is no such note for this person.") from None
    get_membership_for(user, note.project_id)
    return note


class TokenRefusedError(Exception):
    """A token lets nobody in. The text is a sentence for who showed it."""


def get_token_for(authorization: str) -> ApiToken:
    """Return the token in force that an Authorization header shows.

    Its person reaches no more projects through this module than the token does.
    """
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise TokenRefusedError(
            "Send a token of this site: 'Authorization: Bearer lsl-…'. Its page makes one."
        )
    known = ApiToken.objects.select_related("user").filter(digest=digest_of_token(secret.strip()))
    token = known.first()
    if token is None or not token.user.is_active:
        raise TokenRefusedError("This token is not known here. Make one on this site.")
    if token.revoked_at is not None:
        raise TokenRefusedError("This token was revoked. Make another on this site.")
    if token.has_expired:
        raise TokenRefusedError("This token has expired. Make another on this site.")
    token.user.reach = frozenset(token.projects.values_list("id", flat=True))
    return token


def may_still_judge(user: User, item: Item) -> bool:
    """Say whether a person owes an item an answer or may yet be asked for one.

    Until that is over they are not to know who wrote what it shows.
    """
    own = item.assignments.filter(annotator=user).values_list("state", flat=True).first()
    if own in Assignment.UNANSWERED:
        return True
    return own != Assignment.State.SUBMITTED and item.open_slots > 0


def get_annotations_for(user: User, project_id: int) -> QuerySet[Annotation]:
    """Return what was said in a project, to those who may read it.

    Of an item that they still owe an answer, they see none of the others'; nor what they still
    have to review, whose author they are not to know.
    """
    project = get_project_for(user, project_id, *READING)
    own = Assignment.objects.filter(annotator=user, state__in=Assignment.UNANSWERED)
    owed = own.filter(item=OuterRef("item"))
    reviewed = own.filter(item__subject=OuterRef("pk"))
    return Annotation.objects.filter(~Exists(owed), ~Exists(reviewed), item__project=project)


def get_annotation_for(user: User, annotation_id: int) -> Annotation:
    """Return what was said, to those who may read it and owe the item no answer."""
    try:
        found = Annotation.objects.select_related("item").get(id=annotation_id)
        return get_annotations_for(user, found.item.project_id).get(id=annotation_id)
    except Annotation.DoesNotExist:
        raise Http404("There is no such annotation for this person.") from None


def _reach_of(user: Person) -> tuple[int, ...] | None:
    """Return the projects that the token of a request reaches, or None where it reaches all."""
    reach = user.reach if isinstance(user, User) else None
    return None if reach is None else tuple(sorted(reach))


def _within(reach: tuple[int, ...] | None, path: str) -> Q:
    """Return the condition that the project at `path` is reached."""
    return Q() if reach is None else Q(**{f"{path}__in": reach})


def _own_membership(
    reach: tuple[int, ...] | None, *, person: Slot, project: Slot
) -> QuerySet[Membership]:
    own = Membership.objects.filter(
        _within(reach, "project_id"),
        user_id=person,
        project_id=project,
        state=Membership.State.ACTIVE,
    )
    return own.select_related("project")


_OWN_MEMBERSHIP = Prepared(_own_membership, "person", "project")


def _own_assignment(
    reach: tuple[int, ...] | None, *, person: Slot, assignment: Slot
) -> QuerySet[Assignment]:
    own = Assignment.objects.filter(
        _within(reach, "item__project_id"),
        id=assignment,
        annotator_id=person,
        item__project__memberships__user_id=person,
    ).select_related("annotator", "item__project", "item__prompt", "guideline_version")
    return own.exclude(item__purpose=Item.Purpose.ARENA)


_OWN_ASSIGNMENT = Prepared(_own_assignment, "person", "assignment")


def _id(user: Person) -> int:
    """Return a person's id; nobody has that of a visitor who is not signed in."""
    return user.pk or 0
