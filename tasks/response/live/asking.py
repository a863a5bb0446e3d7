"""A caller of the gateway, as any customer's program would be: HTTP, JSON and an API key."""

import http.client
import json
from typing import NamedTuple

import numpy as np

from tasks.domain.errors import GatewayUnavailableError
from tasks.sandbox.protocol import Array

TIMEOUT_SECONDS = 30.0
ANSWERED = 200


class Said(NamedTuple):
    """One response: its status, and what was shown of an answer."""

    status: int
    reason: str = ""
    labels: Array | None = None
    """(items, shown) classes, the likeliest first."""
    probabilities: Array | None = None
    """(items, shown), of those classes; None where only labels are shown."""
    version: str = ""
    """The run that let the model in which answered."""

    @property
    def answered(self) -> bool:
        """Whether the model's answer came."""
        return self.status == ANSWERED

    def beliefs(self, classes: int) -> Array:
        """Returns what the caller may believe (items, classes), rows summing to one.

        What was not shown is spread evenly over the classes that were not.
        """
        assert self.labels is not None, "only answers are believed"
        shown = np.ones_like(self.labels, float) if self.probabilities is None else (
            np.clip(self.probabilities, 0, 1)
        )  # fmt: skip
        items, count = self.labels.shape
        rest = np.clip(1 - shown.sum(axis=1, keepdims=True), 0, 1)
        spread = np.repeat(rest / max(1, classes - count), classes, axis=1)
        np.put_along_axis(spread, self.labels, shown, axis=1)
        total = spread.sum(axis=1, keepdims=True)
        # Rounded to nothing, an answer still names its class.
        certain = np.eye(classes)[self.labels[:, 0]]
        told = np.where(total > 0, spread / np.where(total > 0, total, 1), certain)
        return told.astype(np.float32).reshape(items, classes)


class Line:
    """One account's line to a gateway on this machine; not for several threads at a time.

    Args:
        port: On loopback.
        model: Its name in addresses.
        account: Who asks.
        key: With what.
    """

    def __init__(self, port: int, model: str, account: str, key: str) -> None:
        self._port, self._model, self.account, self.key = port, model, account, key
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, inputs: Array) -> Said:
        """Asks about inputs (n, …).

        Raises:
            GatewayUnavailableError: There is no gateway that speaks.
        """
        tensor = {
            "name": "input-0", "shape": list(inputs.shape), "datatype": "FP32",
            "data": inputs.reshape(-1).astype(float).tolist(),
        }  # fmt: skip
        body = json.dumps({"inputs": [tensor]}).encode()
        try:
            return self._said(body)
        except (OSError, http.client.HTTPException):
            self.close()  # a line that was idle too long is hung up; the second try is a new one
        try:
            return self._said(body)
        except (OSError, http.client.HTTPException) as error:
            raise GatewayUnavailableError(
                f"the drill's gateway does not answer: {error}"
            ) from error

    def close(self) -> None:
        """Hangs up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _said(self, body: bytes) -> Said:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=TIMEOUT_SECONDS
            )
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        self._connection.request("POST", f"/v2/models/{self._model}/infer", body, headers)
        response = self._connection.getresponse()
        document = json.loads(response.read() or b"{}")
        if response.status != ANSWERED:
            return Said(response.status, str(document.get("reason", "")))
        tensors = {each["name"]: _array(each) for each in document["outputs"]}
        return Said(
            ANSWERED, labels=tensors["labels"].astype(np.int64),
            probabilities=tensors.get("probabilities"),
            version=str(document.get("model_version", "")),
        )  # fmt: skip


def _array(tensor: dict[str, object]) -> Array:
    shape = tensor["shape"]
    assert isinstance(shape, list), "our own gateway says shapes"
    return np.array(tensor["data"], float).reshape(shape)
