"""Codes that people show beside their password: set up, checked, taken away."""

from __future__ import annotations

import secrets
import time

import pyotp
from django.contrib.auth.hashers import check_password
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotations import secrecy
from annotations.models import RecoveryCode, TwoFactor, User
from annotations.services.rules import ServiceError
from annotations.services.sign_in import admit, succeed

USE = "annotations.two_factor"
SITE = "labelstudio-llm"
STEP_SECONDS = 30
STEPS_AROUND = 1
"""Clocks differ: the code before and the code after are taken, too."""
RECOVERY_CODES = 10
RECOVERY_BYTES = 10
WRONG = gettext_lazy(
    "That is not the code of this moment. Wait for the next one in your app, and check that the "
    "clock of your phone is right."
)
NOT_YOUR_PASSWORD = gettext_lazy("That is not your password. Nothing was changed; try again.")


def asks_for_code(user: User) -> bool:
    """Say whether a person signs in with a code, too."""
    return TwoFactor.objects.filter(user=user, confirmed_at__isnull=False).exists()


def check_it_is(user: User, password: str, address: str) -> None:
    """Raise ServiceError unless the password is the person's: a found session changes nothing."""
    attempt = admit(user.username, address)
    if not check_password(password, user.password):
        raise ServiceError(str(NOT_YOUR_PASSWORD))
    succeed(attempt)


@transaction.atomic
def begin_two_factor(user: User) -> None:
    """Make a secret for a person's app; it counts once they have shown a code of it."""
    if asks_for_code(user):
        raise ServiceError(_("Codes are on already. Turn them off first to use another app."))
    encrypted = secrecy.encrypt(pyotp.random_base32(), use=USE)
    TwoFactor.objects.update_or_create(user=user, defaults={"encrypted_secret": encrypted})


def secret_of(user: User) -> str:
    """Return the secret that waits to be confirmed, or nothing."""
    begun = TwoFactor.objects.filter(user=user, confirmed_at=None).first()
    return _secret(begun) if begun else ""


def address_for_app(user: User, secret: str) -> str:
    """Return what an app reads from a picture."""
    return pyotp.TOTP(secret).provisioning_uri(name=user.username, issuer_name=SITE)


@transaction.atomic
def confirm_two_factor(user: User, code: str) -> list[str]:
    """Ask for codes from now on. Return the recovery codes, which nobody can be shown again."""
    begun = TwoFactor.objects.select_for_update().filter(user=user, confirmed_at=None).first()
    if begun is None:
        raise ServiceError(_("Nothing was begun here. Begin again."))
    if not _take(begun, code):
        raise ServiceError(str(WRONG))
    TwoFactor.objects.filter(user=user).update(confirmed_at=timezone.now())
    return new_recovery_codes(user)


@transaction.atomic
def new_recovery_codes(user: User) -> list[str]:
    """Make recovery codes; those before let nobody in any more."""
    RecoveryCode.objects.filter(user=user).delete()
    codes = [secrets.token_hex(RECOVERY_BYTES) for _ in range(RECOVERY_CODES)]
    key = secrecy.keys_in_force()[0]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(user=user, digest=_digest(user, code, key)) for code in codes
    )
    return ["-".join(code[start : start + 5] for start in range(0, 20, 5)) for code in codes]


@transaction.atomic
def end_two_factor(user: User) -> None:
    """Ask for no codes any more. Twice is once."""
    RecoveryCode.objects.filter(user=user).delete()
    TwoFactor.objects.filter(user=user).delete()


@transaction.atomic
def renew_two_factor() -> tuple[int, int]:
    """Encrypt the secrets of apps under SECRET_KEY. Return how many, and how many nobody reads."""
    renewed = lost = 0
    for one in TwoFactor.objects.select_for_update().order_by("pk"):
        try:
            one.encrypted_secret = secrecy.renew(one.encrypted_secret, use=USE)
        except secrecy.SecretLost:
            lost += 1
        else:
            one.save(update_fields=["encrypted_secret"])
            renewed += 1
    return renewed, lost


def check_code(user: User, code: str, address: str) -> None:
    """Take a code of the app, or a recovery code; each lets in once. Else raise ServiceError.

    How often it may be tried is counted by person and address, as with passwords.
    """
    attempt = admit(f"code:{user.pk}", address)
    found = TwoFactor.objects.filter(user=user, confirmed_at__isnull=False).first()
    if found is None or not (_take(found, code) or _take_recovery(user, code)):
        raise ServiceError(str(WRONG))
    succeed(attempt)


def _take(two_factor: TwoFactor, code: str) -> bool:
    """Say whether a code is right and was not taken before, and take it."""
    code = code.replace(" ", "")
    totp = pyotp.TOTP(_secret(two_factor))
    now = int(time.time()) // STEP_SECONDS
    for step in range(now - STEPS_AROUND, now + STEPS_AROUND + 1):
        expected = totp.generate_otp(step)
        if code.isascii() and secrets.compare_digest(expected, code):
            fresh = TwoFactor.objects.filter(user=two_factor.user_id, last_step__lt=step)
            return fresh.update(last_step=step) == 1
    return False


def _take_recovery(user: User, code: str) -> bool:
    code = code.replace("-", "").replace(" ", "").lower()
    digests = [_digest(user, code, key) for key in secrecy.keys_in_force()]
    deleted, _ = RecoveryCode.objects.filter(user=user, digest__in=digests).delete()
    return deleted == 1


def _secret(two_factor: TwoFactor) -> str:
    try:
        return secrecy.decrypt(two_factor.encrypted_secret, use=USE)
    except secrecy.SecretLost:
        raise ServiceError(
            _(
                "The codes of this account can't be checked any more, because SECRET_KEY has "
                "changed. Ask the operator to run `manage.py reset_two_factor`."
            )
        ) from None


def _digest(user: User, code: str, key: str) -> str:
    return salted_hmac(f"{USE}.{user.pk}", code, secret=key, algorithm="sha256").hexdigest()
