"""Progress of long work on stderr: a live bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tasks import progress


@contextmanager
def progress_on_stderr(title: str, *, quiet: bool = False) -> Iterator[None]:
    """Shows the steps that the work tells about; ``quiet`` leaves only plain lines."""
    console = Console(file=sys.stderr)
    if quiet or not console.is_terminal:
        with progress.listening(lambda step: typer.echo(_line(step), err=True)):
            typer.echo(title, err=True)
            yield
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        row = bar.add_task(title, total=None, last="")

        def show(step: progress.Step) -> None:
            bar.update(row, completed=step.done, total=step.total, last=step.text)

        with progress.listening(show):
            yield


def _line(step: progress.Step) -> str:
    return f"  [{step.done}/{step.total}] {step.text}"
