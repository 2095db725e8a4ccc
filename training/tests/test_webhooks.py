"""Webhooks: what is told, that it is signed, and that no message is lost or trusted too far."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from standardwebhooks.webhooks import Webhook as Receiver
from standardwebhooks.webhooks import WebhookVerificationError

from annotations import services as annotation_services
from annotations.models import FlagDecision, Kind, Project, User
from annotations.selectors.flags import flags
from annotations.tests.factories import make_assignment, make_item
from annotations.tests.test_flags import judged  # noqa: F401 (a fixture)
from training import lifecycle, outbox, secrecy, services, snapshots, tasks, webhooks
from training.models import AuditEntry, Webhook, WebhookAttempt, WebhookMessage
from training.services import ServiceError
from training.tests.factories import make_checkpoint, make_run
from training.tests.servers import ScriptedServer, drips, floods, hangs, sends, serving

State = WebhookMessage.State


@pytest.fixture
def server(settings: Any) -> Iterator[ScriptedServer]:
    settings.ALLOWED_PRIVATE_WEBHOOKS = ["127.0.0.1"]
    with serving() as running:
        running.script = [sends(200, {"taken": True})]
        yield running


@pytest.fixture
def made(project: Project, server: ScriptedServer, alice: User) -> tuple[Webhook, str]:
    """Return a webhook that is told of everything, and its secret."""
    return services.add_webhook(
        project, f"{server.url}/hook?key=sesame", Webhook.Kind.values, created_by=alice
    )


@pytest.fixture
def webhook(made: tuple[Webhook, str]) -> Webhook:
    return made[0]


def told(project: Project) -> list[tuple[str, dict[str, Any]]]:
    """Return what was written down, in order, without the project's id."""
    bodies = WebhookMessage.objects.filter(webhook__project=project).order_by("id")
    found = [json.loads(body) for body in bodies.values_list("body", flat=True)]
    assert all(one["data"].pop("project_id") == project.pk for one in found)
    return [(one["type"], one["data"]) for one in found]


def make_due(message: WebhookMessage) -> None:
    """Let the waits of a message and its webhook be over."""
    WebhookMessage.objects.filter(pk=message.pk).update(next_at=Now())
    Webhook.objects.update(rest_until=None)


# What is told


def test_a_message_waits_for_no_clock_of_another_machine(
    webhook: Webhook, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(hours=2))
    services.try_webhook(webhook)
    webhooks.deliver()
    assert len(server.asked) == 1


def test_it_tells_of_annotations_and_of_items_that_are_finished(
    project: Project, webhook: Webhook, bob: User, bea: User
) -> None:
    item = make_item(project, kind=Kind.COMPARISON, overlap=2)
    first, second = make_assignment(item, bob), make_assignment(item, bea)
    one = annotation_services.submit_comparison(first, "tie", reason="They rhyme alike.")
    annotation_services.submit_comparison(first, "tie")
    created = {"item_id": item.pk, "kind": "comparison", "supersedes_id": None}
    assert told(project) == [("annotation.created", {"annotation_id": one.pk, **created})]
    other = annotation_services.submit_comparison(second, "left", "better")
    assert told(project)[1:] == [
        ("annotation.created", {"annotation_id": other.pk, **created}),
        ("item.finished", {"item_id": item.pk, "overlap": 2}),
    ]
    annotation_services.undo(second)
    assert told(project)[3] == ("annotation.retracted", {"annotation_id": other.pk, **created})
    everything = "".join(WebhookMessage.objects.values_list("body", flat=True))
    assert not any(text in everything for text in ("rhyme", "bob", "bea", "left", "better"))


def test_it_tells_of_runs_and_checkpoints(
    project: Project, webhook: Webhook, alice: User, eve: User
) -> None:
    run = make_run(project)
    attempt = lifecycle.claim(run.pk, device="here")
    assert attempt == 1
    lifecycle.requeue(run.pk, attempt)
    again = lifecycle.claim(run.pk, device="here")
    assert again == 2
    lifecycle.fail(run.pk, again, "Out of memory.")
    queued = make_run(project)
    lifecycle.cancel(queued.pk)
    done = make_run(project)
    attempt = lifecycle.claim(done.pk, device="here") or 0
    lifecycle.succeed(done.pk, attempt, results={}, publish=dict)
    stage = {"stage": "sft"}
    assert told(project) == [
        ("run.started", {"run_id": run.pk, **stage}),
        ("run.failed", {"run_id": run.pk, **stage}),
        ("run.cancelled", {"run_id": queued.pk, **stage}),
        ("run.started", {"run_id": done.pk, **stage}),
        ("run.succeeded", {"run_id": done.pk, **stage}),
    ]


