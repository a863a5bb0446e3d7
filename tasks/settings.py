"""Where Proofhouse runs: ``configs/<profile>.toml``, overridden by ``PROOFHOUSE_*`` variables.

Read once per process into one frozen value. Nested settings use two underscores:
``PROOFHOUSE_COMPUTE__WORKERS=4``. ``PROOFHOUSE_PROFILE`` chooses the profile.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tasks.domain.errors import SettingsError

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


class StoreSettings(BaseModel):
    """How the object store is used when it is S3."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retention_days: int = Field(default=0, ge=0)
    deadline_seconds: float = Field(default=60, gt=0)


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
    seed: int = 20_260_101
    advisories: str = ""
    compute: Compute = Compute()
    sandbox: SandboxSettings = SandboxSettings()
    storage: StoreSettings = StoreSettings()

    @property
    def store_url(self) -> str:
        """Where objects and claims live."""
        return self.store or str(self.home.resolve() / "store")

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
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, issue['loc']))}: {issue['msg']}" for issue in error.errors()
        )
        raise SettingsError(f"settings do not fit: {problems}") from error
