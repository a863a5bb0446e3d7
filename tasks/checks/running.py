"""Runs one check from its spec and keeps the measurement, so that it never has to run again.

The claim ``measurements/<spec>`` maps a spec to the digest of its measurement. It is written once:
a duplicate run, a retry and a resumed run all end at the same bytes.
"""

import contextlib
import errno
import importlib
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tasks.catalog.reading import Catalog
from tasks.catalog.schema import CheckEntry
from tasks.checks.lab import Lab, NotApplicable, NotAvailable, Spread
from tasks.checks.parts import keep_part
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest, hexadecimal
from tasks.domain.errors import ChildError, ProofhouseError, StoreError
from tasks.domain.execution import Execution
from tasks.domain.measurement import Measurement, Status
from tasks.domain.moments import rfc3339
from tasks.domain.spec import CheckSpec
from tasks.sandbox.protocol import Limits, Reply, Sandbox
from tasks.store.protocol import ObjectStore
from tasks.targets.endpoint.broker import Terms

_log = logging.getLogger(__name__)
_LASTING = {Status.MEASURED, Status.NOT_APPLICABLE}
_FULL = {errno.ENOSPC, errno.EDQUOT}


def run_check(
    spec: CheckSpec,
    subject: Subject,
    *,
    store: ObjectStore,
    sandbox: Sandbox,
    scratch: Path,
    limits: Limits = Limits(),
    terms: Terms = Terms(),
    escrow: Path | None = None,
    blocked: str = "",
    spread: Spread | None = None,
) -> Execution:
    """Returns how the check went; its measurement is stored under ``execution.measurement``.

    ``terms`` bound what a model behind an address may be asked. ``blocked`` says why the model must
    not be opened; checks that need it are then not available. ``spread`` has parts of the check
    measured elsewhere, if it has parts. ``escrow`` is the folder of rows that may not be kept.

    Never raises for anything the bundle did: a check that breaks is a measurement with status
    ``error``. Raises ``StoreError`` when the store fails or scratch is full, because then nothing
    can be kept, and it is nothing about the bundle.
    """
    if (known := known_measurement(spec, store)) is not None:
        return _execution(spec, known, seconds=0.0, reused=True)
    started = time.monotonic()
    entry = Catalog().check(spec.check)
    if blocked and entry.needs.target != "none":
        return _execution(
            spec,
            keep_measurement(spec, unmeasured(entry, Status.NOT_AVAILABLE, blocked), store),
            seconds=0.0,
            reused=False,
        )
    with _lab(
        spec,
        subject,
        store=store,
        sandbox=sandbox,
        scratch=scratch,
        limits=limits,
        terms=terms,
        escrow=escrow,
        spread=spread if _may_spread(subject) else None,
    ) as lab:
        measurement = _guarded(entry, lab)
    # The bytes behind an address can change: what was measured there is not known for good.
    lasting = subject.spec.model.endpoint is None or entry.needs.target == "none"
    digest = keep_measurement(spec, measurement, store, lasting=lasting)
    return _execution(spec, digest, seconds=time.monotonic() - started, reused=False)


def run_part(
    spec: CheckSpec,
    subject: Subject,
    index: int,
    *,
    store: ObjectStore,
    sandbox: Sandbox,
    scratch: Path,
    limits: Limits = Limits(),
    terms: Terms = Terms(),
    escrow: Path | None = None,
) -> Digest:
    """Measures one part of a check in a child of its own; returns where it is stored.

    Raises what the part raises: whoever asked for it turns that into the check's measurement.
    """
    module = importlib.import_module(f"tasks.checks.{spec.check}")
    with (
        _lab(
            spec,
            subject,
            store=store,
            sandbox=sandbox,
            scratch=scratch,
            limits=limits,
            terms=terms,
            escrow=escrow,
        ) as lab,
        lab,
    ):
        part: Reply = module.measure_part(lab, index)
    return keep_part(part, store)


def known_measurement(spec: CheckSpec, store: ObjectStore) -> Digest | None:
    """Returns the digest of the measurement that this spec already has, if it is still there."""
    claimed = store.claimed(_claim(spec))
    if claimed is None:
        return None
    digest = Digest(claimed.decode())
    return digest if store.has(digest) else None


def keep_measurement(
    spec: CheckSpec, measurement: Measurement, store: ObjectStore, *, lasting: bool = True
) -> Digest:
    """Stores a measurement; lasting ones (not errors, not missing inputs) are claimed for good."""
    digest = store.put(measurement.canonical()).digest
    if not lasting or measurement.status not in _LASTING:
        return digest
    store.claim(_claim(spec), digest.encode())
    return known_measurement(spec, store) or digest


