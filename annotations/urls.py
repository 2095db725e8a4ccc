"""Addresses of this app."""

from __future__ import annotations

from django.urls import path

from annotations.views import (
    accounts,
    agreement,
    converse,
    guideline_cases,
    guideline_editor,
    guidelines,
    history,
    invitations,
    own_data,
    own_prompt,
    pay,
    people,
    projects,
    prompts,
    qualification,
    quality,
    queue,
    rating_schemes,
    reask,
    tickets,
)

app_name = "annotations"

urlpatterns = [
    path("", projects.home, name="home"),
    path("sign-in/", accounts.sign_in, name="sign_in"),
    path("sign-in/demo/", accounts.sign_in_as_demo_person, name="sign_in_as_demo_person"),
    path("sign-out/", accounts.sign_out, name="sign_out"),
    path("account/", accounts.account, name="account"),
    path("account/data/", own_data.own_data, name="own_data"),
    path("account/data/my-data.json", own_data.own_data_file, name="own_data_file"),
    path("projects/new/", projects.create_project, name="create_project"),
    path("projects/<int:project_id>/", projects.project, name="project"),
    path("projects/<int:project_id>/settings/", projects.settings, name="settings"),
    path("projects/<int:project_id>/members/", projects.members, name="members"),
    path(
        "projects/<int:project_id>/members/<int:membership_id>/",
        projects.change_membership,
        name="change_membership",
    ),
    path("projects/<int:project_id>/guidelines/", guidelines.guidelines, name="guidelines"),
    path(
        "projects/<int:project_id>/guidelines/<str:kind>/", guidelines.guideline, name="guideline"
    ),
    path(
        "projects/<int:project_id>/guidelines/<str:kind>/edit/",
        guideline_editor.edit_guideline,
        name="edit_guideline",
    ),
    path(
        "projects/<int:project_id>/guidelines/<str:kind>/draft/",
        guideline_editor.save_draft,
        name="guideline_draft",
    ),
    path(
        "projects/<int:project_id>/guidelines/<str:kind>/cases/",
        guideline_cases.guideline_cases,
        name="guideline_cases",
    ),
    path(
        "projects/<int:project_id>/guidelines/<str:kind>/cases/gold/",
        guideline_cases.make_gold_of_cases,
        name="make_gold_of_cases",
    ),
    path(
        "projects/<int:project_id>/guidelines/<str:kind>/compare/",
        guidelines.compare_guidelines,
        name="compare_guidelines",
    ),
    path(
        "projects/<int:project_id>/guidelines/comparison/again/",
        reask.ask_again,
        name="ask_comparisons_again",
    ),
    path("projects/<int:project_id>/prompts/", prompts.prompts, name="prompts"),
    path("projects/<int:project_id>/prompts/own/", own_prompt.own_prompt, name="own_prompt"),
    path(
        "projects/<int:project_id>/conversations/start/",
        converse.start_conversation,
        name="start_conversation",
    ),
    path("projects/<int:project_id>/questions/", rating_schemes.questions, name="questions"),
    path("projects/<int:project_id>/import/", quality.import_preferences, name="import"),
    path("projects/<int:project_id>/invitations/", invitations.invitations, name="invitations"),
    path(
        "projects/<int:project_id>/invitations/<int:invitation_id>/revoke/",
        invitations.revoke,
        name="revoke_invitation",
    ),
    path("projects/<int:project_id>/access/", qualification.access_rules, name="access_rules"),
    path(
        "projects/<int:project_id>/groups/<int:group_id>/delete/",
        qualification.delete_group,
        name="delete_group",
    ),
    path(
        "projects/<int:project_id>/access/<str:kind>/practice/",
        qualification.practice_items,
        name="practice_items",
    ),
    path("projects/<int:project_id>/qualify/<str:kind>/", qualification.qualify, name="qualify"),
    path(
        "projects/<int:project_id>/qualify/<str:kind>/test/",
        qualification.begin_test,
        name="begin_test",
    ),
    path(
        "projects/<int:project_id>/qualify/<str:kind>/answer/",
        qualification.answer,
        name="qualify_answer",
    ),
    path("invitations/<str:secret>/", invitations.invitation, name="invitation"),
    path("projects/<int:project_id>/rest/", invitations.rest, name="rest"),
    path("projects/<int:project_id>/leave/", invitations.leave, name="leave"),
    path("projects/<int:project_id>/people/<int:user_id>/", people.person, name="person"),
    path(
        "projects/<int:project_id>/people/<int:user_id>/notes/",
        people.write_note,
        name="write_note",
    ),
    path(
        "projects/<int:project_id>/people/<int:user_id>/held-out/",
        people.hold_out,
        name="hold_out",
    ),
    path("notes/<int:note_id>/read/", people.read_note, name="read_note"),
    path("projects/<int:project_id>/pay/", pay.pay, name="pay"),
    path("projects/<int:project_id>/pay/statements.csv", pay.statements_file, name="pay_file"),
    path("projects/<int:project_id>/pay/people/<int:user_id>/", pay.statement, name="statement"),
    path(
        "projects/<int:project_id>/pay/people/<int:user_id>/entries.csv",
        pay.entries_file,
        name="statement_file",
    ),
    path(
        "projects/<int:project_id>/pay/people/<int:user_id>/adjust/", pay.adjust, name="adjust_pay"
    ),
    path("projects/<int:project_id>/agreement/", agreement.agreement, name="agreement"),
    path(
        "projects/<int:project_id>/agreement/table.csv",
        agreement.agreement_as_csv,
        name="agreement_as_csv",
    ),
    path("projects/<int:project_id>/start/", queue.start, name="start"),
    path("projects/<int:project_id>/done/", queue.done, name="done"),
    path("assignments/<int:assignment_id>/", queue.assignment, name="assignment"),
    path("assignments/<int:assignment_id>/submit/", queue.submit, name="submit"),
    path("assignments/<int:assignment_id>/skip/", queue.skip, name="skip"),
    path("assignments/<int:assignment_id>/draft/", queue.save_draft, name="draft"),
    path("assignments/<int:assignment_id>/replies/", converse.replies, name="replies"),
    path("assignments/<int:assignment_id>/undo/", queue.undo, name="undo"),
    path("assignments/<int:assignment_id>/correct/", queue.correct, name="correct"),
    path(
        "assignments/<int:assignment_id>/correct/discard/",
        queue.discard_correction,
        name="discard_correction",
    ),
    path(
        "assignments/<int:assignment_id>/history/",
        history.assignment_history,
        name="assignment_history",
    ),
    path("projects/<int:project_id>/history/", history.history, name="history"),
    path("items/<int:item_id>/", history.item, name="item"),
    path("items/<int:item_id>/gold/", history.make_gold, name="make_gold"),
    path("assignments/<int:assignment_id>/report/", tickets.report_shown, name="report_shown"),
    path(
        "completions/<int:completion_id>/report/",
        tickets.report_completion,
        name="report_completion",
    ),
    path("projects/<int:project_id>/tickets/", tickets.tickets, name="tickets"),
    path("tickets/<int:ticket_id>/", tickets.ticket, name="ticket"),
    path("tickets/<int:ticket_id>/rewrite/", tickets.ask_for_rewrite, name="ask_for_rewrite"),
    path("tickets/<int:ticket_id>/check/", tickets.change_check, name="change_check"),
    path("tickets/<int:ticket_id>/dismiss/", tickets.dismiss, name="dismiss_ticket"),
    path("tickets/<int:ticket_id>/again/", tickets.take_up_again, name="take_up_ticket"),
    path("guidelines/<int:version_id>/acknowledge/", history.acknowledge, name="acknowledge"),
]
