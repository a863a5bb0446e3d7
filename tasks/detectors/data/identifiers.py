"""What a value must look like to point at a person: patterns with checksums where there are any.

A pattern alone is a guess, so whatever has a check digit or a numbering plan must satisfy it. Names
of people have no pattern; they are known by their column (see ``identifier_scan``).

Sources: ISO 13616 (IBAN), ISO/IEC 7812-1 annex B (Luhn), ITU-T E.164, RFC 5321, RFC 791 and 4291,
SSA POMS RM 10201.035 (numbers never given out).
"""

import ipaddress
import re
from collections.abc import Callable

LONGEST_CELL = 20_000
"""Longer texts are cut here, so that no pattern can be made to run for long."""

_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9_.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"
)
_PHONE = re.compile(
    r"(?<![\w+.])(?:\+[1-9]\d{0,2}(?:[ .()/-]{0,2}\d){7,13}"
    r"|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})(?![\w-])"
)
_IBAN = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Z0-9])")
_CARD = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-])")
_SSN = re.compile(r"(?<![\d-])(\d{3})-(\d{2})-(\d{4})(?![\d-])")
_IP = re.compile(
    r"(?<![\w.:])(?:(?:\d{1,3}\.){3}\d{1,3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4})(?![\w.:])"
)
_IBAN_LENGTHS = {
    "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26,
    "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15,
    "PL": 28, "PT": 25, "RO": 24, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "TR": 26, "AE": 23,
}  # fmt: skip


def identifiers_in(text: str) -> set[str]:
    """Returns which kinds of direct identifier a text holds.

    Kinds: ``email``, ``phone``, ``iban``, ``card``, ``ssn``, ``ip``.
    """
    cut = text[:LONGEST_CELL]
    return {kind for kind, looks in _LOOKS.items() if looks(cut)}


def is_luhn(digits: str) -> bool:
    """Answers whether the last digit is the check digit of the others (mod 10)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Answers whether digits have a card's length, issuer and check digit."""
    issuer = int(digits[:4])
    known = (
        (digits[0] == "4" and len(digits) in {13, 16, 19})
        or ((5100 <= issuer <= 5599 or 2221 <= issuer <= 2720) and len(digits) == 16)
        or (digits[:2] in {"34", "37"} and len(digits) == 15)
        or ((digits[:4] == "6011" or digits[:2] == "65") and len(digits) == 16)
        or (3528 <= issuer <= 3589 and len(digits) == 16)
        or (digits[:2] in {"36", "38", "30"} and len(digits) == 14)
    )
    return known and len(set(digits)) > 1 and is_luhn(digits)


def is_iban(text: str) -> bool:
    """Answers whether a text is an account number whose remainder is 1 (mod 97)."""
    plain = text.replace(" ", "")
    if len(plain) != _IBAN_LENGTHS.get(plain[:2], -1):
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def _cards(text: str) -> bool:
    return any(is_card(re.sub(r"[ -]", "", found.group())) for found in _CARD.finditer(text))


def _ibans(text: str) -> bool:
    # Words behind a number may look like more of it, so shorter readings are tried too.
    return any(
        is_iban(found.group().replace(" ", "")[: _IBAN_LENGTHS.get(found.group()[:2], 0)])
        for found in _IBAN.finditer(text)
    )


def _ssns(text: str) -> bool:
    return any(
        area not in {"000", "666"} and area < "900" and group != "00" and serial != "0000"
        for area, group, serial in _SSN.findall(text)
    )


def _ips(text: str) -> bool:
    return any(_is_public_address(found.group()) for found in _IP.finditer(text))


def _is_public_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # Private, loopback and documentation addresses point at nobody.
    return address.is_global and not text.endswith((".0", "::"))


_LOOKS: dict[str, Callable[[str], bool]] = {
    "email": lambda text: "@" in text and bool(_EMAIL.search(text)),
    "phone": lambda text: bool(_PHONE.search(text)),
    "iban": _ibans,
    "card": _cards,
    "ssn": _ssns,
    "ip": _ips,
}
