"""Pickles that run a given program when they are opened, and ways to look for what they leave."""

import pickle
import time
from pathlib import Path

_RUN = "[ns := {'__name__': 'hostile'}, exec(SOURCE, ns), eval(RESULT, ns)][2]"


class _Payload:
    def __init__(self, source: str, result: str) -> None:
        self.names = {"SOURCE": source, "RESULT": result}

    def __reduce__(self) -> tuple[object, tuple[str, dict[str, str]]]:
        return eval, (_RUN, self.names)


def write_pickle(path: Path, source: str, result: str = "None") -> Path:
    """Writes a pickle that runs ``source`` and gives the value of ``result`` afterwards."""
    path.write_bytes(pickle.dumps(_Payload(source, result)))
    return path


def processes_naming(text: str) -> list[int]:
    """Returns every process whose command line holds ``text`` (a forked copy keeps its line)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if text.encode() in line and state != "Z":
                found.append(int(entry.name))
    return found


def wait_until_gone(text: str, *, seconds: float) -> float:
    """Returns how long it took until no process named ``text`` any more.

    Raises:
        TimeoutError: Some still do after ``seconds``.
    """
    start = time.monotonic()
    while left := processes_naming(text):
        if time.monotonic() - start > seconds:
            raise TimeoutError(f"still alive: {left}")
        time.sleep(0.02)
    return time.monotonic() - start
