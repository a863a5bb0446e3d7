"""Where Proofhouse runs: ``configs/<profile>.toml``, overridden by ``PROOFHOUSE_*`` variables.

Read once per process into one frozen value. Nested settings use two underscores:
``PROOFHOUSE_COMPUTE__WORKERS=4``. ``PROOFHOUSE_PROFILE`` chooses the profile.
"""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tasks.domain.alarm import Mode, Trigger
from tasks.domain.channels import Channels
from tasks.domain.errors import SettingsError
from tasks.domain.ids import EntryId
from tasks.targets.endpoint.addresses import reach_of
from tasks.targets.endpoint.broker import Terms

PROFILES = Path(__file__).parent.parent / "configs"


class Compute(BaseModel):
    """Where checks run. ``workers`` 0 means one per core, at most four."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local", "scheduler", "gpu"] = "local"
    workers: int = Field(default=0, ge=0, le=1024)
    scheduler: str = ""

    @property
    def worker_count(self) -> int:
        """How many local workers to start."""
        return self.workers or min(4, os.cpu_count() or 1)


class SandboxSettings(BaseModel):
    """What the sandbox must reach before anything untrusted is opened."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    required: Literal["L2", "L3"] = "L2"
    memory_mib: int = Field(default=4096, ge=512)
    call_seconds: float = Field(default=300, gt=0)
    gpu: bool = False
    """Children may use their worker's NVIDIA GPU; what that widens is in the sandbox's README."""
    gpu_bfloat16: bool = False
    """Gradient attacks on that GPU look in bfloat16; what they find is asked again in float32."""


class StoreSettings(BaseModel):
    """How the object store is used when it is S3."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retention_days: int = Field(default=0, ge=0)
    deadline_seconds: float = Field(default=60, gt=0)


class EndpointSettings(BaseModel):
    """Which models behind addresses may be asked, and how much by one check.

    ``allow`` lists hosts and networks (``models.acme.example, 10.1.2.0/24:8080``); empty means
    that no vendor's URL is ever contacted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: str = ""
    queries: int = Field(default=1_000_000, ge=1)
    seconds: float = Field(default=1800, gt=0)
    ca_file: str = ""


class GatewaySettings(BaseModel):
    """What the canary gateway stands on; who may do what is in its policy file.

    ``redis`` is ``redis://host:port/db``; empty keeps limits in the gateway's own process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    redis: str = ""
    traces: Literal["", "console", "otlp"] = ""
    copies: int = Field(default=1, ge=1, le=64)
    """Sandbox children of each model."""
    vouch_seconds: float = Field(default=60, ge=1)
    """How often a gateway asks whether its models may still be served."""


class PeerSettings(BaseModel):
    """Interpreters of environments in which other tools live, which clash with ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    evidently: str = ""
    whylogs: str = ""


class EventSettings(BaseModel):
    """Which drops the receiver of webhooks may start work on: ``s3://bucket/prefix``, by commas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    places: str = ""


class TriggerSettings(BaseModel):
    """What an alarm starts by itself: ``off``, ``dry_run`` or ``live``, by trigger and playbook.

    Where both say something the more careful of them counts. What nobody says is in
    ``tasks/alarms/starting.py``: alarms about callers start dry runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modes: dict[Trigger, Mode] = {}
    playbooks: dict[EntryId, Mode] = {}


class ScheduleSettings(BaseModel):
    """When ``proofhouse serve`` runs what is scheduled, and how many flow runs at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timezone: str = "UTC"
    runs: int = Field(default=2, ge=1, le=100)


class Settings(BaseSettings):
    """All settings of one process. Secrets are never among them: keys are named, not held."""

    model_config = SettingsConfigDict(
        env_prefix="PROOFHOUSE_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
    )

    profile: str = "local"
    home: Path = Path(".proofhouse")
    store: str = ""
    database: str = ""
    signer: str = ""
    model_key: str = ""
    """PEM private key (P-256, P-384, P-521) that signs accepted models; empty: the home's own."""
    seed: int = 20_260_101
    advisories: str = ""
    mlflow: str = ""
    """Tracking URI of the MLflow server or database that mirrors the registry; empty: none."""
    escrow: str = ""
    """Folder of rows that may be looked at and not kept, see ``tasks/checks/escrow.py``."""
    compute: Compute = Compute()
    sandbox: SandboxSettings = SandboxSettings()
    storage: StoreSettings = StoreSettings()
    endpoints: EndpointSettings = EndpointSettings()
    gateway: GatewaySettings = GatewaySettings()
    peers: PeerSettings = PeerSettings()
    response: Channels = Channels()
    schedule: ScheduleSettings = ScheduleSettings()
    events: EventSettings = EventSettings()
    triggers: TriggerSettings = TriggerSettings()

    @model_validator(mode="after")
    def _gpu_only_on_gpu_workers(self) -> Self:
        if self.sandbox.gpu and self.compute.kind != "gpu":
            raise ValueError("sandbox.gpu needs compute.kind = 'gpu' (PROOFHOUSE_PROFILE=gpu)")
        return self

    @property
    def escrow_folder(self) -> Path | None:
        """Where rows under escrow lie on this machine, if anywhere."""
        return Path(self.escrow).resolve() if self.escrow else None

    @property
    def store_url(self) -> str:
        """Where objects and claims live."""
        return self.store or str(self.home.resolve() / "store")

    @property
    def terms(self) -> Terms:
        """What a check may ask of a model behind an address.

        Raises:
            SettingsError: The list of hosts cannot be read, or the file of authorities is missing.
        """
        ca_file = self.endpoints.ca_file
        if ca_file and not Path(ca_file).is_file():
            raise SettingsError(f"PROOFHOUSE_ENDPOINTS__CA_FILE: there is no file {ca_file}")
        return Terms(
            reach=reach_of(self.endpoints.allow),
            secrets=self.home.resolve() / "secrets",
            queries=self.endpoints.queries,
            seconds=self.endpoints.seconds,
            trust=Path(ca_file) if ca_file else None,
        )

    @property
    def database_url(self) -> str:
        """Where the inventory lives."""
        return self.database or f"sqlite:///{self.home.resolve() / 'inventory.sqlite'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no .env files: too quiet
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the profile's file."""
        toml = TomlConfigSettingsSource(settings_cls, _profile_file())
        return init_settings, env_settings, toml


def _profile_file() -> Path:
    profile = os.environ.get("PROOFHOUSE_PROFILE", "local")
    file = PROFILES / f"{profile}.toml"
    if profile != "local" and not file.is_file():
        known = ", ".join(sorted(path.stem for path in PROFILES.glob("*.toml")))
        raise SettingsError(
            f"PROOFHOUSE_PROFILE is {profile!r}, but there is no {file.name}. Known: {known}."
        )
    return file


def read_settings() -> Settings:
    """Returns the settings of this process.

    Raises:
        SettingsError: A profile is unknown, or a value does not fit; names every bad one.
    """
    try:
        settings = Settings()
        _ = settings.terms  # a list that cannot be read is told now, not in a worker
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, issue['loc']))}: {issue['msg']}" for issue in error.errors()
        )
        raise SettingsError(f"settings do not fit: {problems}") from error
    return settings
