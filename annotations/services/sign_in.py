"""How often somebody may try to sign in: failed attempts are counted by name and by address.

The limits are chosen so that guessing is hopeless and nobody can lock somebody else out: a name is
closed to everybody only where its owner never signed in from, and everything opens by itself.
"""

from __future__ import annotations

import ipaddress
import logging
import unicodedata
from datetime import timedelta

from django.contrib.sessions.models import Session
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy

from annotations.models.sign_in import SignInAttempt
from annotations.services.rules import ServiceError

logger = logging.getLogger(__name__)

WINDOW = timedelta(minutes=15)
MOST_OF_NAME_HERE = 8
"""Failures of one name at one address within the window."""
MOST_HERE = 200
"""Failures at one address within the window, whatever the name: an office is one address, and those
who sign in at this moment count until they are in."""
NAME_WINDOW = timedelta(hours=1)
MOST_OF_NAME = 50
"""Failures of one name anywhere, where nobody ever signed in by it."""
FAILURES_KEPT = timedelta(days=1)
SUCCESSES_KEPT = timedelta(days=30)
SESSIONS_AT_ONCE = 1000
"""So many that are over one sign-in deletes: many may have gathered before anybody deleted them."""

LONGEST_NAME = 150

RETRY_SECONDS = int(WINDOW.total_seconds())
WAIT = gettext_lazy(
    "That was tried too often. Wait a quarter of an hour, then try again; who runs this site can "
    "set a new password."
)


class TooManyAttempts(ServiceError):
    """Nothing was tried: it has to wait."""


def admit(name: str, address: str) -> SignInAttempt:
    """Count one attempt and return it, or raise TooManyAttempts.

    It counts before anything is checked, so that many at once are not one. Names that nobody has
    are counted like others: the answer does not tell which there are.
    """
    _forget_old()
    attempt = SignInAttempt.objects.create(
        name_digest=_digest("name", one_spelling(name)),
        address_digest=_digest("address", network_of(address)),
    )
    if _is_over(attempt):
        attempt.delete()
        logger.warning("Signing in was tried too often from %s", address)
        raise TooManyAttempts(str(WAIT))
    return attempt


def succeed(attempt: SignInAttempt) -> None:
    """Write down that an attempt succeeded, and forget the failed ones before it."""
    mine = Q(name_digest=attempt.name_digest, address_digest=attempt.address_digest)
    SignInAttempt.objects.filter(mine).exclude(id=attempt.pk).delete()
    SignInAttempt.objects.filter(id=attempt.pk).update(succeeded=True)


def forget_name(name: str) -> None:
    """Delete what is kept of attempts with a name."""
    digest = _digest("name", one_spelling(name))
    SignInAttempt.objects.filter(name_digest=digest).delete()


def one_spelling(name: str) -> str:
    """Return what counts as one name: the form signs in by NFKC, so each name has many spellings.

    What is longer than any name is cut: it can't sign in, and may be megabytes.

    >>> one_spelling(" ｂob") == one_spelling("𝐁ob") == one_spelling("bob")
    True
    """
    return unicodedata.normalize("NFKC", name.strip()[: LONGEST_NAME + 1]).casefold()


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the network, of which one machine has all.

    >>> network_of("192.0.2.7"), network_of("2001:db8:1:2:3:4:5:6"), network_of("")
    ('192.0.2.7', '2001:db8:1:2::', '')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False).network_address)


def _is_over(attempt: SignInAttempt) -> bool:
    """Say whether there were too many before this one; those at the same time have an order."""
    failed = SignInAttempt.objects.filter(succeeded=False, id__lt=attempt.pk)
    of_name, here = Q(name_digest=attempt.name_digest), Q(address_digest=attempt.address_digest)
    lately = Q(created_at__gt=Now() - WINDOW)
    if failed.filter(of_name, here, lately).count() >= MOST_OF_NAME_HERE:
        return True
    if failed.filter(here, lately).count() >= MOST_HERE:
        return True
    anywhere = failed.filter(of_name, created_at__gt=Now() - NAME_WINDOW)
    if anywhere.count() < MOST_OF_NAME:
        return False
    return not SignInAttempt.objects.filter(of_name, here, succeeded=True).exists()


def _forget_old() -> None:
    """Delete attempts that count no more, and sessions that are over: nobody else does."""
    over = Session.objects.filter(expire_date__lt=Now()).order_by("expire_date").values("pk")
    Session.objects.filter(pk__in=over[:SESSIONS_AT_ONCE]).delete()
    old = Q(succeeded=False, created_at__lt=Now() - FAILURES_KEPT)
    SignInAttempt.objects.filter(old | Q(created_at__lt=Now() - SUCCESSES_KEPT)).delete()


def _digest(what: str, value: str) -> str:
    return salted_hmac(f"annotations.sign_in.{what}", value, algorithm="sha256").hexdigest()
