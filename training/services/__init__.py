"""Every write of training that a person or a program asks for. Each refuses with a sentence."""

from training.services.api_tokens import MODELS, create_api_token, revoke_api_token
from training.services.arena import (
    ask_in_arena,
    set_arena,
    take_back_arena_vote,
    vote_in_arena,
    write_battle,
)
from training.services.audit import record
from training.services.automation import (
    advance,
    drive_by_hand,
    retry_stage,
    run_round,
    set_automation,
    skip_stage,
)
from training.services.bases import NO_HUB, fetch_base, register_base, stop_fetch
from training.services.boards import read_votes
from training.services.cases import score_cases
from training.services.chats import (
    WAITED_FOR_S,
    Choice,
    News,
    ask_again,
    report_reply,
    say,
    say_differently,
    start_chat,
    stop_reply,
    write_reply,
)
from training.services.checkpoints import promote_checkpoint
from training.services.deletions import delete_checkpoint, delete_snapshot
from training.services.endpoints import Server, add_endpoint, change_endpoint, try_endpoint
from training.services.erasure import erase_oneself, erase_person
from training.services.gates import set_gate
from training.services.members import hear_member_changed
from training.services.pauses import pause_flagged
from training.services.praise import praise_in_battle, praise_reply, report_in_battle
from training.services.pushes import (
    cancel_push,
    push_checkpoint,
    push_snapshot,
    push_targets,
)
from training.services.qualification import hear_kind_decided
from training.services.rebuilds import rebuild
from training.services.recalls import freeze_clean, lift_recall, recall_annotations, retrain_clean
from training.services.refusals import CONTENT_OF, SCORED, ServiceError, check_exportable
from training.services.rollbacks import demote, roll_back
from training.services.rounds import close_round, open_round
from training.services.runs import (
    KINDS_OF_ONE,
    KINDS_OF_WORK,
    request_cancel,
    request_completions,
    request_export,
    run_to_be,
    set_priority,
    start_evaluation,
    start_regressions,
    start_replay,
    start_run,
    start_suite,
    start_weighing,
)
from training.services.secrets import renew_secrets
from training.services.snapshots import freeze_snapshot
from training.services.webhooks import (
    add_webhook,
    change_webhook,
    delete_webhook,
    rotate_secret,
    send_again,
    start_webhook,
    stop_webhook,
    try_webhook,
)
from training.services.weighing import weigh_questions

__all__ = [
    "CONTENT_OF",
    "KINDS_OF_ONE",
    "KINDS_OF_WORK",
    "MODELS",
    "NO_HUB",
    "SCORED",
    "WAITED_FOR_S",
    "Choice",
    "News",
    "Server",
    "ServiceError",
    "add_endpoint",
    "add_webhook",
    "advance",
    "ask_again",
    "ask_in_arena",
    "cancel_push",
    "change_endpoint",
    "change_webhook",
    "check_exportable",
    "close_round",
    "create_api_token",
    "delete_checkpoint",
    "delete_snapshot",
    "delete_webhook",
    "demote",
    "drive_by_hand",
    "erase_oneself",
    "erase_person",
    "fetch_base",
    "freeze_clean",
    "freeze_snapshot",
    "hear_kind_decided",
    "hear_member_changed",
    "lift_recall",
    "open_round",
    "pause_flagged",
    "praise_in_battle",
    "praise_reply",
    "promote_checkpoint",
    "push_checkpoint",
    "push_snapshot",
    "push_targets",
    "read_votes",
    "rebuild",
    "recall_annotations",
    "record",
    "register_base",
    "renew_secrets",
    "report_in_battle",
    "report_reply",
    "request_cancel",
    "request_completions",
    "request_export",
    "retrain_clean",
    "retry_stage",
    "revoke_api_token",
    "roll_back",
    "rotate_secret",
    "run_round",
    "run_to_be",
    "say",
    "say_differently",
    "score_cases",
    "send_again",
    "set_arena",
    "set_automation",
    "set_gate",
    "set_priority",
    "skip_stage",
    "start_chat",
    "start_evaluation",
    "start_regressions",
    "start_replay",
    "start_run",
    "start_suite",
    "start_webhook",
    "start_weighing",
    "stop_fetch",
    "stop_reply",
    "stop_webhook",
    "take_back_arena_vote",
    "try_endpoint",
    "try_webhook",
    "vote_in_arena",
    "weigh_questions",
    "write_battle",
    "write_reply",
]
