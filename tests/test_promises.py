"""Which test holds each promise: a fault or a bad input, what must happen, and what would fail.

The faults are numbered by importance, classes of known holes (C) by the advisories of tools like
this one. A test that is renamed or deleted fails here, so that no promise is left without one.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from django.conf import settings

A, S, T, B = "annotations/tests", "tests/security", "training/tests", "tests/browser"
P, F = "training/tests/pipeline", "tests/faults"

PROMISES: dict[str, tuple[str, ...]] = {
    "1 server or database killed while people submit: nothing lost, nothing double": (
        "tests/chaos/test_chaos.py::test_the_laws_hold_while_everything_breaks",
        "tests/chaos/test_history.py::test_every_law_has_something_planted_against_it",
        "tests/load/test_concurrent_annotators.py"
        "::test_sixty_four_labellers_and_a_killed_server_lose_and_double_nothing",
    ),
    "2 sent twice, at once or after a lost answer: one label, one pay, one answer": (
        f"{A}/test_queue.py::test_it_keeps_one_annotation_of_two_submits_at_once",
        f"{A}/test_pay.py::test_a_second_submit_is_not_paid",
        f"{A}/test_api.py::test_the_same_key_twice_does_it_once",
    ),
    "3 many claim at once: never beyond the overlap, never twice to one person": (
        f"{A}/test_queue.py::test_it_never_exceeds_the_overlap_however_many_ask_at_once",
        f"{A}/test_laws.py::test_the_laws_hold_whatever_happens",
    ),
    "4 worker, child, reaper and broker killed or suspended: one terminal state each": (
        "tests/chaos/test_chaos.py::test_the_laws_hold_while_everything_breaks",
        f"{F}/test_workers.py::test_a_second_worker_finishes_the_run_of_one_that_was_killed",
        f"{T}/test_lifecycle.py::test_any_order_of_events_ends_in_one_terminal_state",
    ),
    "5 one message delivered several times at once: one claim": (
        f"{T}/test_lifecycle.py::test_it_lets_one_of_many_claimers_win",
        f"{T}/test_lifecycle.py::test_a_superseded_attempt_writes_nothing",
    ),
    "6 every address by every role and on foreign objects": (
        f"{S}/test_addresses.py::test_it_is_written_down_who_may_open_each_address",
        f"{S}/test_addresses.py::test_what_is_not_for_a_person_does_not_exist",
        f"{S}/test_operations.py::test_an_operation_exists_for_those_alone_whom_its_page_lets_in",
    ),
    "7 scripts in every stored text": (
        f"{B}/test_hostile_texts.py::test_no_page_runs_what_was_written",
        f"{A}/test_markdown.py::test_no_answer_can",
    ),
    "8 broker down, hung or full: pages answer, runs start later": (
        f"{F}/test_workers.py::test_a_hung_or_full_or_absent_broker_does_not_hold_up_a_page",
        f"{T}/test_tasks.py::test_a_hint_that_cannot_be_sent_loses_nothing_and_takes_no_time",
    ),
    "9 broker restarted without its memory: everything queued runs": (
        f"{F}/test_workers.py::test_runs_survive_a_broker_that_forgets_everything",
    ),
    "10 database away: 503 with Retry-After, no restart needed": (
        f"{A}/test_database_busy.py::test_it_answers_503_and_takes_the_same_submit_a_moment_later",
        f"{A}/test_database_busy.py::test_a_session_that_cannot_be_kept_now_has_not_ended",
        "tests/test_connections.py::test_nobody_gets_one_that_the_server_has_ended",
        "tests/test_connections.py::test_a_standby_counts_as_a_server_that_is_away",
        "tests/test_probes.py::test_it_is_not_ready_before_its_migrations_or_without_its_database",
    ),
    "11 offline, reload, closed tab, ended session: text and choice are back, one label": (
        f"{B}/test_workbench.py::test_what_is_sent_offline_goes_out_when_the_line_is_back",
        f"{B}/test_workbench.py::test_a_draft_survives_a_closed_tab_and_another_browser",
        f"{B}/test_labelling.py::test_signing_in_again_elsewhere_rescues_the_page",
    ),
    "12 the server refuses or fails: told in words, nothing cleared": (
        f"{B}/test_labelling.py::test_what_was_typed_survives_every_failure",
        f"{B}/test_workbench.py::test_a_killed_server_loses_nothing",
    ),
    "13 a loss that is no number: failed at once, nothing published": (
        f"{P}/test_stages.py::test_it_stops_on_a_loss_that_is_not_a_number_and_publishes_nothing",
    ),
    "14 killed while it saves: resumed from what is whole, to the same weights": (
        f"{P}/test_resume.py::test_it_resumes_to_the_weights_of_an_uninterrupted_run",
        f"{P}/test_resume.py::test_it_ignores_a_torn_resume_point",
    ),
    "15 full disk: told in words, what was there is intact": (
        f"{P}/test_failures.py::test_a_full_disk_is_told_whoever_found_it",
        f"{P}/test_checkpoints.py::test_it_leaves_nothing_behind_when_writing_fails",
        f"{T}/test_tasks.py::test_a_disk_that_is_full_before_the_child_starts_is_told_in_words",
        f"{T}/test_snapshots.py::test_a_snapshot_that_cannot_be_written_leaves_nothing",
        f"{A}/test_downloads.py::test_a_command_writes_an_export_whole",
        f"{A}/test_imports.py::test_a_full_disk_is_told_and_nothing_stays",
        f"{A}/test_database_busy.py::test_what_finds_no_room_is_refused_and_taken_when_there_is_room",
        "tests/chaos/test_disk.py::test_what_does_not_fit_into_a_table_is_refused_and_nothing_else",
        "tests/chaos/test_disk.py"
        "::test_a_server_whose_log_cannot_go_on_ends_and_has_all_it_took_when_there_is_room",
    ),
    "16 damaged checkpoint: refused, an older one is taken": (
        f"{P}/test_checkpoints.py::test_it_sees_any_damage",
        f"{P}/test_checkpoints.py::test_it_picks_the_newest_whole_resume_point",
    ),
    "17 cancelled at any moment: cancelled or done, never both, nothing left running": (
        f"{T}/test_lifecycle.py::test_of_success_and_cancellation_at_once_one_wins",
        f"{T}/test_tasks.py::test_it_cancels_a_running_run_within_seconds",
        f"{T}/test_supervisor.py::test_it_leaves_no_grandchild_behind",
    ),
    "18 worker told to stop: the run is saved, given back and resumed": (
        f"{F}/test_workers.py::test_a_worker_that_is_told_to_stop_gives_its_run_back_at_once",
        f"{T}/test_supervisor.py::test_it_stops_the_child_when_the_worker_shuts_down",
    ),
    "19 two runs on one device: the second waits, the database forbids it": (
        f"{T}/test_lifecycle.py::test_the_database_itself_refuses_a_second_running_run",
        f"{T}/test_lifecycle.py::test_it_runs_one_training_run_at_a_time_on_a_device",
    ),
    "20 pay is the sum of a ledger that nobody changes": (
        f"{A}/test_pay.py::test_it_is_what_the_answers_in_force_earn_by_the_rates_of_their_time",
        f"{A}/test_pay.py::test_the_database_refuses_to_change_or_delete_what_was_written",
    ),
    "21 NUL, half characters, endless numbers, depth, size: 4xx with the field or the line": (
        f"{S}/test_bad_bodies.py::test_it_is_refused_in_words",
        f"{S}/test_forms.py::test_no_form_breaks_on_what_no_browser_sends",
        f"{A}/test_importers.py::test_it_says_what_is_wrong_and_reads_on",
        f"{A}/test_imports.py::test_junk_is_refused_in_words_and_leaves_nothing",
        "tests/test_api_contract.py::test_it_answers_every_request_as_its_document_says",
    ),
    "22 unsafe settings in production: it does not start": (
        "tests/test_settings.py::test_it_refuses_settings_that_cannot_work",
    ),
    "23 look-ups through parameters: nothing changes": (
        f"{S}/test_forms.py::test_no_page_breaks_on_a_parameter_or_looks_things_up_by_it",
        f"{A}/test_api.py::test_an_unknown_filter_is_named_with_those_that_there_are",
    ),
    "24 Markdown made to be slow": (
        f"{A}/test_markdown.py::test_it_is_quick_about_texts_made_to_be_slow",
        f"{A}/test_markdown.py::test_it_refuses_what_is_too_large_or_cannot_be_kept",
        f"{S}/test_patterns.py::test_no_text_makes_a_pattern_slow",
    ),
    "26 died between the commit and the message: the run starts anyway": (
        f"{T}/test_lifecycle.py::test_it_sends_a_hint_again_that_may_be_lost",
    ),
    "27 SystemExit at any line: no half state": (
        f"{T}/test_cold_shutdown.py::test_a_claim_that_is_cut_off_at_any_line_is_made_or_not",
        f"{T}/test_cold_shutdown.py"
        "::test_a_success_that_is_cut_off_at_any_line_has_its_checkpoint_or_is_none",
    ),
    "28 killed three times: failed, no loop": (
        f"{T}/test_tasks.py::test_it_fails_a_run_whose_child_was_killed_three_times",
    ),
    "29 out of memory: failed with settings that fit": (
        f"{P}/test_failures.py::test_out_of_memory_names_smaller_settings",
    ),
    "30 wrong clocks: leases and signs of life go by the database's": (
        f"{T}/test_cold_shutdown.py::test_a_wrong_clock_takes_no_run_and_no_lease",
        f"{T}/test_lifecycle.py::test_a_clock_that_is_set_back_keeps_no_lost_run_alive",
        f"{T}/test_webhooks.py::test_a_message_waits_for_no_clock_of_another_machine",
    ),
    "31 a worker that never gave a sign of life is taken for lost": (
        f"{T}/test_lifecycle.py::test_it_takes_back_a_run_that_went_silent",
    ),
    "32 a model with a pickle or code of its own is refused": (
        f"{T}/test_services.py::test_it_refuses_a_base_that_is_not_safe",
        f"{P}/test_checkpoints.py::test_it_refuses_an_adapter_that_is_pickled",
        f"{P}/test_preflight.py::test_it_refuses_a_base_that_is_gone_or_pickled",
    ),
    "33 names are text and never paths": (
        f"{S}/test_names.py::test_a_name_is_kept_or_refused_and_leads_nowhere",
        f"{S}/test_names.py::test_a_download_is_called_by_numbers",
        f"{T}/test_pushes.py::test_it_pushes_nowhere_but_below_what_is_set",
    ),
    "34 tokens: hashed, over, out of scope, in an address": (
        f"{T}/test_api_tokens.py::test_it_shows_a_token_once_and_keeps_its_hash",
        f"{A}/test_api.py::test_a_token_that_is_over_lets_nobody_in",
        f"{A}/test_api.py::test_a_token_is_good_for_its_scopes_alone",
        f"{S}/test_bad_bodies.py::test_no_token_is_taken_from_an_address",
    ),
    "35 guessing of passwords is slowed, and locks nobody out": (
        f"{S}/test_sign_in.py::test_many_names_from_one_address_are_refused",
        f"{S}/test_sign_in.py::test_a_name_in_other_letters_is_the_same_name",
        f"{S}/test_sign_in.py"
        "::test_one_name_from_many_addresses_is_refused_but_where_its_owner_is_known",
        f"{S}/test_sign_in.py::test_a_forged_header_changes_nothing_and_a_proxy_is_believed",
    ),
    "36 nothing is done for another site, and nothing by GET": (
        f"{S}/test_addresses.py::test_nothing_is_done_for_another_site",
        f"{S}/test_addresses.py::test_who_is_let_in_sees_pages_that_change_nothing_and_run_nothing",
    ),
    "37 formulas in a table": (
        f"{A}/test_csv_files.py::test_no_cell_begins_a_formula_and_each_comes_back",
    ),
    "38 a gigabyte, twice, with a bad line, killed half way": (
        f"{F}/test_large_imports.py::test_a_gigabyte_comes_in_once_in_little_memory",
        f"{A}/test_imports_interrupted.py::test_killed_at_any_moment_it_ends_with_the_same_rows",
    ),
    "39 an export is of one state": (
        f"{A}/test_downloads.py::test_an_export_is_of_one_state_and_leaves_none_behind",
    ),
    "40 two edit at once: both versions are shown, labels keep theirs": (
        f"{A}/test_pages_guidelines.py"
        "::test_two_who_publish_at_once_see_both_texts_and_lose_nothing",
        f"{B}/test_workbench.py::test_a_stale_tab_never_overwrites_newer_work",
        f"{A}/test_reask.py::test_both_answers_stay_with_their_versions",
    ),
    "41 project, person, account or item closed while somebody is at work": (
        f"{A}/test_work_cut_short.py::test_what_is_handed_in_is_kept_and_paid",
        f"{A}/test_work_cut_short.py::test_what_is_refused_is_told_to_the_page_which_keeps_it",
        f"{A}/test_work_cut_short.py::test_who_may_work_again_goes_on_with_what_was_begun",
    ),
    "42 migrations of a full database, back again, and old workers": (
        f"{F}/test_upgrades.py"
        "::test_people_label_on_while_a_full_database_is_migrated_there_and_back",
        f"{F}/test_upgrades.py::test_an_old_worker_leaves_what_it_does_not_know_and_goes_on",
        f"{F}/test_upgrades.py::test_what_old_code_reads_must_not_go",
    ),
    "43 what is restored is what was backed up": (
        "tests/test_backup.py::test_what_is_restored_is_what_was_there_and_others_are_told_from_it",
        "tests/test_backup.py::test_a_damaged_backup_changes_nothing",
        f"{T}/test_store.py"
        "::test_a_backup_holds_what_any_machine_made_and_is_restored_for_all_of_them",
    ),
    "44 every task twice": (
        f"{T}/test_every_task.py::test_a_task_run_twice_leaves_the_same_database",
        f"{T}/test_every_task.py::test_every_task_is_tried_twice",
    ),
    "45 every task has its limits": (
        f"{T}/test_every_task.py::test_a_task_is_named_limited_and_given_numbers_alone",
    ),
    "46 no connection goes out": (
        f"{T}/test_webhooks.py::test_a_name_that_leads_into_the_network_gets_nothing",
        f"{P}/test_external.py::test_it_refuses_names_that_lead_into_a_private_network",
        "conftest.py::no_connections_outside",
    ),
    "47 no secret in logs and answers": (
        f"{S}/test_front_door.py::test_no_secret_reaches_the_log",
        f"{S}/test_front_door.py"
        "::test_the_secret_of_an_invitation_is_not_logged_where_the_database_is_away",
        "tests/test_logs.py::test_the_line_of_a_request_names_objects_but_no_secret_of_its_address",
    ),
    "48 logs are added to and never changed": (
        f"{T}/test_audit.py::test_an_entry_is_never_changed_or_deleted",
        f"{S}/test_erasure.py::test_a_log_is_neither_changed_nor_deleted",
    ),
    "49 known answers and those of others reach no labeller": (
        f"{S}/test_addresses.py::test_who_is_let_in_sees_pages_that_change_nothing_and_run_nothing",
        f"{A}/test_api.py::test_others_answers_are_hidden_until_ones_own_is_in",
        f"{A}/test_pages_history.py::test_a_gold_item_looks_like_any_other",
    ),
    "50 what nobody sees in a text is told": (
        f"{S}/test_front_door.py::test_what_nobody_sees_in_a_text_is_told",
        f"{A}/test_pages_labelling.py::test_a_direction_override_ends_where_its_text_ends",
    ),
    "C1 a key that everybody knows": (
        "tests/test_settings.py::test_it_refuses_settings_that_cannot_work",
        "tests/test_settings.py::test_it_passes_djangos_own_deployment_check",
    ),
    "C2 filters that read other columns": (
        f"{S}/test_forms.py::test_no_page_breaks_on_a_parameter_or_looks_things_up_by_it",
        f"{A}/test_api.py::test_an_unknown_filter_is_named_with_those_that_there_are",
    ),
    "C3 look-ups whose names come from outside": (
        f"{S}/test_sinks.py::test_each_place_where_a_text_could_become_code_has_its_reason",
    ),
    "C4 scripts in imported data": (
        f"{B}/test_hostile_texts.py::test_no_page_runs_what_was_written",
    ),
    "C5 files that are shown as pages": (
        f"{S}/test_names.py::test_a_download_is_called_by_numbers",
        f"{A}/test_markdown.py::test_it_leaves_nothing_that_runs_or_loads",
    ),
    "C6 scripts in what models write": (
        f"{A}/test_markdown.py::test_an_answer_can_neither_run_nor_load_nor_lead_away",
    ),
    "C7 a sanitiser that some places do without": (
        f"{S}/test_sinks.py::test_each_place_where_a_text_could_become_code_has_its_reason",
    ),
    "C8 tokens that a page can read": (
        f"{T}/test_api_tokens.py::test_it_shows_a_token_once_and_keeps_its_hash",
    ),
    "C9 uploads that are served": (
        f"{A}/test_pages_imports.py"
        "::test_a_file_is_kept_as_it_was_sent_and_nothing_of_it_elsewhere",
    ),
    "C10 requests to addresses inside": (
        f"{T}/test_webhooks.py::test_a_name_that_leads_into_the_network_gets_nothing",
        f"{T}/test_webhooks.py::test_redirects_are_not_followed",
        f"{P}/test_external.py::test_it_refuses_addresses_that_may_not_be_asked",
    ),
    "C11 paths made of names": (
        f"{S}/test_names.py::test_a_name_is_kept_or_refused_and_leads_nowhere",
        f"{T}/test_deletions.py::test_nothing_outside_the_store_is_ever_removed",
    ),
    "C12 pickles and remote code": (
        f"{T}/test_services.py::test_it_refuses_a_base_that_is_not_safe",
        f"{S}/test_sinks.py::test_each_place_where_a_text_could_become_code_has_its_reason",
    ),
    "C13 objects of other projects": (
        f"{S}/test_addresses.py::test_objects_of_another_project_are_not_reached_through_ones_own",
    ),
    "C14 open registration, shipped accounts": (
        f"{A}/test_invitations.py::test_a_visitor_signs_up_by_a_link_and_only_by_one",
        "tests/test_demo.py::test_it_makes_nobody_with_a_public_password_outside_a_demo",
    ),
    "C15 bombs": (
        f"{A}/test_imports.py::test_junk_is_refused_in_words_and_leaves_nothing",
        f"{A}/test_imports.py::test_a_small_parquet_file_of_large_texts_is_never_whole_in_memory",
    ),
    "C16 a preview that runs what it is sent": (
        f"{A}/test_pages_guidelines.py::test_guidelines_are_previewed_before_anything_is_kept",
        f"{A}/test_pages_guidelines.py::test_guidelines_do_not_run_what_they_hold",
    ),
    "C17 the broker's password": (
        f"{S}/test_front_door.py::test_the_password_of_a_broker_that_is_away_is_told_nowhere",
    ),
}


@cache
def defined_in(path: str) -> set[str]:
    tree = ast.parse((Path(settings.BASE_DIR) / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_promise_has_tests_that_are_there() -> None:
    gone = [
        test
        for tests in PROMISES.values()
        for path, _, test in (one.partition("::") for one in tests)
        if test not in defined_in(path)
    ]
    assert not gone, "Name what holds these promises now, or write it."
