"""Which language a page is in: as whoever looks has chosen it, or as their browser asks.

A page is in one language from top to bottom. Those that labellers meet are translated; every
other page, files, the API and the admin stay in English, and pages say so in their `lang`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

TRANSLATED = {
    f"annotations:{name}"
    for name in (
        "home",
        "sign_in",
        "sign_in_as_demo_person",
        "sign_in_code",
        "two_factor",
        "password",
        "sign_out",
        "account",
        "invitation",
        "project",
        "rest",
        "leave",
        "read_note",
        "guidelines",
        "guideline",
        "compare_guidelines",
        "acknowledge",
        "own_prompt",
        "start_conversation",
        "start",
        "done",
        "assignment",
        "submit",
        "skip",
        "draft",
        "replies",
        "undo",
        "correct",
        "discard_correction",
        "report_shown",
        "history",
        "assignment_history",
        "qualify",
        "begin_test",
        "qualify_answer",
        "own_data",
    )
} | {
    f"training:{name}"
    for name in (
        "arena",
        "battle",
        "write_battle",
        "vote",
        "take_back_vote",
        "say_in_battle",
        "praise_in_battle",
        "report_in_battle",
        "api_tokens",
        "revoke_api_token",
        "erase_me",
    )
}
"""What is answered in the language of whoever looks. An address that is in no list answers with a
page that is not found, which is translated."""

OF_ONESELF = {
    f"annotations:{name}"
    for name in ("person", "statement", "decide_kind", "hold_out", "adjust_pay")
}
"""Translated where somebody looks at their own; an owner reads about others in English."""


class LanguageMiddleware(LocaleMiddleware):
    """Django's, but that a page which is not translated is in English, its errors too."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> None:
        match = request.resolver_match
        name = match.view_name if match else ""
        own = name in OF_ONESELF and kwargs.get("user_id") == request.user.pk
        if not own and name not in TRANSLATED:
            translation.activate(settings.LANGUAGE_CODE)