@pytest.mark.parametrize(
    ("lost", "cancels", "what"), [(2, False, "run.failed"), (0, True, "run.cancelled")]
)
def test_it_tells_of_runs_whose_end_others_found(
    project: Project, webhook: Webhook, lost: int, cancels: bool, what: str
) -> None:
    run = make_run(project, times_lost=lost)
    attempt = lifecycle.claim(run.pk, device="here") or 0
    if cancels:
        lifecycle.cancel(run.pk)
    lifecycle.lost(run.pk, attempt, why="The worker was lost")
    assert [kind for kind, _ in told(project)] == ["run.started", what]


def test_it_tells_of_promotions(project: Project, webhook: Webhook, alice: User) -> None:
    made = [make_checkpoint(project) for _ in range(2)]
    for one in made:
        services.promote_checkpoint(one, promoted_by=alice, reason="Next.", override=True)
    services.demote(project, demoted_by=alice, reason="It rhymes too much.")
    kinds = [kind for kind, _ in told(project)]
    assert kinds == ["checkpoint.promoted"] * 2 + ["checkpoint.demoted"]
    assert told(project)[2][1] == {
        "checkpoint_id": made[1].pk,
        "restored_checkpoint_id": made[0].pk,
    }


def test_what_did_not_happen_is_not_told(project: Project, webhook: Webhook, eve: User) -> None:
    with transaction.atomic():
        outbox.note(project.pk, "run.failed", 1, run_id=1)
        assert len(told(project)) == 1
        transaction.set_rollback(True)
    assert told(project) == []


def test_what_happened_is_told_once_and_only_to_whom_it_matters(
    project: Project, server: ScriptedServer, eve: User
) -> None:
    services.add_webhook(project, server.url, ["run.failed"], created_by=eve)
    stopped, _ = services.add_webhook(project, server.url, ["run.failed"], created_by=eve)
    services.stop_webhook(stopped, stopped_by=eve)
    for _ in range(2):
        outbox.note(project.pk, "run.failed", 1, run_id=1)
        outbox.note(project.pk, "run.succeeded", 1, run_id=1)
    other = Project.objects.create(name="Other", created_by=eve)
    outbox.note(other.pk, "run.failed", 1, run_id=1)
    assert told(project) == [("run.failed", {"run_id": 1})]


def test_it_tells_of_snapshots(project: Project, webhook: Webhook, bob: User, eve: User) -> None:
    item = make_item(project, kind=Kind.DEMONSTRATION)
    annotation_services.submit_demonstration(make_assignment(item, bob), "old pond")
    snapshot = services.freeze_snapshot(project, "demonstrations", created_by=eve)
    frozen = {"snapshot_id": snapshot.pk, "content": "demonstrations", "sha256": snapshot.sha256}
    assert told(project)[-1] == ("snapshot.frozen", frozen)
    with pytest.raises(snapshots.SnapshotError):
        snapshots.freeze(project, "preferences", created_by=eve, seed=0, filters={})
    assert [kind for kind, _ in told(project)].count("snapshot.frozen") == 1


@pytest.mark.usefixtures("judged")
def test_it_tells_owners_of_flags_once_but_not_of_what_or_whom(
    project: Project, webhook: Webhook, eve: User
) -> None:
    for _ in range(2):
        tasks.tell_of_flags()
    raised = flags(project)
    assert told(project) == [("flag.raised", {})] * len(raised) != []
    annotation_services.decide_flag(
        project, raised[0].signal.detector, raised[0].signal.people,
        verdict="dismissed", reason="He showed me why.", decided_by=project.created_by,
    )  # fmt: skip
    assert told(project)[-1] == (
        "flag.decided",
        {"flag_decision_id": FlagDecision.objects.get().pk},
    )
    with pytest.raises(ServiceError, match="Only an owner"):
        services.change_webhook(webhook, "https://ci.example", webhook.kinds, changed_by=eve)


# How it is signed


def test_it_signs_as_the_specification_does() -> None:
    """The example of https://github.com/standard-webhooks/standard-webhooks, libraries' tests."""
    signed = webhooks.sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        '{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def received(server: ScriptedServer, secret: str, number: int = -1) -> dict[str, Any]:
    """Return what the official library makes of what arrived."""
    headers = server.asked[number]["headers"]
    return dict(Receiver(secret).verify(server.bodies[number], headers))


