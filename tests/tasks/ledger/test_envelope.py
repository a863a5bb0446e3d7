"""Every way in which signed bytes may be wrong has its own reason."""

import base64
import inspect
import json
import pickle
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from tasks.domain.errors import EvidenceError
from tasks.domain.frozen import canonical_json
from tasks.ledger import rejections
from tasks.ledger.envelope import Moment, Opened, sign_envelope, verify_envelope
from tasks.ledger.rejections import (
    BadBase64Error,
    BadSignatureError,
    DoubledSignatureError,
    EarlyKeyError,
    ExpiredKeyError,
    ExtraSignatureError,
    MalformedError,
    RevokedKeyError,
    TooLargeError,
    UnknownKeyError,
    UnsignedError,
    WrongKeyError,
    WrongTypeError,
)
from tasks.ledger.trust import KeyStanding, Trust

TYPE = "application/vnd.test+json"
SIGNER, OTHER, STRANGER = (CryptoSigner.generate_ed25519() for _ in range(3))
TRUST = Trust([SIGNER.public_key, OTHER.public_key])
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
GOOD = sign_envelope(b'{"a":1}', payload_type=TYPE, signer=SIGNER)
Change = Callable[[dict[str, Any]], Any]


def opened(data: bytes, trust: Trust = TRUST, **changes: Any) -> Opened:
    arguments: dict[str, Any] = {
        "payload_type": TYPE,
        "trust": trust,
        "dated": lambda _: Moment(NOON),
        "place": "object X",
    }
    return verify_envelope(data, **(arguments | changes))


def test_a_good_envelope_opens() -> None:
    assert opened(GOOD) == (b'{"a":1}', (SIGNER.public_key.keyid,))


def test_the_library_reads_what_is_written() -> None:
    envelope = Envelope.from_dict(json.loads(GOOD))
    assert envelope.verify([SIGNER.public_key], 1)


def row(signer: CryptoSigner, payload: bytes = b'{"a":1}') -> dict[str, str]:
    rows: list[dict[str, str]] = json.loads(
        sign_envelope(payload, payload_type=TYPE, signer=signer)
    )["signatures"]
    return rows[0]


def relabelled(signer: CryptoSigner, name: str) -> dict[str, str]:
    return {**row(signer), "keyid": name}


