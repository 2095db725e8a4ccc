"""A project with one of everything, so that each address of the site leads somewhere.

Every text that somebody can write is hostile, and what labellers must not learn has a mark.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone

from annotations import services
from annotations.models import (
    ApiToken,
    Assignment,
    Battle,
    Group,
    GuidelineVersion,
    Item,
    Kind,
    Membership,
    Project,
    Recall,
    Role,
    TestAttempt,
    Ticket,
    TicketReport,
    User,
)
from annotations.tests.factories import (
    make_assignment,
    make_comparison,
    make_completion,
    make_demonstration,
    make_item,
    make_prompt,
    make_replies,
)
from training import artifacts, supervisor
from training.models import (
    Chat,
    ChatMessage,
    Checkpoint,
    Endpoint,
    Evaluation,
    Promotion,
    Push,
    Round,
    Webhook,
    WebhookMessage,
)
from training.pipeline.tensorboard import FOLDER as TENSORBOARD
from training.services import record
from training.tests.factories import make_base, make_checkpoint, make_run, make_snapshot

HOSTILE = "\"'><img src=x onerror=alert(1)>[x](javascript:alert(1)){{7*7}}"
"""Harmless as text; as HTML, in an attribute or as Markdown it would run."""
RUNS = ("<img src=x", 'javascript:alert(1)"', "href='javascript:", "49[x]")
"""What a page has in it where a hostile text was taken for more than a text."""
AUTHOR = "mark-of-a-checkpoint"
"""In the name of whatever wrote a completion: blind pages never have it."""
ANSWER = "mark-of-an-answer"
"""In what others answered, and in known answers: nobody who is still asked reads it."""

COMPARISON = Kind.COMPARISON.value


@dataclass
class World:
    """A project, and what a parameter of an address stands for in it."""

    project: Project
    parameters: dict[str, Any] = field(default_factory=dict)
    of_address: dict[str, dict[str, Any]] = field(default_factory=dict)
    """For addresses whose parameter must be of a certain sort."""

    def arguments(self, name: str, parameters: list[str]) -> dict[str, Any]:
        """Return what the parameters of an address are, in this world."""
        known = self.parameters | self.of_address.get(name, {})
        missing = set(parameters) - set(known)
        if missing:
            raise AssertionError(f"Say in tests/security/world.py what {missing} of {name} is.")
        return {parameter: known[parameter] for parameter in parameters}


def make_world(project: Project, *, labeller: User, owner: User, engineer: User) -> World:
    """Fill a project. What is somebody's own is the labeller's, or the engineer's in training."""
    world = World(project)
    _make_hostile(project)
    _collect(world, labeller, owner)
    _train(world, owner, engineer)
    return world


def make_project_of(owner: User, name: str) -> Project:
    """Return a project in which one person is everything but a labeller of its own items."""
    project = Project.objects.create(name=name, created_by=owner)
    Membership.objects.create(project=project, user=owner, role=Role.OWNER)
    for kind in Kind.values:
        GuidelineVersion.objects.create(
            project=project, kind=kind, version=1, text="So.", html="<p>So.</p>", created_by=owner
        )
    return project


def _make_hostile(project: Project) -> None:
    project.name = f"{project.name} {HOSTILE}"[:100]
    project.description = HOSTILE
    project.own_prompts_allowed = project.own_conversations_allowed = True
    project.save()
    for member in project.memberships.select_related("user"):
        member.user.last_name = HOSTILE
        member.user.email = f"{member.user.username}@example.org"
        member.user.save(update_fields=["last_name", "email"])


