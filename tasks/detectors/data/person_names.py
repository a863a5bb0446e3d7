"""Full names of people in free text: by what stands before them, or by a common given name.

A list of names and cues, not a language model: the recognisers that read language need models of
hundreds of megabytes that do not come with their packages. So a name is found when a title or an
introduction announces it, or when a common given name is followed by another capitalised word.
Single given names are no identifiers and are not looked for. Measured recall and false alarms are
in the check's blind spots; ``tests/tasks/detectors/data/names_sample.json`` is the sample.
"""

import functools
import re
import tomllib
from pathlib import Path

_WORD = r"[A-ZÀ-ÖØ-ÞŁŚŻŠČŽŞĞİĆŘŹĐ][a-zà-öø-ÿłńśżźćęąšžčğışřěđ]+(?:['-][A-ZÀ-ÖØ-Þ]?[a-zà-öø-ÿ]+)?"
_FAMILY = rf"(?:(?:O'|Mc|Mac|D')?{_WORD})"
_PARTICLE = (
    r"(?:(?:van|von|de|da|do|dos|del|della|di|du|la|le|der|den|ten|ter|bin|ibn|al|el|zu) ){0,2}"
)
_FULL = rf"({_WORD}) (?:[A-Z]\. ?){{0,2}}{_PARTICLE}({_FAMILY})"
_TITLED = re.compile(
    r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Herrn?|Frau|Mme|Mlle|Monsieur|Madame|Sra?|Señora?|Signora?|Dott)"
    rf"\b\.? (?:(?:Dr|Prof|med)\.? ){{0,2}}(?:[A-Z]\. ?)?({_FAMILY})"
)
_CUES = (
    "my name is|mein name ist|ich hei(?:ß|ss)e|je m'appelle|me llamo|mi chiamo|i am|i'm",
    "this is|named|called|name ?:|signed(?: by)?|sincerely,?|regards,?|dear|patient|customer",
    "client|contact ?:?|employee|attn:?|from ?:|insured|tenant|student|nurse|passenger|applicant",
)
_INTRODUCED = re.compile(rf"\b(?i:{'|'.join(_CUES)})\s+{_FULL}")
_PAIR = re.compile(rf"(?<![\w'-]){_FULL}")
LONGEST_TEXT = 20_000


def has_person_name(text: str) -> bool:
    """Answers whether a text seems to hold a title with a family name, or a full name."""
    cut = " ".join(text[:LONGEST_TEXT].replace("\u2019", "'").split())
    if " " not in cut:
        return False
    return _is_titled(cut) or _is_introduced(cut) or _is_common(cut)


def _is_titled(text: str) -> bool:
    return any(found.group(1) not in _words("never_names") for found in _TITLED.finditer(text))


def _is_introduced(text: str) -> bool:
    return any(
        not {found.group(1), found.group(2)} & _words("never_names")
        for found in _INTRODUCED.finditer(text)
    )


def _is_common(text: str) -> bool:
    return any(_is_person(*found.groups()) for found in _pairs(text))


def _pairs(text: str) -> list[re.Match[str]]:
    """Returns capitalised pairs, also those that begin inside another one."""
    found, at = [], 0
    while (pair := _PAIR.search(text, at)) is not None:
        found.append(pair)
        at = pair.start(2)
    return found


def _is_person(given: str, family: str) -> bool:
    first = given.partition("-")[0]
    return first in _words("given") and family not in _words("never_names")


@functools.cache
def _words(kind: str) -> frozenset[str]:
    """Returns the words of one list of ``given_names.toml``."""
    document = tomllib.loads(Path(__file__).with_name("given_names.toml").read_text("utf-8"))
    lists = document[kind]
    lines = lists.values() if isinstance(lists, dict) else [lists]
    return frozenset(word for line in lines for word in line.split())
