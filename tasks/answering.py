"""How every command answers: one document for machines, lines for people, an exit code.

Results go to stdout; progress and problems to stderr.
"""

import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

EXIT_OK, EXIT_REFUSED, EXIT_BAD_INPUT, EXIT_UNDECIDED = 0, 1, 2, 3

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]


class Answer:
    """What a command found: a document for machines, lines for people, and an exit code."""

    def __init__(self, document: Any, lines: list[str], code: int = EXIT_OK) -> None:
        self.document = document
        self.lines = lines
        self.code = code


def run(work: Callable[[], Answer], as_json: bool) -> None:
    """Does the work, prints the answer, and turns project errors into a message and code 2."""
    from tasks.commands.failing import explained  # noqa: PLC0415
    from tasks.commands.wording import visible  # noqa: PLC0415

    try:
        answer = work()
    except KeyboardInterrupt:
        typer.echo("Stopped. Nothing was sealed; run the command again to resume.", err=True)
        raise typer.Exit(130) from None
    except Exception as error:
        message = explained(error)
        if message is None:
            raise
        if as_json:
            typer.echo(json.dumps({"error": message}))
        typer.echo(visible(message.get("text", "")), err=True)
        raise typer.Exit(EXIT_BAD_INPUT) from None
    if as_json:
        typer.echo(json.dumps(answer.document, ensure_ascii=True, allow_nan=False))
    else:
        typer.echo(visible("\n".join(answer.lines)))
    sys.stdout.flush()
    raise typer.Exit(answer.code)
