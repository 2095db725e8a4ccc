"""Whatever a page does a program can do, or it is written down here why not.

A new page fails until somebody has said which operations do the same, or why none does. The admin
site is none of them: there the operator makes accounts and looks at tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labelstudio_llm.api import OPERATIONS
from tests.security.test_addresses import ADDRESSES

SIGN_IN = "It is about a person's own way in, which no token may change."
SHOWN = "It shows what other operations answer, arranged for people."
MOVES = "A part of a page that asks how far something is: a program asks the operation again."
KEYBOARD = "It is about the keys and looks of pages."

OPERATIONS_OF: dict[str, str] = {
    "annotations:home": "list_projects",
    "annotations:own_data": "get_own_data",
    "annotations:own_data_file": "get_own_data",
    "annotations:create_project": "create_project",
    "annotations:project": "get_project",
    "annotations:settings": "change_project",
    "annotations:members": "list_members add_member",
    "annotations:change_membership": "change_member remove_member",
    "annotations:guidelines": "list_guidelines",
    "annotations:guideline": "list_guidelines get_guideline",
    "annotations:edit_guideline": "get_guideline_draft save_guideline_draft publish_guideline",
    "annotations:compare_guidelines": "list_guidelines",
    "annotations:acknowledge": "acknowledge",
    "annotations:prompts": "list_prompts add_prompts add_conversations",
    "annotations:similar_prompts": "find_similar_prompts",
    "annotations:similar_to_prompt": "list_similar_prompts",
    "annotations:start_conversation": "start_conversation",
    "annotations:import": "list_imports upload_import",
    "annotations:may_import": "upload_import",
    "annotations:import_file": "get_import preview_import",
    "annotations:import_progress": "get_import",
    "annotations:change_reading": "change_import",
    "annotations:start_import": "start_import",
    "annotations:stop_import": "cancel_import",
    "annotations:downloads": "list_exports",
    "annotations:download": "download_export",
    "annotations:invitations": "list_invitations invite",
    "annotations:revoke_invitation": "revoke_invitation",
    "annotations:rest": "rest come_back",
    "annotations:leave": "leave_project",
    "annotations:person": "get_person list_notes",
    "annotations:write_note": "write_note",
    "annotations:read_note": "read_note",
    "annotations:hold_out": "hold_out",
    "annotations:decide_kind": "decide_kind",
    "annotations:pay": "list_rates set_rate list_statements",
    "annotations:pay_file": "list_statements",
    "annotations:statement": "get_statement",
    "annotations:statement_file": "list_pay_entries",
    "annotations:adjust_pay": "adjust_pay",
    "annotations:scores": "list_scorers add_scores",
    "annotations:scores_file": "list_scores",
    "annotations:flags": "list_flags list_flag_decisions",
    "annotations:decide_flag": "decide_flag",
    "annotations:start": "take_next",
    "annotations:done": "take_next",
    "annotations:assignment": "get_assignment",
    "annotations:submit": "submit",
    "annotations:skip": "skip",
    "annotations:draft": "save_draft",
    "annotations:replies": "get_conversation say pick pick_again ask_again end_conversation",
    "annotations:undo": "undo",
    "annotations:correct": "save_draft submit",
    "annotations:history": "list_assignments get_own_work",
    "annotations:assignment_history": "get_assignment_history",
    "annotations:dashboard": "get_dashboard",
    "annotations:dashboard_file": "get_dashboard",
    "annotations:guideline_draft": "save_guideline_draft discard_guideline_draft",
    "annotations:guideline_cases": "list_cases",
    "annotations:make_gold_of_cases": "make_gold_of_cases",
    "annotations:ask_comparisons_again": "list_reasks get_prospect ask_comparisons_again",
    "annotations:own_prompt": "write_own_prompt",
    "annotations:questions": "get_questions save_questions publish_questions",
    "annotations:access_rules": "list_groups save_group list_kind_rules set_kind_rule",
    "annotations:delete_group": "delete_group",
    "annotations:practice_items": "list_gold practise_with stop_practising_with retire_gold",
    "annotations:qualify": "get_qualification",
    "annotations:begin_test": "begin_test",
    "annotations:qualify_answer": "answer_question",
    "annotations:tests_to_judge": "list_tests_to_judge",
    "annotations:judge_test": "get_test_to_judge judge_test",
    "annotations:agreement": "get_agreement",
    "annotations:agreement_as_csv": "get_agreement",
    "annotations:discard_correction": "discard_correction",
    "annotations:item": "get_item_history",
    "annotations:answers": "list_annotations",
    "annotations:make_gold": "make_gold",
    "annotations:adjudicate": "get_disagreement decide_item",
    "annotations:withdraw_adjudication": "withdraw_decision",
    "annotations:retire_gold": "retire_gold",
    "annotations:next_items": "get_asking",
    "annotations:adjudication": "list_disagreements list_decisions",
    "training:loop": "get_loop list_rounds get_round_figures",
    "training:open_round": "open_round",
    "training:close_round": "close_round",
    "training:snapshots": "list_snapshots",
    "training:freeze_snapshot": "freeze_snapshot",
    "training:snapshot": "get_snapshot",
    "training:download_snapshot": "download_snapshot get_snapshot_rows",
    "training:runs": "list_runs list_waiting_runs",
    "training:new_run": "start_run",
    "training:set_priority": "set_priority",
    "training:run": "get_run get_metrics get_radar resume_run",
    "training:download_log": "download_log get_log",
    "training:cancel_run": "cancel_run",
    "training:checkpoints": "list_checkpoints list_promotions",
    "training:add_base": "list_base_models add_base_model",
    "training:fetch_base": "fetch_base_model",
    "training:fetches_status": "list_fetches",
    "training:stop_fetch": "stop_fetching",
    "training:checkpoint": "get_checkpoint get_gate get_clean_line",
    "training:request_completions": "request_completions",
    "training:start_evaluation": "start_evaluation",
    "training:evaluation": "get_evaluation",
    "training:promote_checkpoint": "promote_checkpoint",
    "training:leaderboard": "get_leaderboard",
    "training:new_chat": "list_chats start_chat",
    "training:chat": "get_chat",
    "training:say": "say_in_chat",
    "training:write_reply": "write_reply",
    "training:stop_reply": "stop_reply",
    "training:push_checkpoint": "push_checkpoint",
    "training:push_snapshot": "push_snapshot",
    "training:cancel_push": "cancel_push",
    "training:webhooks": "list_webhooks add_webhook",
    "training:webhook": "get_webhook change_webhook list_webhook_messages",
    "training:rotate_secret": "rotate_secret",
    "training:stop_webhook": "change_webhook",
    "training:start_webhook": "change_webhook",
    "training:try_webhook": "try_webhook",
    "training:delete_webhook": "delete_webhook",
    "training:webhook_message": "get_webhook_message",
    "training:send_again": "send_webhook_message_again",
    "annotations:report_shown": "report_answer",
    "annotations:tickets": "list_tickets",
    "annotations:ticket": "get_ticket",
    "annotations:ask_for_rewrite": "ask_for_rewrite",
    "annotations:change_check": "change_check",
    "annotations:dismiss_ticket": "dismiss_ticket",
    "annotations:take_up_ticket": "reopen_ticket",
    "training:run_round": "run_round",
    "training:drive_by_hand": "drive_by_hand",
    "training:retry_stage": "retry_stage",
    "training:skip_stage": "skip_stage",
    "training:set_automation": "set_automation",
    "training:gate": "get_thresholds set_thresholds",
    "training:estimate_run": "estimate_run",
    "training:compare_runs": "compare_runs",
    "training:download_events": "download_events",
    "training:export_job": "download_job",
    "training:recalls": "list_recalls preview_recall recall_annotations",
    "training:recall": "get_recall",
    "training:lift_recall": "lift_recall",
    "training:retrain_clean": "retrain_clean",
    "training:freeze_clean": "freeze_clean",
    "training:audit": "list_audit",
    "training:roll_back": "roll_back",
    "training:demote": "demote",
    "training:export_checkpoint": "export_checkpoint",
    "training:sources": "get_lineage download_sources",
    "training:download_sources": "download_sources",
    "training:suites": "list_suites",
    "training:start_suite": "start_suite",
    "training:suite": "get_suite",
    "training:card": "get_model_card",
    "training:download_card": "get_model_card",
    "training:delete_checkpoint": "delete_checkpoint",
    "training:rebuild": "list_rebuilds rebuild_checkpoint",
    "training:delete_snapshot": "delete_snapshot",
    "training:item": "get_item_lineage",
    "training:ask_people": "start_evaluation",
    "training:board_as_csv": "get_leaderboard",
    "training:board_as_json": "get_leaderboard",
    "training:votes_as_csv": "download_votes",
    "training:votes_as_jsonl": "download_votes",
    "training:arena": "list_battles ask_in_arena",
    "training:arena_settings": "get_arena set_arena",
    "training:battle": "get_battle",
    "training:write_battle": "write_answers",
    "training:vote": "vote",
    "training:take_back_vote": "take_back_vote",
    "training:say_in_battle": "say_in_battle",
    "training:praise_in_battle": "praise_in_battle",
    "training:report_in_battle": "report_in_battle",
    "training:start_regressions": "list_regressions start_regressions",
    "training:case_scores": "get_case_scores",
    "training:replay_cases": "replay_cases",
    "training:ticket_way": "get_ticket_way",
    "training:say_differently": "say_differently",
    "training:ask_again": "ask_for_another_reply",
    "training:report_reply": "report_reply",
    "training:praise_reply": "praise_reply",
    "training:add_endpoint": "add_endpoint",
    "training:endpoint": "list_endpoints get_endpoint change_endpoint",
    "training:try_endpoint": "try_endpoint",
}
"""By page: the operations that do what it does."""

WHY_NOT: dict[str, str] = {
    "sign_in_to_admin": SIGN_IN,
    "annotations:sign_in": SIGN_IN,
    "annotations:sign_in_code": SIGN_IN,
    "annotations:two_factor": SIGN_IN,
    "annotations:password": SIGN_IN,
    "annotations:sign_in_as_demo_person": SIGN_IN,
    "annotations:sign_out": SIGN_IN,
    "annotations:invitation": "Who follows a link signs up with it, and has no token before that.",
    "annotations:account": KEYBOARD,
    "annotations:language": KEYBOARD,
    "api:page": SHOWN,
    "api:openapi": SHOWN,
    "training:runs_status": MOVES,
    "training:run_status": MOVES,
    "training:loop_status": MOVES,
    "training:try_status": MOVES,
    "training:chat_reply": MOVES,
    "training:checkpoint_pushes_status": MOVES,
    "training:snapshot_pushes_status": MOVES,
    "training:api_tokens": "A token that makes tokens would outlive its own end.",
    "training:revoke_api_token": "Tokens are made and revoked by people, who sign in.",
    "training:erase_me": "Whoever finds a token must not be able to erase its owner.",
}
"""By page: why no operation does what it does."""

PAGES = {
    name: pattern
    for name, pattern in ADDRESSES.items()
    if not name.startswith(("api:", "training:v1_")) or name in WHY_NOT
}
BY_NAME = {operation.name: operation for operation in OPERATIONS}
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}


def methods_of(view: Callable[..., Any] | None) -> set[str]:
    """Return the methods that the decorators of a view let through."""
    while view is not None:
        for cell in view.__closure__ or ():
            found = cell.cell_contents
            if isinstance(found, list | tuple) and found and set(found) <= METHODS:
                return set(found)
        view = getattr(view, "__wrapped__", None)
    return METHODS


def test_every_page_has_its_operations_or_a_reason() -> None:
    assert set(PAGES) == OPERATIONS_OF.keys() | WHY_NOT.keys()
    assert not OPERATIONS_OF.keys() & WHY_NOT.keys()
    named = {name for names in OPERATIONS_OF.values() for name in names.split()}
    assert named <= BY_NAME.keys()


def test_what_a_page_changes_an_operation_changes() -> None:
    reads_alone = [
        page
        for page, names in OPERATIONS_OF.items()
        if "POST" in methods_of(ADDRESSES[page].callback)
        and all(BY_NAME[name].method == "GET" for name in names.split())
    ]
    assert not reads_alone
