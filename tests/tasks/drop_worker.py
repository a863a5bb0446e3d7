"""A process that makes passes over a place of drops, for the tests of dropping."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from tasks.dropping import Taking, open_place
from tasks.intake.drops import Patience
from tasks.store.opening import open_store


def main(place: str, store: str, home: str, threads: str, dies_at: str = "") -> None:
    """Makes one pass in each thread; dies over the first drop from ``dies_at`` on."""
    log = Path(home) / "runs.log"

    def run(path: Path) -> dict[str, Any]:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{path.name}\n")
        if dies_at and path.name >= dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"run": f"run-of-{path.name}", "verdict": "accepted"}

    def one_pass() -> None:
        taking = Taking(
            place=open_place(place),
            store=open_store(store, home=Path(home)),
            run=run,
            scratch=Path(home) / "scratch",
            patience=Patience(),
        )
        for result in taking.one_pass():
            # One write: lines of many threads must not mix.
            sys.stdout.write(f"{result.state} {result.name}\n")

    workers = [threading.Thread(target=one_pass) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