def test_the_official_library_verifies_what_arrives(
    made: tuple[Webhook, str], server: ScriptedServer
) -> None:
    webhook, secret = made
    message = services.try_webhook(webhook)
    tasks.deliver_webhooks()
    assert received(server, secret)["type"] == "webhook.test"
    arrived = server.asked[0]
    assert arrived["path"] == "/v1/hook?key=sesame"
    assert arrived["headers"]["webhook-id"] == message.uid
    with pytest.raises(WebhookVerificationError):
        Receiver(secret).verify(server.bodies[0] + b" ", arrived["headers"])
    message.refresh_from_db()
    assert message.state == State.DELIVERED
    attempt = message.log.get()
    assert (attempt.status, attempt.answer, attempt.error) == (200, '{"taken": true}', "")


def test_two_secrets_sign_until_the_overlap_is_over(
    made: tuple[Webhook, str], server: ScriptedServer, eve: User
) -> None:
    webhook, old = made
    services.rotate_secret(webhook, rotated_by=eve)
    new = services.rotate_secret(webhook, rotated_by=eve)  # pressed twice
    for ends in (False, True):
        if ends:
            Webhook.objects.update(old_secret_until=Now())
        services.try_webhook(webhook)
        webhooks.deliver()
        assert received(server, new)["type"] == "webhook.test"
        if ends:
            with pytest.raises(WebhookVerificationError):
                received(server, old)
        else:
            assert received(server, old)["type"] == "webhook.test"


def test_secrets_lie_encrypted_and_a_lost_one_is_said(
    made: tuple[Webhook, str], settings: Any, server: ScriptedServer
) -> None:
    webhook, secret = made
    assert secret not in webhook.encrypted_secret
    assert secrecy.decrypt(webhook.encrypted_secret) == secret
    services.try_webhook(webhook)
    settings.SECRET_KEY = "another"
    webhooks.deliver()
    assert "SECRET_KEY has changed" in WebhookAttempt.objects.get().error
    assert server.asked == []


# That it arrives


def test_it_tries_again_under_the_same_id_until_it_arrives(
    made: tuple[Webhook, str], server: ScriptedServer
) -> None:
    webhook, secret = made
    server.script = [sends(500, "Out of order"), sends(200, "")]
    message = services.try_webhook(webhook)
    webhooks.deliver()
    message.refresh_from_db()
    webhook.refresh_from_db()
    assert (message.state, message.attempts, webhook.failures) == (State.WAITING, 1, 1)
    assert "500" in message.log.get().error
    assert not webhooks.is_due()
    make_due(message)
    webhooks.deliver()
    message.refresh_from_db()
    webhook.refresh_from_db()
    assert (message.state, message.attempts, webhook.failures) == (State.DELIVERED, 2, 0)
    assert len({asked["headers"]["webhook-id"] for asked in server.asked}) == 1
    assert received(server, secret)["type"] == "webhook.test"


def test_waits_grow_to_a_day_with_jitter() -> None:
    waits = [webhooks.wait_after(tries) for tries in range(1, webhooks.MOST_ATTEMPTS)]
    assert waits[0] < timedelta(seconds=10)
    assert timedelta(hours=20) < sum(waits, timedelta()) < timedelta(hours=28)
    assert len({webhooks.wait_after(1) for _ in range(9)}) > 1


def test_one_that_was_taken_is_taken_by_nobody_else_until_its_worker_is_lost(
    webhook: Webhook, server: ScriptedServer
) -> None:
    message = services.try_webhook(webhook)
    [parcel] = webhooks._claim()  # and its worker dies
    assert webhooks.deliver() == 0
    make_due(message)  # a minute later
    tasks.deliver_webhooks()
    tasks.deliver_webhooks()
    assert len(server.asked) == 1
    # The first one was alive after all: it arrived twice, and that is all.
    webhooks.record(parcel, webhooks.send(parcel))
    message.refresh_from_db()
    assert (message.state, message.attempts, message.log.count()) == (State.DELIVERED, 2, 2)


def test_a_webhook_that_fails_is_tried_with_one_message_at_a_time(
    webhook: Webhook, server: ScriptedServer
) -> None:
    server.script = [sends(503, "", Retry_After="600")]
    for _ in range(6):
        services.try_webhook(webhook)
    webhooks.deliver()
    assert len(server.asked) == webhooks.OF_ONE
    Webhook.objects.update(rest_until=None)
    webhooks.deliver()
    assert len(server.asked) == webhooks.OF_ONE + 1
    asked_for = Now() + timedelta(seconds=550)
    assert WebhookMessage.objects.filter(next_at__gt=asked_for).count() == webhooks.OF_ONE + 1


