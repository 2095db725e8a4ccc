"""Finding what tells who somebody is: addresses and numbers that have a form of their own.

Names and postal addresses have none, and are not found.
"""

from __future__ import annotations

import re

MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
PHONE = re.compile(
    r"(?<![\w+])(?:"
    r"\+\d(?:[ ().-]{0,2}\d){7,14}"  # international
    r"|(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"  # as in North America
    r")(?!\d)"
)
SOCIAL_SECURITY = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
SHORTEST_ACCOUNT = 15


def personal_data(text: str) -> set[str]:
    """Return what of somebody a text seems to tell; nothing where it tells nothing.

    Numbers of cards and accounts count only with the right check digits, so that few other numbers
    are taken for one.

    >>> sorted(personal_data("Ask ann@example.org or +44 20 7946 0958."))
    ['mail address', 'phone number']
    >>> personal_data("Pay with 4111 1111 1111 1111"), personal_data("or with 4111 1111 1111 1112")
    ({'card number'}, set())
    >>> personal_data("DE89 3704 0044 0532 0130 00"), personal_data("078-05-1120")
    ({'bank account'}, {'social security number'})
    >>> personal_data("In 2024 @ 12:30, 3.14159 and 1-2-3.")
    set()
    """
    found = {
        "mail address": MAIL.search(text),
        "phone number": PHONE.search(text),
        "social security number": SOCIAL_SECURITY.search(text),
        "card number": any(_is_card(one.group()) for one in CARD.finditer(text)),
        "bank account": any(_is_account(one.group()) for one in ACCOUNT.finditer(text)),
    }
    return {name for name, is_there in found.items() if is_there}


def _is_card(number: str) -> bool:
    """Return whether the check digit is right, by Luhn's rule."""
    digits = [int(one) for one in number if one.isdigit()][::-1]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return any(digits) and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_account(number: str) -> bool:
    """Return whether the check digits are right (ISO 13616); words may stand behind the number."""
    plain = number.replace(" ", "")
    return any(
        int("".join(str(int(one, 36)) for one in plain[4:end] + plain[:4])) % 97 == 1
        for end in range(SHORTEST_ACCOUNT, len(plain) + 1)
    )
