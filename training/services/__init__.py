"""Every write of training that a person or a program asks for. Each refuses with a sentence."""

from training.services.api_tokens import create_api_token, note_use, revoke_api_token
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
from training.services.chats import (
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
from training.services.checkpoints import promote_checkpoint, register_base
from training.services.deletions import delete_checkpoint, delete_snapshot
from training.services.endpoints import Server, add_endpoint, change_endpoint, try_endpoint
from training.services.gates import set_gate
from training.services.praise import praise_in_battle, praise_reply, report_in_battle
from training.services.rebuilds import rebuild
from training.services.recalls import lift_recall, recall_annotations, retrain_clean
from training.services.refusals import CONTENT_OF, SCORED, ServiceError, check_exportable
from training.services.rollbacks import demote, roll_back
from training.services.rounds import close_round, open_round
from training.services.runs import (
    KINDS_OF_ONE,
    KINDS_OF_WORK,
    request_cancel,
    request_completions,
    request_export,
    set_priority,
    start_evaluation,
    start_regressions,
    start_replay,
    start_run,
    start_suite,
)
from training.services.snapshots import freeze_snapshot

__all__ = [
    "CONTENT_OF",
    "KINDS_OF_ONE",
    "KINDS_OF_WORK",
    "SCORED",
    "Choice",
    "News",
    "Server",
    "ServiceError",
    "add_endpoint",
    "advance",
    "ask_again",
    "ask_in_arena",
    "change_endpoint",
    "check_exportable",
    "close_round",
    "create_api_token",
    "delete_checkpoint",
    "delete_snapshot",
    "demote",
    "drive_by_hand",
    "freeze_snapshot",
    "lift_recall",
    "note_use",
    "open_round",
    "praise_in_battle",
    "praise_reply",
    "promote_checkpoint",
    "rebuild",
    "recall_annotations",
    "record",
    "register_base",
    "report_in_battle",
    "report_reply",
    "request_cancel",
    "request_completions",
    "request_export",
    "retrain_clean",
    "retry_stage",
    "revoke_api_token",
    "roll_back",
    "run_round",
    "say",
    "say_differently",
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
    "stop_reply",
    "take_back_arena_vote",
    "try_endpoint",
    "vote_in_arena",
    "write_battle",
    "write_reply",
]
