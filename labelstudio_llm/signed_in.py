"""Who a request comes from, found by two statements that are put together once.

Otherwise Django's own: sessions lie in the database, passwords are checked by its backend.
"""

from __future__ import annotations

from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from annotations.models import User
from annotations.prepared import Prepared

_SESSION = Prepared(
    lambda *, key, now: Session.objects.filter(session_key=key, expire_date__gt=now), "key", "now"
)
_USER = Prepared(lambda *, person: User.objects.filter(id=person), "person")


class SessionStore(db.SessionStore):
    """Sessions in the database."""

    def _get_session_from_db(self) -> Session | None:
        key = self.session_key or ""
        # A cookie in quotes may hold a NUL, for which PostgreSQL can't even be asked.
        session = None if "\0" in key else _SESSION.first(key=key, now=timezone.now())
        if session is None:
            self._session_key = None
        return session

    def save(self, must_create: bool = False) -> None:
        """Keep the session. Django takes a database that cannot for a session that has ended."""
        try:
            super().save(must_create)
        except UpdateError as error:
            if isinstance(error.__context__, OperationalError | InterfaceError):
                raise error.__context__ from None
            raise


class Backend(ModelBackend):
    """People with a name and a password."""

    def get_user(self, user_id: int) -> User | None:
        user = _USER.first(person=user_id)
        return user if user is not None and self.user_can_authenticate(user) else None
