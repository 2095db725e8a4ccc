"""The nouns of training: frozen data, runs on it, and the checkpoints that come out."""

from training.models.arena import Arena
from training.models.audit import AuditEntry
from training.models.automation import Automation
from training.models.case_scores import CaseScore
from training.models.chats import Chat, ChatMessage
from training.models.checkpoints import Checkpoint, Promotion
from training.models.endpoints import Endpoint
from training.models.gates import Gate
from training.models.praise import Praise
from training.models.pushes import Push
from training.models.radar import RadarLook
from training.models.regressions import RegressionResult
from training.models.rounds import Evaluation, Round
from training.models.runs import Metric, Run, Stage
from training.models.snapshots import DatasetSnapshot, SnapshotAnnotation
from training.models.webhooks import Webhook, WebhookAttempt, WebhookMessage

__all__ = [
    "Arena",
    "AuditEntry",
    "Automation",
    "CaseScore",
    "Chat",
    "ChatMessage",
    "Checkpoint",
    "DatasetSnapshot",
    "Endpoint",
    "Evaluation",
    "Gate",
    "Metric",
    "Praise",
    "Promotion",
    "Push",
    "RadarLook",
    "RegressionResult",
    "Round",
    "Run",
    "SnapshotAnnotation",
    "Stage",
    "Webhook",
    "WebhookAttempt",
    "WebhookMessage",
]