MINE = SIGNER.public_key.keyid
CHANGES: dict[str, tuple[type[EvidenceError], Change]] = {
    "other payload type": (WrongTypeError, lambda e: e | {"payloadType": "text/plain"}),
    "payload type no text": (WrongTypeError, lambda e: e | {"payloadType": 1}),
    "no signatures": (UnsignedError, lambda e: e | {"signatures": []}),
    "signatures no list": (MalformedError, lambda e: e | {"signatures": {}}),
    "signature no object": (MalformedError, lambda e: e | {"signatures": ["x"]}),
    "signature without key id": (MalformedError, lambda e: e | {"signatures": [{"sig": "AAAA"}]}),
    "key id no text": (MalformedError, lambda e: e | {"signatures": [{**row(SIGNER), "keyid": 1}]}),
    "too many signatures": (MalformedError, lambda e: e | {"signatures": [row(SIGNER)] * 17}),
    "only a stranger": (UnknownKeyError, lambda e: e | {"signatures": [row(STRANGER)]}),
    "a stranger beside": (
        ExtraSignatureError,
        lambda e: e | {"signatures": [row(SIGNER), row(STRANGER)]},
    ),
    "signed twice": (
        DoubledSignatureError,
        lambda e: e | {"signatures": [row(SIGNER), row(SIGNER)]},
    ),
    "another trusted key signed": (
        WrongKeyError,
        lambda e: e | {"signatures": [relabelled(OTHER, MINE)]},
    ),
    "a stranger signed": (
        BadSignatureError,
        lambda e: e | {"signatures": [relabelled(STRANGER, MINE)]},
    ),
    "other payload": (BadSignatureError, lambda e: e | {"payload": "eyJhIjoyfQ=="}),
    "second signature wrong": (
        BadSignatureError,
        lambda e: e | {"signatures": [row(SIGNER), row(OTHER, b"other")]},
    ),
    "payload not base64": (BadBase64Error, lambda e: e | {"payload": "%%%"}),
    "payload url-safe base64": (BadBase64Error, lambda e: e | {"payload": "__-_"}),
    "payload not padded": (BadBase64Error, lambda e: e | {"payload": "eyJhIjoxfQ="}),
    "payload with spare bits": (BadBase64Error, lambda e: e | {"payload": "eyJhIjoxfR=="}),
    "payload no text": (BadBase64Error, lambda e: e | {"payload": None}),
    "signature not base64": (
        BadBase64Error,
        lambda e: e | {"signatures": [{**row(SIGNER), "sig": "!"}]},
    ),
    "further field": (MalformedError, lambda e: e | {"more": 1}),
    "missing field": (MalformedError, lambda e: {"payload": e["payload"]}),
    "no object": (MalformedError, lambda e: [e]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_has_its_reason(name: str) -> None:
    expected, change = CHANGES[name]
    with pytest.raises(EvidenceError) as caught:
        opened(canonical_json(change(json.loads(GOOD))))
    assert type(caught.value) is expected
    assert "object X" in caught.value.message


BYTES: dict[str, bytes] = {
    "doubled key": GOOD.replace(b'{"payload":', b'{"payload":"","payload":'),
    "NaN": b'{"payload":NaN}',
    "infinity": b'{"payload":-Infinity}',
    "overflowing float": b'{"payload":1e999}',
    "huge integer": b'{"payload":' + b"9" * 100_000 + b"}",
    "deep": b"[" * 10_000 + b"]" * 10_000,
    "deep and open": b'{"a":' * 100_000,
    "spaces": GOOD.replace(b":", b": ", 1),
    "not UTF-8": b'{"payload":"\xff"}',
    "lone surrogate": b'{"payload":"\\ud800"}',
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "nothing": b"",
    "trailing bytes": GOOD + b"\n",
    "unending string": b'{"' + b"\\" * 1_000_001,
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_parsers_disagree_about_are_malformed(name: str) -> None:
    started = time.process_time()
    with pytest.raises(MalformedError):
        opened(BYTES[name])
    assert time.process_time() - started < 1


REASONS = {
    "doubled key": "the key 'payload' is given twice",
    "NaN": "NaN is not a JSON number",
    "overflowing float": "does not fit 64 bits",
    "huge integer": "an integer has 100000 digits",
    "deep": "nested deeper than 32",
    "deep and open": "nested deeper than 32",
    "spaces": "not in canonical form",
    "not UTF-8": "is not UTF-8",
}


@pytest.mark.parametrize("name", REASONS)
def test_malformed_bytes_are_told_apart(name: str) -> None:
    with pytest.raises(MalformedError, match=REASONS[name]):
        opened(BYTES[name])


def test_an_oversized_envelope_is_refused_without_being_read() -> None:
    data = b'{"payload":"' + b"A" * (4 << 20)
    tracemalloc.start()
    with pytest.raises(TooLargeError, match="4194316 bytes"):
        opened(data, most_bytes=1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def standing(**changes: Any) -> Trust:
    return Trust([SIGNER.public_key], [KeyStanding(keyid=MINE, **changes)])


EARLIER, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("trust", "expected"),
    [
        (standing(revoked=True), RevokedKeyError),
        (standing(revoked=True, not_after=LATER), RevokedKeyError),
        (standing(not_after=EARLIER), ExpiredKeyError),
        (standing(not_before=LATER), EarlyKeyError),
        (Trust([]), UnknownKeyError),
    ],
)
def test_a_key_out_of_force_has_its_reason(trust: Trust, expected: type[EvidenceError]) -> None:
    with pytest.raises(EvidenceError) as caught:
        opened(GOOD, trust)
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    "trust",
    [standing(), standing(not_before=EARLIER, not_after=LATER), standing(not_before=NOON)],
)
def test_a_key_in_force_counts(trust: Trust) -> None:
    assert opened(GOOD, trust).payload == b'{"a":1}'


def test_a_key_that_came_later_may_sign_what_is_dated_at_latest() -> None:
    trust = standing(not_before=LATER)
    assert opened(GOOD, trust, dated=lambda _: Moment(NOON, at_latest=True))


def test_ecdsa_signatures_count_too() -> None:
    signer = CryptoSigner.generate_ecdsa()
    data = sign_envelope(b"x", payload_type=TYPE, signer=signer)
    assert opened(data, Trust([signer.public_key])).payload == b"x"


@given(st.binary(max_size=200), st.data())
def test_no_changed_byte_passes(payload: bytes, data: st.DataObject) -> None:
    envelope = bytearray(sign_envelope(payload, payload_type=TYPE, signer=SIGNER))
    place = data.draw(st.integers(0, len(envelope) - 1))
    envelope[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EvidenceError):
        opened(bytes(envelope))


@given(st.binary(max_size=2000))
def test_any_payload_survives_the_round_trip(payload: bytes) -> None:
    data = sign_envelope(payload, payload_type=TYPE, signer=SIGNER)
    assert opened(data).payload == payload
    assert base64.b64decode(json.loads(data)["payload"]) == payload


def test_reasons_have_codes_of_their_own_and_survive_pickle() -> None:
    classes = [
        member
        for _, member in inspect.getmembers(rejections, inspect.isclass)
        if issubclass(member, EvidenceError)
    ]
    assert len({member.code for member in classes}) == len(classes)
    for member in classes:
        error = pickle.loads(pickle.dumps(member("what and where")))
        assert (type(error), error.message) == (member, "what and where")