def fails_on(message: WebhookMessage, tries: int = 1) -> None:
    for _ in range(tries):
        make_due(message)
        webhooks.deliver()


def test_one_that_fails_for_long_is_stopped_and_the_owner_is_told(
    client: Client, webhook: Webhook, server: ScriptedServer, alice: User, eve: User
) -> None:
    server.script = [sends(500, "")]
    message = services.try_webhook(webhook)
    fails_on(message, webhooks.MOST_ATTEMPTS - 1)
    Webhook.objects.update(failing_since=Now() - timedelta(hours=21))
    fails_on(message)
    webhook.refresh_from_db()
    message.refresh_from_db()
    assert (webhook.is_active, message.state) == (False, State.GIVEN_UP)
    assert "failed for more than 20 hours" in webhook.stopped_because
    assert AuditEntry.objects.filter(action="stopped", user=None).count() == 1
    client.force_login(alice)
    assert "1 webhook failed for so long" in client.get("/").content.decode()
    server.script = [sends(204, "")]
    services.start_webhook(webhook, started_by=eve)
    services.send_again(message)
    webhooks.deliver()
    message.refresh_from_db()
    assert message.state == State.DELIVERED
    assert "webhook failed" not in client.get("/").content.decode()


def test_a_receiver_that_is_gone_is_told_nothing_more(
    webhook: Webhook, server: ScriptedServer
) -> None:
    server.script = [sends(410, "")]
    for _ in range(webhooks.OF_ONE + 1):
        services.try_webhook(webhook)
    webhooks.deliver()
    webhook.refresh_from_db()
    assert not webhook.is_active
    Webhook.objects.update(rest_until=None)
    assert not webhooks.is_due()
    with pytest.raises(ServiceError, match="Start it first"):
        services.try_webhook(webhook)


def test_what_ended_a_month_ago_is_forgotten(webhook: Webhook, server: ScriptedServer) -> None:
    for _ in range(2):
        services.try_webhook(webhook)
    webhooks.deliver()
    waiting = services.try_webhook(webhook)
    first = WebhookMessage.objects.order_by("id").first()
    assert first is not None
    long_ago = Now() - timedelta(days=31)
    WebhookMessage.objects.filter(pk__in=[first.pk, waiting.pk]).update(ended_at=long_ago)
    tasks.forget_webhook_messages()
    assert WebhookMessage.objects.count() == 2
    assert not WebhookMessage.objects.filter(pk=first.pk).exists()


# Where it may go


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "https://user:word@host/",
        "http://169.254.169.254/latest/meta-data",
        "https://[fd00:ec2::254]/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[64:ff9b:1::7f00:1]/",
        "https://10.0.0.1/",
        "https://100.100.100.200/",
        "https://192.0.0.192/opc/v1/instance/",
        "https://168.63.129.16/machine/",
        "https://[::ffff:0:10.0.0.1]/",
        "http://public.example/",
    ],
)
def test_it_refuses_addresses_that_may_not_be_told(project: Project, eve: User, url: str) -> None:
    with pytest.raises(ServiceError):
        services.add_webhook(project, url, ["run.failed"], created_by=eve)


