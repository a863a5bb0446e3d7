"""``proofhouse serve``: the Prefect server with its UI, and the deployments, on this machine."""

import os
from pathlib import Path
from typing import Any

import typer

from tasks.cli import Answer
from tasks.commands.onboard import prepare_home
from tasks.orchestration import ADDRESS_FILE
from tasks.serving import client_environment, local_server
from tasks.settings import read_settings


def serve_answer(port: int) -> Answer:
    """Serves until interrupted; other commands of the same home use this server meanwhile."""
    home = read_settings().home.resolve()
    prepare_home(home)
    os.environ["PROOFHOUSE_HOME"] = str(home)  # flow runs start in folders of their own
    with local_server(home, port=port, ui=True) as url:
        os.environ.update(client_environment(home, url))
        address = home / "prefect" / ADDRESS_FILE
        address.write_text(url, encoding="utf-8")
        typer.echo(f"UI   http://127.0.0.1:{port}\nAPI  {url}\nStop with Ctrl-C.", err=True)
        try:
            _serve_deployments()
        except KeyboardInterrupt:
            typer.echo("stopping", err=True)
        finally:
            address.unlink(missing_ok=True)
    return Answer({"stopped": True}, [])


def _serve_deployments() -> None:
    from prefect import serve  # noqa: PLC0415 - PREFECT_API_URL must be set before this import

    from flows.onboarding import onboard_model  # noqa: PLC0415

    source = Path(__file__).parent.parent.parent
    deployment: Any = onboard_model.to_deployment(
        name="onboard-model",
        description="Quarantine to signed verdict for one vendor's bundle.",
        tags=["proofhouse"],
    )
    os.chdir(source)
    serve(deployment, limit=1, print_starting_message=False)
