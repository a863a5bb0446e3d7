"""``proofhouse serve``: the Prefect server with its UI, and the deployments, on this machine."""

import os

import typer

from tasks.cli import Answer
from tasks.commands.onboard import prepare_home
from tasks.orchestration import ADDRESS_FILE
from tasks.serving import client_environment, local_server
from tasks.settings import read_settings


def serve_answer(port: int, *, events_port: int = 0) -> Answer:
    """Serves until interrupted; other commands of the same home use this server meanwhile."""
    home = read_settings().home.resolve()
    prepare_home(home)
    os.environ["PROOFHOUSE_HOME"] = str(home)  # flow runs start in folders of their own
    with local_server(home, port=port, ui=True) as url:
        os.environ.update(client_environment(home, url))
        from tasks.beating.stage import watch_over  # noqa: PLC0415 - after the environment
        from tasks.commands.forward import start_forwarder  # noqa: PLC0415
        from tasks.events.stage import make_automations  # noqa: PLC0415
        from tasks.runtime import (  # noqa: PLC0415
            register_deployments,
            serve_deployments,
            services,
        )

        address = home / "prefect" / ADDRESS_FILE
        address.write_text(url, encoding="utf-8")
        typer.echo(f"UI   http://127.0.0.1:{port}\nAPI  {url}\nStop with Ctrl-C.", err=True)
        if events_port:
            from tasks.commands.listen import start_receiver  # noqa: PLC0415 - likewise

            start_receiver(events_port)
            typer.echo(f"webhooks http://127.0.0.1:{events_port}/events/…", err=True)
        try:
            watch_over(services().store)
            register_deployments()
            make_automations()
            start_forwarder()
            serve_deployments()
        except KeyboardInterrupt:
            typer.echo("stopping", err=True)
        finally:
            address.unlink(missing_ok=True)
    return Answer({"stopped": True}, [])
