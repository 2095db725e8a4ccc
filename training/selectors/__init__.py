"""What the pages of training read. Nothing here writes."""

from annotations.algorithms.confidence_sequence import AnytimeInterval
from annotations.algorithms.winrate import WinRate
from training.selectors.arena import arena_of, chosen_fighters, fighters, possible_fighters
from training.selectors.audit import audit_log, audit_of
from training.selectors.automation import (
    automation_of,
    last_round_with,
    newest_reward_model,
    policy_stage,
    projects_to_drive,
    round_state,
    whats_next,
)
from training.selectors.board import (
    VOTES_ASKED,
    Board,
    Line,
    RateAgainst,
    Wish,
    leaderboard,
    win_rate_against_first,
)
from training.selectors.cards import model_card
from training.selectors.chats import CHATS_SHOWN, Turn, chats_of, checkpoints_that_chat, turns_of
from training.selectors.checkpoints import (
    CheckpointRow,
    checkpoint_rows,
    checkpoint_that_replies,
    least_covered,
    lineage,
    promoted_checkpoint,
    promoted_checkpoint_of,
    promotion_before,
    promotion_in_force,
)
from training.selectors.dependents import dependents
from training.selectors.evaluations import (
    ANSWERED_SHARE,
    BatchProgress,
    Certain,
    batch_progress,
    certain,
    evaluation_result,
    gate_result,
    needs_nobody,
    result_so_far,
)
from training.selectors.gate import (
    Condition,
    deciding_evaluation,
    gate_conditions,
    gate_of,
    gate_refusal,
)
from training.selectors.loop import TITLES, NextAction, Step, StepName, loop_status
from training.selectors.marked_votes import Voter, marks, voters
from training.selectors.past_rounds import PastRound, Share, past_rounds
from training.selectors.rebuilds import Rebuild, rebuild_that_made, rebuilds_of
from training.selectors.regressions import (
    CheckedCase,
    TicketWay,
    checked_cases,
    regression_cases,
    regressions_failed,
    ticket_way,
)
from training.selectors.rounds import FELL_THROUGH, judges_round, open_round
from training.selectors.runs import RunProgress, Waiting, run_curves, run_progress, waiting_runs
from training.selectors.sources import Behind, Source, SourceRow, Uses, sources, uses_of_item
from training.selectors.suites import latest_suite, rival_of, suites, suites_of, tried_cases
from training.selectors.vote_log import vote_log

__all__ = [
    "ANSWERED_SHARE",
    "CHATS_SHOWN",
    "FELL_THROUGH",
    "TITLES",
    "VOTES_ASKED",
    "AnytimeInterval",
    "BatchProgress",
    "Behind",
    "Board",
    "Certain",
    "CheckedCase",
    "CheckpointRow",
    "Condition",
    "Line",
    "NextAction",
    "PastRound",
    "RateAgainst",
    "Rebuild",
    "RunProgress",
    "Share",
    "Source",
    "SourceRow",
    "Step",
    "StepName",
    "TicketWay",
    "Turn",
    "Uses",
    "Voter",
    "Waiting",
    "WinRate",
    "Wish",
    "arena_of",
    "audit_log",
    "audit_of",
    "automation_of",
    "batch_progress",
    "certain",
    "chats_of",
    "checked_cases",
    "checkpoint_rows",
    "checkpoint_that_replies",
    "checkpoints_that_chat",
    "chosen_fighters",
    "deciding_evaluation",
    "dependents",
    "evaluation_result",
    "fighters",
    "gate_conditions",
    "gate_of",
    "gate_refusal",
    "gate_result",
    "judges_round",
    "last_round_with",
    "latest_suite",
    "leaderboard",
    "least_covered",
    "lineage",
    "loop_status",
    "marks",
    "model_card",
    "needs_nobody",
    "newest_reward_model",
    "open_round",
    "past_rounds",
    "policy_stage",
    "possible_fighters",
    "projects_to_drive",
    "promoted_checkpoint",
    "promoted_checkpoint_of",
    "promotion_before",
    "promotion_in_force",
    "rebuild_that_made",
    "rebuilds_of",
    "regression_cases",
    "regressions_failed",
    "result_so_far",
    "rival_of",
    "round_state",
    "run_curves",
    "run_progress",
    "sources",
    "suites",
    "suites_of",
    "ticket_way",
    "tried_cases",
    "turns_of",
    "uses_of_item",
    "vote_log",
    "voters",
    "waiting_runs",
    "whats_next",
    "win_rate_against_first",
]