def _collect(world: World, labeller: User, owner: User) -> None:
    """Add what is collected, and the ways in."""
    project = world.project
    invitation, secret = services.invite(project, role="annotator", uses=3, days=9, made_by=owner)
    group = Group.objects.create(project=project, name=HOSTILE[:60])
    prompt = make_prompt(project, f"Hm? {HOSTILE}", external_id=HOSTILE[:60])
    item = make_item(project, prompt=prompt, texts=[HOSTILE, f"B {HOSTILE}"], overlap=3)
    item.completions.update(source_name=AUTHOR)
    said = make_comparison(item, owner, reason=f"{ANSWER} {HOSTILE}")
    assignment = make_assignment(item, labeller)
    written = make_demonstration(project, owner, f"{ANSWER} {HOSTILE}").completion
    reported = make_completion(prompt, f"reported {HOSTILE}", source_name=AUTHOR)
    ticket = Ticket.objects.create(project=project, completion=reported, reason="other")
    TicketReport.objects.create(
        ticket=ticket, reporter=owner, reason="other", words=HOSTILE, source="queue"
    )
    _know_an_answer(project)
    attempt = _write_in_a_test(project, labeller)
    project.kind_rules.create(kind=COMPARISON, is_tested=True, questions=1)
    scheme = project.guideline_versions.get(kind=COMPARISON)
    published = services.publish_guideline(project, COMPARISON, f"# Now\n\n{HOSTILE}", owner)
    services.acknowledge(labeller, published)
    recall = Recall.objects.create(
        project=project, annotator=owner, reason=HOSTILE, created_by=owner, batch="none"
    )
    talk = {"assignment_id": _converse(project, labeller).pk}
    for name in ("get_conversation", "say", "pick", "pick_again", "ask_again", "end_conversation"):
        world.of_address[f"api:{name}"] = talk
    world.of_address["annotations:replies"] = talk
    world.parameters |= {
        "project_id": project.pk,
        "membership_id": project.memberships.get(user=labeller).pk,
        "user_id": labeller.pk,
        "invitation_id": invitation.pk,
        "secret": secret,
        "group_id": group.pk,
        "item_id": item.pk,
        "prompt_id": prompt.pk,
        "annotation_id": said.pk,
        "assignment_id": assignment.pk,
        "completion_id": written.pk,
        "ticket_id": ticket.pk,
        "version_id": scheme.pk,
        "recall_id": recall.pk,
        "note_id": services.write_note(project, labeller, HOSTILE, owner).pk,
        "attempt_id": attempt.pk,
        "kind": COMPARISON,
        "panel": "answers",
        "ending": "csv",
        "import_id": services.bring_file(project, HOSTILE, _hostile_file(), owner).pk,
    }


def _converse(project: Project, labeller: User) -> Assignment:
    """Return a conversation whose first replies are there."""
    prompt = make_prompt(project, f"Frogs? {HOSTILE}")
    talk = make_assignment(make_item(project, Kind.CONVERSATION, prompt=prompt), labeller)
    make_replies(talk, HOSTILE, "other")
    project.checkpoints.update(name=f"{AUTHOR} talks")
    return talk


def _know_an_answer(project: Project) -> None:
    """Add a gold item that is practised with, too."""
    gold = make_item(project, texts=["known left", "known right"], purpose="gold")
    left, right = sorted(gold.completions.values_list("id", flat=True))
    known = {"left": left, "right": right, "outcome": "left"}
    Item.objects.filter(id=gold.pk).update(gold=known)
    gold.refresh_from_db()
    services.practise_with(gold, f"{ANSWER} {HOSTILE}")


def _write_in_a_test(project: Project, labeller: User) -> TestAttempt:
    """Return a test of writing that waits for an owner."""
    gold = {"text": f"{ANSWER} {HOSTILE}"}
    item = make_item(project, Kind.DEMONSTRATION, purpose="gold", open_slots=0, gold=gold)
    attempt = TestAttempt.objects.create(
        project=project,
        kind=Kind.DEMONSTRATION,
        person=labeller,
        items=[item.pk],
        pass_percent=75,
        finished_at=Now(),
    )
    attempt.answers.create(person=labeller, item=item, said=HOSTILE, is_right=False)
    services.decide_kind(
        project, labeller, Kind.RANKING, "withdrawn", reason=HOSTILE, decided_by=project.created_by
    )
    return attempt


def _hostile_file() -> list[bytes]:
    row = {"prompt": HOSTILE, "left": HOSTILE, "right": "b", "winner": "left", "worker": HOSTILE}
    return [json.dumps(row | {HOSTILE: HOSTILE}).encode()]


