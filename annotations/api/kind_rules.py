"""Groups of members, and whom a kind of work is for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from annotations import access, services
from annotations.api.operations import LARGEST_ID, Answer, Body, Call, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.api.people import ReasonText
from annotations.api.problems import expect_valid
from annotations.forms.qualification import GroupForm
from annotations.models import Group, Kind, KindRule, Role, Scope
from annotations.models.qualification import PASS_PERCENT
from annotations.services.qualification import MOST_ATTEMPTS, MOST_QUESTIONS

operations = Operations("Who does what")

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]


class GroupOut(Answer):
    """Some of the members, under a name."""

    id: int
    name: str
    members: list[int] = Field(description="Their ids in the list of members.")


class NewGroup(Body):
    """A group as it is to be; one that has this name is changed."""

    name: Annotated[ReasonText, StringConstraints(max_length=60)]
    members: list[Id] = Field(max_length=10_000, description="Ids of the list of members.")


class KindRuleOut(Answer):
    """Whom the queue hands one kind of work. Without a rule: every member."""

    kind: Kind
    group: int | None = Field(description="Null: everybody.")
    is_tested: bool = Field(description="Only who passed its test.")
    pass_percent: int
    questions: int
    attempts: int


class KindRules(Answer):
    """The rules that there are, by kind."""

    rules: list[KindRuleOut]


class NewKindRule(Body):
    """Whom a kind of work is for from now on."""

    kind: Kind
    group: Id | None = Field(None, description="Null: everybody.")
    is_tested: bool = False
    pass_percent: Annotated[int, Field(ge=0, le=100)] = PASS_PERCENT
    questions: Annotated[int, Field(ge=1, le=MOST_QUESTIONS)] = 10
    attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] = 3


@operations.get("projects/<int:project_id>/groups")
def list_groups(call: Call, project_id: int, query: Paged) -> Page[GroupOut]:
    """List the groups of a project. Its owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    return page_of(project.groups.prefetch_related("members"), query, _group)


@operations.put("projects/<int:project_id>/groups", Scope.WRITE)
def save_group(call: Call, project_id: int, body: NewGroup) -> GroupOut:
    """Make a group of members, or change the one that has this name. Owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    form = GroupForm(body.model_dump(), project=project)
    expect_valid(form, "not-possible")
    return _group(services.save_group(project, **form.cleaned_data))


@operations.delete("projects/<int:project_id>/groups/<int:group_id>", Scope.WRITE)
def delete_group(call: Call, project_id: int, group_id: int) -> None:
    """Forget a group that no kind of work is kept for. Its members stay. Owners can."""
    services.delete_group(access.get_group_for(call.user, project_id, group_id))


@operations.get("projects/<int:project_id>/kind-rules")
def list_kind_rules(call: Call, project_id: int) -> KindRules:
    """List whom the kinds of work are for. Owners of the project can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    return KindRules(rules=[_rule(one) for one in project.kind_rules.order_by("kind")])


@operations.put("projects/<int:project_id>/kind-rules", Scope.WRITE)
def set_kind_rule(call: Call, project_id: int, body: NewKindRule) -> KindRuleOut:
    """Decide whom the queue hands a kind of work from now on. Owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    group = body.group and access.get_group_for(call.user, project_id, body.group)
    wanted = body.model_dump(include={"is_tested", "pass_percent", "questions", "attempts"})
    return _rule(services.set_kind_rule(project, body.kind, group=group or None, **wanted))


def _group(group: Group) -> GroupOut:
    members = sorted(one.pk for one in group.members.all())
    return GroupOut(id=group.pk, name=group.name, members=members)


def _rule(rule: KindRule) -> KindRuleOut:
    return KindRuleOut(
        kind=Kind(rule.kind),
        group=rule.group_id,
        is_tested=rule.is_tested,
        pass_percent=rule.pass_percent,
        questions=rule.questions,
        attempts=rule.attempts,
    )
