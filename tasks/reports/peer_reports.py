"""Drift reports of other tools, made in environments of their own.

Evidently needs pandas 2 and whylogs NumPy 1, so neither can live beside us: each runs as a process
under an interpreter that the operator names, sees two Parquet files, and leaves JSON and HTML. The
files hold rows as our own sandboxed reader saw them (at most 65,536 at even distances), so a
hostile table never reaches a peer's parser. What a peer says changes no verdict.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tasks.domain.errors import InvalidInputError, PeerError, SettingsError
from tasks.intake.table_batches import Batch, Coded

SCRIPTS = Path(__file__).with_name("peers")
PEERS = {
    "evidently": "evidently==0.7.23 pandas==2.3.3 pyarrow",
    "whylogs": "'whylogs[viz]==1.6.4' 'numpy<2' 'pandas<2.2' 'pyarrow<20'",
}
"""Peer to what its environment must have."""
SECONDS, MEMORY_BYTES = 600, 8 << 30
MOST_BYTES, MOST_WRITTEN = 64 << 20, 1 << 30


class PeerColumn(NamedTuple):
    """What a peer says of one column; ``drifted`` is None where it does not decide."""

    column: str
    method: str
    score: float
    drifted: bool | None


class PeerReport(NamedTuple):
    """A peer's answer: its rows, and its page where it made one."""

    tool: str
    version: str
    columns: tuple[PeerColumn, ...]
    html: bytes | None


def interpreter_of(peer: str, interpreters: Mapping[str, str]) -> Path:
    """Returns the interpreter that a peer runs under.

    Raises:
        InvalidInputError: There is no such peer.
        SettingsError: None is configured, or it is not there; the message says how to make one.
    """
    if peer not in PEERS:
        raise InvalidInputError(
            f"{peer!r} is no report adapter. Known: {', '.join(sorted(PEERS))}."
        )
    name = f"PROOFHOUSE_PEERS__{peer.upper()}"
    place = interpreters.get(peer, "")
    if not place:
        raise SettingsError(
            f"{name} is not set: {peer} cannot live in this environment. Make one of its own "
            f"(python3.11 -m venv {peer}-env; {peer}-env/bin/pip install {PEERS[peer]}) and set "
            f"{name} to its bin/python."
        )
    if not os.access(place, os.X_OK):
        raise SettingsError(f"{name} is {place}, which is no program that can be run.")
    return Path(place)


def peer_report(peer: str, interpreter: Path, reference: Batch, current: Batch) -> PeerReport:
    """Has a peer compare two tables.

    Raises:
        PeerError: It failed, took too long, or left something that cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix=f"{peer}-") as name:
        folder = Path(name)
        places = [folder / f"{side}.parquet" for side in ("reference", "current")]
        for place, batch in zip(places, (reference, current), strict=True):
            _write(batch, place)
        _run(peer, interpreter, folder, places)
        return _read(peer, folder)


def _run(peer: str, interpreter: Path, folder: Path, places: list[Path]) -> None:
    script = SCRIPTS / f"{peer}_report.py"
    # -I: neither our folders nor our variables; the peer gets no credentials of ours.
    command = [str(interpreter), "-I", str(script), *map(str, places), str(folder)]
    environment = {
        "HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1",
        "MPLCONFIGDIR": str(folder), "NO_PROXY": "*",
    }  # fmt: skip
    try:
        child = subprocess.Popen(  # noqa: S603 - the operator names the interpreter
            command, cwd=folder, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise PeerError(f"{interpreter} cannot be run: {error.strerror}.") from error
    with child:
        # From outside, because code between fork and exec may hang where threads run.
        resource.prlimit(child.pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (MOST_WRITTEN, MOST_WRITTEN))
        try:
            _, told = child.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"{peer} took more than {SECONDS} s and was stopped.") from error
        finally:
            # Whatever it started is in its group, and ends with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    if child.returncode:
        last = told.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise PeerError(
            f"{peer} failed under {interpreter} (exit code {child.returncode}): {last[0][:400]}. "
            f"Its environment needs {PEERS[peer]}."
        )


def _read(peer: str, folder: Path) -> PeerReport:
    summary = _bytes(peer, folder / "summary.json")
    if summary is None:
        raise PeerError(f"{peer} ended without a summary.")
    try:
        told = json.loads(summary)
        columns = tuple(_column(row) for row in told["columns"])
        version = str(told["version"])[:40]
    except (ValueError, KeyError, TypeError) as error:
        raise PeerError(f"{peer} left a summary that cannot be read: {error!r}") from error
    return PeerReport(peer, version, columns, _bytes(peer, folder / "report.html"))


def _column(row: dict[str, Any]) -> PeerColumn:
    drifted = row["drifted"]
    if drifted is not None and not isinstance(drifted, bool):
        raise TypeError("drifted is neither true, false nor null")
    return PeerColumn(
        str(row["column"])[:200], str(row["method"])[:80], float(row["score"]), drifted
    )


def _bytes(peer: str, place: Path) -> bytes | None:
    if place.is_symlink() or not place.is_file():
        return None
    if place.stat().st_size > MOST_BYTES:
        raise PeerError(f"{peer} left {place.stat().st_size} bytes, {MOST_BYTES} are read.")
    return place.read_bytes()


def _write(batch: Batch, place: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415 - half a second, only where a peer is asked
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = {}
    for name, values in batch.items():
        if isinstance(values, Coded):
            names = np.array([*values.names, None], dtype=object)
            columns[name] = pa.array(names[values.codes], pa.string())
        else:
            columns[name] = pa.array(values)
    pq.write_table(pa.table(columns), place)
