"""Where the registry lives: one store, one home with its keys, one inventory."""

from pathlib import Path
from typing import NamedTuple, Self

from securesystemslib.signer import Signer

from tasks.domain.digest import Digest
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.ledger.promotions import PromotionLog
from tasks.ledger.trust import Trust
from tasks.ledger.witness import Witness
from tasks.registry.signing import sign_files
from tasks.settings import Settings, read_settings
from tasks.store.opening import open_store
from tasks.store.protocol import ObjectStore


class RegistryPlace(NamedTuple):
    """Everything that the registry is made of. ``home`` is absolute."""

    store: ObjectStore
    home: Path
    database: str
    signer: str = ""
    model_key: str = ""
    tracking: str = ""

    @classmethod
    def here(cls, settings: Settings | None = None) -> Self:
        """Opens the registry that the settings of this process name.

        Raises:
            SettingsError: They do not fit.
            StoreError: The store cannot be used.
        """
        settings = settings or read_settings()
        home = settings.home.resolve()
        storage = settings.storage
        return cls(
            store=open_store(
                settings.store_url,
                home=home,
                deadline_seconds=storage.deadline_seconds,
                retention_days=storage.retention_days,
            ),
            home=home,
            database=settings.database_url,
            signer=settings.signer,
            model_key=settings.model_key,
            tracking=settings.mlflow,
        )

    @property
    def trust(self) -> Trust:
        """Whose signatures count now."""
        return trusted_keys(self.home)

    @property
    def witness(self) -> Witness:
        """What this home has seen of the log."""
        return Witness(self.home)

    def reading(self) -> PromotionLog:
        """Returns the promotion log, to read."""
        return PromotionLog(self.store, self.trust)

    def writing(self) -> PromotionLog:
        """Returns the promotion log, to append to.

        Raises:
            SigningError: The key cannot be used.
        """
        signer: Signer = open_signer(self.signer or None, home=self.home)
        return PromotionLog(self.store, self.trust, signer, self.witness)

    def sign(self, files: dict[str, Digest]) -> Digest:
        """Signs a model's files with the model key; returns the stored signature's digest."""
        return sign_files(
            files,
            self.store,
            home=self.home,
            key=Path(self.model_key) if self.model_key else None,
            scratch=self.home / "scratch",
        )
