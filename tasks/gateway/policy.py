"""What the gateway grants to whom: roles, limits, answers, and what is kept of questions.

One TOML file, read once at start. Unknown keys are errors: a misspelt limit must not be no limit.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import Frozen

RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Segment = Annotated[str, StringConstraints(pattern=r"^([a-z0-9][a-z0-9_-]{0,39})?$")]
ADMIN = "admin"
"""The role that may act and may not ask the model."""


class FilterStep(Frozen):
    """One output filter with its settings: ``{name = "rounding", decimals = 2}``."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    settings: dict[str, float] = {}

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: object) -> object:
        if isinstance(value, dict) and "settings" not in value:
            rest = {key: item for key, item in value.items() if key != "name"}
            return {"name": value.get("name"), "settings": rest}
        return value


class Role(Frozen):
    """What one kind of caller may do.

    ``quota`` is the most items answered in ``quota_seconds``, None for no other limit than the
    rate. Refused requests cost nothing.
    """

    rate_per_second: float = Field(default=50, gt=0, le=1e6)
    burst: int = Field(default=100, ge=1, le=1_000_000)
    quota: int | None = Field(default=None, ge=0)
    alert_at: int | None = Field(default=None, ge=1)
    """Items in one quota period at which somebody should look; recorded once a period."""
    quota_seconds: float = Field(default=7 * 86400, gt=0)
    filters: tuple[FilterStep, ...] = ()


class Bounds(Frozen):
    """How large a request may be, and how long it may take to arrive."""

    body_bytes: int = Field(default=1 << 20, ge=256, le=1 << 28)
    items: int = Field(default=64, ge=1, le=4096)
    read_seconds: float = Field(default=10, gt=0)
    waiting: int = Field(default=1024, ge=1)
    """Items that may wait for the model; beyond it the gateway says so instead of queueing."""


class Keeping(Frozen):
    """What telemetry keeps of questions. Hashes are keyed, so they cannot be guessed from outside.

    ``features``: ``none``; ``projected`` (a seeded random projection, distances survive within
    about 15 %, the input does not); or ``raw`` (the input itself).
    """

    features: Literal["none", "projected", "raw"] = "projected"
    dimensions: int = Field(default=32, ge=4, le=512)
    batch_seconds: float = Field(default=60, gt=0)
    batch_rows: int = Field(default=50_000, ge=1)


class Watch(Frozen):
    """The abuse monitors: how many false alarms are affordable, and what an alarm does."""

    alarms_per_10k_accounts_week: float = Field(default=10, gt=0, le=10_000)
    on_alarm: Literal["record", "throttle", "reauthenticate"] = "record"


def _default_roles() -> dict[str, Role]:
    top = FilterStep(name="top_k", settings={"k": 3})
    return {
        "internal": Role(rate_per_second=500, burst=1000),
        "partner": Role(filters=(top, FilterStep(name="rounding", settings={"decimals": 2}))),
        "low_trust": Role(
            rate_per_second=5,
            burst=20,
            filters=(
                FilterStep(name="noise", settings={"scale": 0.02}),
                FilterStep(name="top_k", settings={"k": 1}),
                FilterStep(name="rounding", settings={"decimals": 1}),
            ),
        ),
    }


class GatewayPolicy(Frozen):
    """The whole policy file."""

    schema_: Literal["proofhouse.gateway/1"] = Field(default="proofhouse.gateway/1", alias="schema")
    roles: dict[RoleName, Role] = Field(default_factory=_default_roles, min_length=1)
    bounds: Bounds = Bounds()
    keeping: Keeping = Keeping()
    watch: Watch = Watch()
    canary_percent: float = Field(default=10, ge=0, le=100)
    canary_segments: tuple[Segment, ...] = ()
    """Accounts of these segments always meet the canary."""

    @model_validator(mode="after")
    def _admin_is_reserved(self) -> Self:
        if ADMIN in self.roles:
            raise ValueError("the role admin is built in and asks no model: name another")
        return self

    def with_quota(self, queries: int, alert_at: int) -> Self:
        """Returns the policy with the quota that the finding on extraction recommends.

        It binds every role that names no quota, except ``internal``.
        """
        granted = {"quota": queries, "alert_at": max(1, alert_at)}
        roles = {
            name: role.model_copy(update=granted)
            if role.quota is None and name != "internal"
            else role
            for name, role in self.roles.items()
        }
        return self.model_copy(update={"roles": roles})


def read_policy(path: Path | None) -> GatewayPolicy:
    """Returns the policy of a file, the default one when there is none.

    Raises:
        InvalidInputError: The file is missing, no TOML, or does not fit; names every problem.
    """
    if path is None:
        return GatewayPolicy()
    try:
        return GatewayPolicy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, issue['loc']))}: {issue['msg']}" for issue in error.errors()
        )
        raise InvalidInputError(f"{path} does not fit: {problems}") from error
