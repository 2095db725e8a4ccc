"""Whatever a page does a program can do, or it is written down here why not.

A new page fails until somebody has said which operations do the same, or why none does.
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
NOT_YET = "not yet"

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
    "annotations:make_gold": "make_gold",
    "annotations:adjudicate": "get_disagreement decide_item",
    "annotations:withdraw_adjudication": "withdraw_decision",
    "annotations:retire_gold": "retire_gold",
    "annotations:next_items": "get_asking",
    "annotations:adjudication": "list_disagreements list_decisions",
    "training:loop": "list_rounds",
    "training:open_round": "open_round",
    "training:close_round": "close_round",
    "training:snapshots": "list_snapshots",
    "training:freeze_snapshot": "freeze_snapshot",
    "training:snapshot": "get_snapshot",
    "training:download_snapshot": "get_snapshot_rows",
    "training:runs": "list_runs",
    "training:new_run": "start_run",
    "training:set_priority": "set_priority",
    "training:run": "get_run get_metrics resume_run",
    "training:download_log": "get_log",
    "training:cancel_run": "cancel_run",
    "training:checkpoints": "list_checkpoints",
    "training:add_base": "list_base_models add_base_model",
    "training:checkpoint": "get_checkpoint",
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
    "training:webhook_message": "list_webhook_messages",
    "training:send_again": "send_webhook_message_again",
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
    "annotations:report_shown": NOT_YET,
    "annotations:tickets": NOT_YET,
    "annotations:ticket": NOT_YET,
    "annotations:ask_for_rewrite": NOT_YET,
    "annotations:change_check": NOT_YET,
    "annotations:dismiss_ticket": NOT_YET,
    "annotations:take_up_ticket": NOT_YET,
    "training:run_round": NOT_YET,
    "training:drive_by_hand": NOT_YET,
    "training:retry_stage": NOT_YET,
    "training:skip_stage": NOT_YET,
    "training:set_automation": NOT_YET,
    "training:gate": NOT_YET,
    "training:estimate_run": NOT_YET,
    "training:compare_runs": NOT_YET,
    "training:download_events": NOT_YET,
    "training:export_job": NOT_YET,
    "training:recalls": NOT_YET,
    "training:recall": NOT_YET,
    "training:lift_recall": NOT_YET,
    "training:retrain_clean": NOT_YET,
    "training:audit": NOT_YET,
    "training:roll_back": NOT_YET,
    "training:demote": NOT_YET,
    "training:export_checkpoint": NOT_YET,
    "training:sources": NOT_YET,
    "training:download_sources": NOT_YET,
    "training:suites": NOT_YET,
    "training:start_suite": NOT_YET,
    "training:suite": NOT_YET,
    "training:card": NOT_YET,
    "training:download_card": NOT_YET,
    "training:delete_checkpoint": NOT_YET,
    "training:rebuild": NOT_YET,
    "training:delete_snapshot": NOT_YET,
    "training:item": NOT_YET,
    "training:ask_people": NOT_YET,
    "training:board_as_csv": NOT_YET,
    "training:board_as_json": NOT_YET,
    "training:votes_as_csv": NOT_YET,
    "training:votes_as_jsonl": NOT_YET,
    "training:arena": NOT_YET,
    "training:arena_settings": NOT_YET,
    "training:battle": NOT_YET,
    "training:write_battle": NOT_YET,
    "training:vote": NOT_YET,
    "training:take_back_vote": NOT_YET,
    "training:say_in_battle": NOT_YET,
    "training:praise_in_battle": NOT_YET,
    "training:report_in_battle": NOT_YET,
    "training:start_regressions": NOT_YET,
    "training:case_scores": NOT_YET,
    "training:replay_cases": NOT_YET,
    "training:ticket_way": NOT_YET,
    "training:say_differently": NOT_YET,
    "training:ask_again": NOT_YET,
    "training:report_reply": NOT_YET,
    "training:praise_reply": NOT_YET,
    "training:add_endpoint": NOT_YET,
    "training:endpoint": NOT_YET,
    "training:try_endpoint": NOT_YET,
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