def rebind(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let a name lead to one address after the other; return what was looked up."""
    left, asked = list(addresses), []

    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (left.pop(0), port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


def test_a_name_that_leads_into_the_network_gets_nothing(
    webhook: Webhook, server: ScriptedServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALLOWED_PRIVATE_WEBHOOKS = []
    settings.ALLOWED_PRIVATE_ENDPOINTS = ["*"]
    port = server.server_address[1]
    Webhook.objects.update(url=f"http://inside.example:{port}/")
    asked = rebind(monkeypatch, "127.0.0.1")
    services.try_webhook(webhook)
    webhooks.deliver()
    assert (server.asked, asked) == ([], ["inside.example"])
    assert "ALLOWED_PRIVATE_WEBHOOKS" in WebhookAttempt.objects.get().error


def test_redirects_are_not_followed(webhook: Webhook, server: ScriptedServer) -> None:
    server.script = [sends(307, "", Location=server.url), sends(200, "")]
    message = services.try_webhook(webhook)
    webhooks.deliver()
    assert len(server.asked) == 1
    assert "redirect" in message.log.get().error


def test_it_reads_little_and_waits_not_for_ever(
    webhook: Webhook, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.3)
    server.script = [floods, drips, hangs]
    for outcome in ("", "", "It did not answer within 0.3 seconds."):
        message = services.try_webhook(webhook)
        began = time.monotonic()
        webhooks.deliver()
        assert time.monotonic() - began < 3
        attempt = message.log.get()
        assert attempt.error == outcome
        assert len(attempt.answer) <= webhooks.KEPT_ANSWER


# Pages


def address(name: str, pk: int) -> str:
    return reverse(f"training:{name}", args=[pk])


@pytest.fixture
def engineer(client: Client, eve: User) -> Client:
    client.force_login(eve)
    return client


def test_an_engineer_adds_a_webhook_and_sees_its_secret_once(
    engineer: Client, project: Project, server: ScriptedServer
) -> None:
    page = address("webhooks", project.pk)
    bad = engineer.post(page, {"url": "http://10.0.0.1/", "kinds": ["run.failed"]})
    assert bad.status_code == 422
    assert "ALLOWED_PRIVATE_WEBHOOKS" in bad.content.decode()
    assert engineer.post(page, {"url": server.url}).status_code == 422
    assert "flag.raised" not in engineer.get(page).content.decode()
    flags = engineer.post(page, {"url": server.url, "kinds": ["flag.raised"]})
    assert flags.status_code == 422
    made = engineer.post(page, {"url": server.url, "kinds": ["run.failed", "run.succeeded"]})
    assert "whsec_" in made.content.decode()
    assert "no-store" in made["Cache-Control"]
    webhook = Webhook.objects.get()
    assert webhook.kinds == ["run.succeeded", "run.failed"]
    for shown in (page, address("webhook", webhook.pk)):
        assert "whsec_" not in engineer.get(shown).content.decode()
    rotated = engineer.post(address("rotate_secret", webhook.pk)).content.decode()
    assert "whsec_" in rotated
    assert "those of the day before" in rotated
    assert f'data-shown-once="{address("webhook", webhook.pk)}"' in rotated


def test_an_engineer_reads_the_log_and_sends_again(
    engineer: Client, webhook: Webhook, server: ScriptedServer
) -> None:
    server.script = [sends(500, "<b>Sorry</b>"), sends(200, "")]
    engineer.post(address("try_webhook", webhook.pk))
    webhooks.deliver()
    message = WebhookMessage.objects.get()
    log = engineer.get(address("webhook", webhook.pk)).content.decode()
    assert "It answered 500" in log
    assert "sesame" not in log.partition("<form class=")[0]
    page = engineer.get(address("webhook_message", message.pk)).content.decode()
    assert "&lt;b&gt;Sorry&lt;/b&gt;" in page
    assert message.uid in page
    engineer.post(address("send_again", message.pk))
    webhooks.deliver()
    message.refresh_from_db()
    assert (message.state, message.attempts) == (State.DELIVERED, 2)


def test_a_webhook_is_changed_stopped_and_deleted_and_the_audit_log_says_so(
    engineer: Client, webhook: Webhook, project: Project
) -> None:
    values = {"url": "https://ci.example/hook?t=secret", "kinds": ["run.failed"]}
    refused = engineer.post(address("webhook", webhook.pk), values)
    assert "Only an owner may change" in refused.content.decode()
    engineer.force_login(project.created_by)
    assert engineer.post(address("webhook", webhook.pk), values).status_code == 302
    engineer.post(address("stop_webhook", webhook.pk))
    engineer.post(address("start_webhook", webhook.pk))
    engineer.post(address("delete_webhook", webhook.pk))
    entries = AuditEntry.objects.filter(project=project, subject_kind="webhook").order_by("id")
    assert [one.action for one in entries] == ["added", "changed", "stopped", "started", "deleted"]
    assert "t=secret" not in "".join(one.reason for one in entries)
    assert not Webhook.objects.exists()


def test_the_log_asks_the_database_as_often_for_many_as_for_few(
    engineer: Client, webhook: Webhook, django_assert_num_queries: Callable[[int], Any]
) -> None:
    services.try_webhook(webhook)
    with CaptureQueriesContext(
        connection,
    ) as few:
        engineer.get(address("webhook", webhook.pk))
    for _ in range(20):
        services.try_webhook(webhook)
    with django_assert_num_queries(len(few)):
        engineer.get(address("webhook", webhook.pk))
