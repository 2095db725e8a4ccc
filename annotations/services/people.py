"""What a person sets for themselves."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from annotations.keys import check_bindings, own_keys
from annotations.models import User
from annotations.services.rules import ServiceError


@transaction.atomic
def change_keys(user: User, bindings: Mapping[str, str], *, sends_on_choice: bool) -> User:
    """Keep a person's own keys; what equals the keys of the page is not stored."""
    if errors := check_bindings(bindings):
        raise ServiceError(next(iter(errors.values())))
    user.keys, user.sends_on_choice = own_keys(bindings), sends_on_choice
    user.save(update_fields=["keys", "sends_on_choice"])
    return user


@transaction.atomic
def reset_keys(user: User) -> User:
    """Give a person the keys of the page again."""
    user.keys = {}
    user.save(update_fields=["keys"])
    return user