def _train(world: World, owner: User, engineer: User) -> None:
    """Add what training made, and talks with it."""
    project = world.project
    base = make_base(project, name=f"{AUTHOR} base")
    child = make_checkpoint(project, parent=base, name=f"{AUTHOR} {HOSTILE}")
    run = make_run(
        project,
        state="failed",
        error=HOSTILE,
        error_detail=HOSTILE,
        log_tail=HOSTILE,
        ended_at=timezone.now(),
    )
    folder = artifacts.work_folder(run)
    folder.mkdir(parents=True)
    for file in (supervisor.LOG, f"{TENSORBOARD}/events.1"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(HOSTILE)
    promotion = Promotion.objects.create(
        project=project, checkpoint=child, promoted_by=owner, reason=HOSTILE
    )
    evaluation = Evaluation.objects.create(
        project=project,
        child=child,
        parent=base,
        run=make_run(project, "sample"),
        batch="evaluation-1",
    )
    Round.objects.create(project=project, number=1, policy=child, decision=HOSTILE, ended_at=Now())
    record(project, owner, "promoted", child, HOSTILE, {"note": HOSTILE})
    server = Checkpoint.objects.create(
        project=project, name=f"there {HOSTILE}", kind="external", path=""
    )
    endpoint = Endpoint.objects.create(
        checkpoint=server, url="https://example.org/v1", model=HOSTILE, created_by=engineer
    )
    token = ApiToken.objects.create(
        user=engineer,
        name=HOSTILE,
        digest=f"{project.pk:064d}",
        prefix="lsl-abcd",
        expires_at=timezone.now() + timedelta(days=3),
    )
    token.projects.add(project)
    world.parameters |= {
        "snapshot_id": make_snapshot(project).pk,
        "run_id": run.pk,
        "checkpoint_id": child.pk,
        "promotion_id": promotion.pk,
        "evaluation_id": evaluation.pk,
        "endpoint_id": endpoint.pk,
        **_hand_over(child, engineer),
        "token_id": token.pk,
        "form": "jsonl",
        "name": "nothing",
        "rest": "nothing",
        **_talk(project, child, base, engineer),
    }
    world.of_address["annotations:download"] = {"content": "preference", "ending": "jsonl"}
    suite = make_run(project, "suite", request={"rival_checkpoint_id": base.pk})
    for name in ("training:suite", "api:get_suite"):
        world.of_address[name] = {"run_id": suite.pk}


def _hand_over(checkpoint: Checkpoint, person: User) -> dict[str, int]:
    """Return the ids of a webhook, of a message to it that was refused, and of a push."""
    project, url = checkpoint.project, f"https://example.org/{HOSTILE}"
    webhook = Webhook.objects.create(
        project=project, url=url, kinds=[], encrypted_secret=HOSTILE, created_by=person
    )
    message = WebhookMessage.objects.create(
        webhook=webhook, uid=f"msg_{project.pk}", kind=HOSTILE[:40], body=HOSTILE, next_at=Now()
    )
    message.log.create(seconds=1, status=500, answer=HOSTILE, error=HOSTILE)
    push = Push.objects.create(
        project=project,
        checkpoint=checkpoint,
        url=url,
        state="failed",
        error=HOSTILE,
        ended_at=Now(),
        result={"address": url, "files": {HOSTILE: HOSTILE}},
        started_by=person,
    )
    return {"webhook_id": webhook.pk, "message_id": message.pk, "push_id": push.pk}


def _talk(project: Project, child: Checkpoint, base: Checkpoint, person: User) -> dict[str, int]:
    """Return the ids of a chat, a reply in it and a battle."""
    chat = Chat.objects.create(
        project=project,
        person=person,
        title=HOSTILE[:100],
        left=child,
        temperature=1,
        top_p=1,
        max_new_tokens=9,
    )
    ChatMessage.objects.create(chat=chat, turn=0, role="user", text=HOSTILE)
    reply = ChatMessage.objects.create(
        chat=chat, turn=0, role="assistant", side="left", checkpoint=child, text=HOSTILE
    )
    prompt = make_prompt(project, f"Who? {HOSTILE}", origin="arena")
    battle = Battle.objects.create(
        project=project,
        voter=person,
        prompt=prompt,
        left_checkpoint=child,
        right_checkpoint=base,
        left=make_completion(prompt, HOSTILE, checkpoint=child),
        right=make_completion(prompt, "other", checkpoint=base),
        state="answered",
        asked_at=timezone.now(),
        answered_at=timezone.now(),
    )
    return {"chat_id": chat.pk, "reply_id": reply.pk, "battle_id": battle.pk}
