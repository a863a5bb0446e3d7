"""The base of every noun: immutable, strict, and the same bytes for the same value."""

import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value: cannot change, refuses unknown keys, refuses NaN and infinity in its bytes."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
    )

    def canonical(self) -> bytes:
        """Returns the one byte string that stands for this value (UTF-8 JSON, sorted keys)."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads what :meth:`canonical` wrote.

        Raises:
            pydantic.ValidationError: The bytes do not describe this noun.
        """
        return cls.model_validate_json(data)


def canonical_json(value: Any) -> bytes:
    """Returns ``value`` as UTF-8 JSON with sorted keys and no spaces; refuses NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()
