"""Words in the language of whoever looks. Every template knows these, and Django's `i18n`."""

from __future__ import annotations

from functools import cache
from typing import Any

from django import template
from django.conf import settings
from django.utils.translation import get_language, gettext, gettext_noop
from django.utils.translation.trans_real import DjangoTranslation

register = template.Library()

PASSED_ON = (
    # Who says a turn of a conversation; roles within a sentence; fields as `in_words` names them.
    gettext_noop("user"),
    gettext_noop("assistant"),
    gettext_noop("system"),
    gettext_noop("engineer"),
    gettext_noop("reviewer"),
    gettext_noop("labeller"),
    gettext_noop("Choice"),
    gettext_noop("Reason"),
    gettext_noop("Text"),
    gettext_noop("Decision"),
)
"""Words that templates pass to `translated` and that no form or model names so."""


@register.filter
def translated(words: str) -> str:
    """Return words that a template is given, such as the name of a kind of work, translated."""
    return gettext(words)


@register.simple_tag
def words_of_scripts() -> dict[str, str]:
    """Return what scripts say, by the English in which they say it; nothing for English."""
    return _words_of_scripts(get_language() or settings.LANGUAGE_CODE)


@cache
def _words_of_scripts(language: str) -> dict[str, str]:
    if language == settings.LANGUAGE_CODE:
        return {}
    folders = [str(folder) for folder in settings.LOCALE_PATHS]
    catalogue: Any = DjangoTranslation(language, domain="djangojs", localedirs=folders)
    return {
        english: said
        for english, said in catalogue._catalog.items()  # as Django's own view does
        if isinstance(english, str) and english
    }
