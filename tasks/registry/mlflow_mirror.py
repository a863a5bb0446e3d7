"""Shows the registry in MLflow: registered models, versions with files and lineage, aliases.

A version carries the model's files, the OpenSSF signature and the signed statement as artifacts,
the digests of its data as inputs of its source run, and its evidence in tags. Aliases follow the
chain: one that somebody moved in MLflow is moved back, and nothing is ever loaded from there.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest, hexadecimal
from tasks.domain.errors import SettingsError
from tasks.domain.promotion import ALIASES, Alias
from tasks.ledger.promotions import slug_of
from tasks.ledger.seal import sealed_run
from tasks.registry.place import RegistryPlace
from tasks.registry.signing import SIGNATURE
from tasks.registry.state import ModelState, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "proofhouse"
TAG = "proofhouse."
FOLDER = "model"


class MlflowMirror:
    """One MLflow tracking server or database, by its URI."""

    name = "mlflow"

    def __init__(self, registry: RegistryPlace) -> None:
        self._registry = registry
        self._client = _client(registry.tracking)

    def write(self, state: ModelState) -> None:
        """Adds what is missing, corrects tags and aliases; repeatable."""
        name = self._model(state.model)
        known = self._known(name)
        for version in state.versions:
            if version.link.statement not in known:
                known[version.link.statement] = self._add(name, version)
            number = known[version.link.statement].version
            self._client.set_model_version_tag(name, number, f"{TAG}withdrawn", version.withdrawn)
        wanted = self._wanted(state, known)
        shown = self._aliases(name)
        for alias in ALIASES:
            if alias in wanted and shown.get(alias) != wanted[alias]:
                self._client.set_registered_model_alias(name, alias, wanted[alias])
            elif alias in shown and alias not in wanted:
                self._client.delete_registered_model_alias(name, alias)

    def differences(self, state: ModelState) -> tuple[str, ...]:
        """Compares versions and aliases with the chain."""
        name = self._model(state.model)
        known = self._known(name)
        told = [
            f"{version.asset} is missing"
            for version in state.versions
            if version.link.statement not in known
        ]
        wanted, shown = self._wanted(state, known), self._aliases(name)
        told += [
            f"{alias} is {_numbered(shown.get(alias))}, it should be {_numbered(wanted.get(alias))}"
            for alias in ALIASES
            if shown.get(alias) != wanted.get(alias)
        ]
        return tuple(told)

    def _model(self, model: str) -> str:
        """Returns the MLflow name of a model, created when it is new.

        MLflow forbids slashes and colons; two models that would share a name get one each.
        """
        plain = model.replace("/", ".").replace(":", "-")
        for name in (plain, f"{plain}-{slug_of(model)[:8]}"):
            tags = {f"{TAG}model": model}
            found = self._client.search_registered_models(f"name = {_quoted(name)}")
            if not found:
                self._client.create_registered_model(name, tags=tags)
                return name
            if found[0].tags.get(f"{TAG}model") == model:
                return name
        raise SettingsError(f"MLflow has other models under the names for {model}: {plain}")

    def _known(self, name: str) -> dict[str, Any]:
        """Returns the versions there by the statement that registered them."""
        found = self._client.search_model_versions(f"name = {_quoted(name)}")
        return {one.tags[f"{TAG}promotion"]: one for one in found if f"{TAG}promotion" in one.tags}

    def _wanted(self, state: ModelState, known: Mapping[str, Any]) -> dict[Alias, str]:
        found: dict[Alias, str] = {}
        for alias, asset in state.held.items():
            version = state.version(asset)
            if version is not None and version.link.statement in known:
                found[alias] = str(known[version.link.statement].version)
        return found

    def _aliases(self, name: str) -> dict[str, str]:
        shown = self._client.get_registered_model(name).aliases
        return {alias: str(number) for alias, number in shown.items()}

    def _add(self, name: str, version: Version) -> Any:
        move, store = version.move, self._registry.store
        found = sealed_run(store, move.run)
        record = found[0] if found else None
        tags = {
            "asset": version.asset,
            "run": move.run,
            "statement": move.statement,
            "promotion": version.link.statement,
            "subject": move.subject,
            "signature": move.signature or "",
            "verdict": record.decision.verdict.value if record else "",
            "tier": record.tier if record else "",
            "battery": record.plan.battery if record else "",
        }
        told = {TAG + key: value for key, value in tags.items()}
        run = self._client.create_run(
            self._experiment(), run_name=f"{version.asset} {move.run}", tags=told
        )
        self._log_files(run.info.run_id, version)
        self._log_lineage(run.info.run_id, Subject.parse(store.get(move.subject)))
        self._client.set_terminated(run.info.run_id)
        source = f"{run.info.artifact_uri}/{FOLDER}"
        return self._client.create_model_version(
            name, source=source, run_id=run.info.run_id, tags=told, description=move.reason
        )

    def _log_files(self, run_id: str, version: Version) -> None:
        move = version.move
        named = dict(move.files) | {"statement.dsse.json": move.statement}
        named |= {"promotion.dsse.json": version.link.statement}
        if move.signature:
            named[SIGNATURE] = move.signature
        scratch = self._registry.home / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch, prefix="mlflow-") as folder:
            for path, digest in named.items():
                place = Path(folder) / path
                place.parent.mkdir(parents=True, exist_ok=True)
                self._registry.store.fetch(Digest(digest), place)
            self._client.log_artifacts(run_id, folder, FOLDER)

    def _log_lineage(self, run_id: str, subject: Subject) -> None:
        """Logs which data the version was trained and judged on, by digest."""
        from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415 - an extra

        inputs = [
            DatasetInput(
                Dataset(
                    name=data.path[:500],
                    digest=hexadecimal(data.source)[:36],
                    source_type="proofhouse",
                    source=json.dumps({"sha256": hexadecimal(data.source), "rows": data.rows}),
                ),
                [InputTag("mlflow.data.context", data.role)],
            )
            for data in subject.datasets
        ]
        if inputs:
            self._client.log_inputs(run_id, inputs)
        for name in ("vendor", "task", "licence", "training_data"):
            self._client.log_param(run_id, name, _told(subject, name)[:500])

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        # A server has a place of its own for files; beside a bare database they go to the home.
        remote = self._registry.tracking.startswith(("http://", "https://"))
        place = None if remote else (self._registry.home / "mlflow").as_uri()
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=place))


def _client(tracking: str) -> "MlflowClient":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Stdout is for our own answer, often one JSON document.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # By default a server that is gone is asked for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    try:
        from mlflow import MlflowClient  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(
            "PROOFHOUSE_MLFLOW is set, but MLflow is not installed: pip install "
            "'proofhouse[mlflow]', or unset it."
        ) from error
    return MlflowClient(tracking_uri=tracking, registry_uri=tracking)


def _told(subject: Subject, name: str) -> str:
    spec = subject.spec
    return {
        "vendor": spec.vendor.name,
        "task": spec.model.task,
        "licence": spec.claims.licence or "",
        "training_data": ", ".join(spec.claims.training_data),
    }[name]


def _quoted(text: str) -> str:
    """Returns a name as MLflow's filters take it; they know no escapes."""
    quote = '"' if "'" in text else "'"
    if quote in text:
        raise SettingsError(f"MLflow cannot search for the name {text[:200]}: it holds both quotes")
    return f"{quote}{text}{quote}"


def _numbered(version: str | None) -> str:
    return "nowhere" if version is None else f"version {version}"