def check_function(check_id: str) -> Callable[[Lab], Measurement]:
    """Returns ``measure`` of the module that the id names.

    Raises:
        ValueError: There is no such module, or it has no ``measure``.
    """
    try:
        module = importlib.import_module(f"tasks.checks.{check_id}")
    except ModuleNotFoundError as error:
        raise ValueError(f"there is no module for check {check_id}") from error
    measure = getattr(module, "measure", None)
    if not callable(measure):
        raise ValueError(f"tasks/checks/{check_id.replace('.', '/')}.py has no measure(lab)")  # noqa: TRY004 - a wrong name
    found: Callable[[Lab], Measurement] = measure
    return found


def unmeasured(entry: CheckEntry, status: Status, reason: str) -> Measurement:
    """Builds the measurement of a check that gave no numbers, and says why."""
    return Measurement(check=entry.id, version=entry.version, status=status, detail=reason[:2000])


@contextlib.contextmanager
def _lab(
    spec: CheckSpec,
    subject: Subject,
    *,
    store: ObjectStore,
    sandbox: Sandbox,
    scratch: Path,
    limits: Limits,
    terms: Terms,
    escrow: Path | None,
    spread: Spread | None = None,
) -> Iterator[Lab]:
    with contextlib.ExitStack() as held:
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            workspace = held.enter_context(
                tempfile.TemporaryDirectory(dir=scratch, prefix="check-")
            )
        except OSError as error:
            raise _no_room(spec.check, error) from error
        yield Lab(
            subject=subject,
            store=store,
            sandbox=sandbox,
            workspace=Path(workspace),
            parameters=spec.parameters,
            seed=spec.seed,
            limits=limits,
            terms=terms,
            escrow=escrow,
            spread=spread,
        )


def _may_spread(subject: Subject) -> bool:
    """Answers whether other workers may measure parts.

    Whoever answers at an address allows so many questions in all, not to each worker; and what is
    under escrow is only on this machine, its parts must not travel through the store.
    """
    return subject.spec.model.endpoint is None and subject.spec.data.escrow is None


def _guarded(entry: CheckEntry, lab: Lab) -> Measurement:
    """Measures, and turns every way of breaking into a measurement that says so."""
    task = lab.subject.spec.model.task
    if entry.needs.tasks and task not in entry.needs.tasks:
        return unmeasured(entry, Status.NOT_APPLICABLE, f"the model's task is {task}")
    try:
        with lab:
            measurement = _doubted(check_function(entry.id)(lab), lab.attempts)
        measurement.canonical()  # text that has no bytes (lone surrogates) must not get further
    except (NotApplicable, NotAvailable) as reason:
        return unmeasured(entry, reason.status, str(reason))
    except ChildError as error:
        return unmeasured(entry, Status.ERROR, f"{error.code}: {error.message}")
    except ProofhouseError as error:
        if error.code.startswith("store."):
            raise
        return unmeasured(entry, Status.ERROR, f"{error.code}: {error.message}")
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise _no_room(entry.id, error) from error
        # A defect of ours or a shape nobody thought of: the run goes on, the verdict cannot pass.
        _log.exception("check %s broke", entry.id)
        return unmeasured(entry, Status.ERROR, f"{type(error).__name__}: {_told(error)}")
    return measurement


def _no_room(check: str, error: OSError) -> StoreError:
    """Says that this machine cannot work, which must never read as a finding about the model."""
    place = error.filename or "scratch"
    return StoreError(
        f"{check} could not be asked, there is no room for its work ({place}: {error.strerror}). "
        "Nothing was sealed: free space and inodes there, then run again."
    )


def _doubted(measurement: Measurement, attempts: Mapping[str, int]) -> Measurement:
    """Adds an alarm where the model reached for what the sandbox forbids while it was measured."""
    if not attempts:
        return measurement
    calls = ", ".join(f"{call} ({count})" for call, count in sorted(attempts.items()))
    alarm = f"the model tried what the sandbox forbids while it was measured: {calls}"
    return measurement.model_copy(update={"alarms": (*measurement.alarms, alarm)})


def _told(error: Exception) -> str:
    return str(error).encode("utf-8", "backslashreplace").decode()


def _claim(spec: CheckSpec) -> str:
    return f"measurements/{hexadecimal(spec.digest)}"


def _execution(spec: CheckSpec, digest: Digest, *, seconds: float, reused: bool) -> Execution:
    return Execution(
        check=spec.check,
        spec=spec.digest,
        measurement=digest,
        seconds=round(seconds, 3),
        reused=reused,
        sandbox=spec.sandbox,
        clock="" if reused else rfc3339(datetime.now(UTC)),
    )
