"""Dialects: what is sent is the protocol, what comes back is numbers or a clear error."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.domain.bundle import Endpoint, InputSpec, JsonMapping
from tasks.domain.errors import EndpointAnswerError
from tasks.targets.endpoint.dialects import decoded, encoded

URL = "https://models.example/infer"
V2 = Endpoint(url=URL)
JSON = Endpoint(
    url=URL,
    protocol="json",
    mapping=JsonMapping(inputs="data.rows", answers="result.0.list", each="scores", flat=True),
)
SPEC = InputSpec(shape=(2,))


def tensor(data: Any, shape: Any, name: str = "y") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": "FP32", "data": data}


def test_the_open_inference_protocol() -> None:
    body = json.loads(encoded(V2, SPEC, np.array([[0.1, 1], [2, 3]], np.float32)))
    (sent,) = body["inputs"]
    assert sent["shape"] == [2, 2]
    assert (sent["name"], sent["datatype"]) == ("input-0", "FP32")
    np.testing.assert_array_equal(np.float32(sent["data"]), np.array([0.1, 1, 2, 3], np.float32))
    answer = json.dumps({"outputs": [tensor([1, 2, 3, 4, 5, 6], [2, 3])]}).encode()
    np.testing.assert_array_equal(decoded(V2, answer, items=2), [[1, 2, 3], [4, 5, 6]])


def test_whole_inputs_travel_as_whole_numbers() -> None:
    body = json.loads(
        encoded(V2, InputSpec(shape=(2,), dtype="uint8"), np.array([[7, 255]], np.float32))
    )
    assert body["inputs"][0]["datatype"] == "UINT8"
    assert body["inputs"][0]["data"] == [7, 255]


def test_a_declared_mapping() -> None:
    body = json.loads(encoded(JSON, SPEC, np.array([[[1], [2]]], np.float32)))
    assert body == {"data": {"rows": [[1, 2]]}}
    answer = {"result": [{"list": [{"scores": [0.25, 0.75], "id": "x"}]}]}
    np.testing.assert_array_equal(
        decoded(JSON, json.dumps(answer).encode(), items=1), [[0.25, 0.75]]
    )


@given(hnp.arrays(np.float32, (3, 2), elements=st.floats(width=32, allow_nan=False)))
def test_every_number_survives_the_trip(inputs: Any) -> None:
    if not np.isfinite(inputs).all():
        return
    (sent,) = json.loads(encoded(V2, SPEC, inputs))["inputs"]
    answer = json.dumps({"outputs": [sent]}).encode()
    np.testing.assert_array_equal(decoded(V2, answer, items=3).astype(np.float32), inputs)


GARBAGE = {
    "empty": b"",
    "html": b"<html>502</html>",
    "cut short": b'{"outputs": [',
    "not text": bytes(range(256)),
    "deep": b"[" * 100_000,
    "long number": b'{"outputs":[{"shape":[1,1],"data":[' + b"1" * 5000 + b"]}]}",
    "no outputs": b"{}",
    "outputs no list": b'{"outputs": 3}',
    "no output": b'{"outputs": []}',
    "two outputs": json.dumps({"outputs": [tensor([1], [1, 1]), tensor([1], [1, 1])]}).encode(),
    "strings": json.dumps({"outputs": [tensor(["1.0"], [1, 1])]}).encode(),
    "null": json.dumps({"outputs": [tensor([None], [1, 1])]}).encode(),
    "true": json.dumps({"outputs": [tensor([True], [1, 1])]}).encode(),
    "objects": json.dumps({"outputs": [tensor([{}], [1, 1])]}).encode(),
    "ragged": json.dumps({"outputs": [tensor([[1], [1, 2]], [1, 3])]}).encode(),
    "no data": json.dumps({"outputs": [{"shape": [1, 1]}]}).encode(),
    "shape lies": json.dumps({"outputs": [tensor([1, 2], [1, 3])]}).encode(),
    "shape text": json.dumps({"outputs": [tensor([1], "x")]}).encode(),
    "negative shape": json.dumps({"outputs": [tensor([1], [-1, -1])]}).encode(),
    "other count": json.dumps({"outputs": [tensor([1, 2], [2, 1])]}).encode(),
    "scalar": json.dumps({"outputs": [tensor(1, [])]}).encode(),
    "huge whole": json.dumps({"outputs": [tensor([10**400], [1, 1])]}).encode(),
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_one_error(body: bytes) -> None:
    with pytest.raises(EndpointAnswerError):
        decoded(V2, body, items=1)


@given(st.binary(max_size=200))
def test_any_bytes_are_numbers_or_one_error(body: bytes) -> None:
    for endpoint in (V2, JSON):
        try:
            assert len(decoded(endpoint, body, items=2)) == 2
        except EndpointAnswerError:
            continue


LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["outputs", "shape", "data", "name"]), inner, max_size=4)
    ),
)


@given(TREES)
def test_any_json_is_numbers_or_one_error(document: Any) -> None:
    try:
        found = decoded(V2, json.dumps(document).encode(), items=1)
    except EndpointAnswerError:
        return
    assert found.dtype == np.float64


def test_not_a_number_is_told_apart_by_whoever_asked() -> None:
    body = b'{"outputs":[{"shape":[1,2],"data":[NaN,Infinity]}]}'
    assert not np.isfinite(decoded(V2, body, items=1)).any()
