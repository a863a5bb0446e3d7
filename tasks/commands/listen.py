"""``proofhouse events``: the receiver of webhooks."""

import os
import threading
from typing import TYPE_CHECKING

import typer

from tasks.cli import Answer
from tasks.commands.onboard import prepare_home
from tasks.domain.errors import InvalidInputError
from tasks.events.authenticating import bucket_token, make_secret
from tasks.events.reading import Place
from tasks.orchestration import served_address
from tasks.serving import client_environment
from tasks.settings import Settings, read_settings

if TYPE_CHECKING:
    import uvicorn


def listen_answer(port: int) -> Answer:
    """Listens on loopback until interrupted.

    Raises:
        InvalidInputError: There is no Prefect server to hand events to.
    """
    home = read_settings().home
    prepare_home(home)
    url = os.environ.get("PREFECT_API_URL") or served_address(home)
    if url is None:
        raise InvalidInputError(
            "There is no Prefect server to hand events to: run `proofhouse serve` on this home, or "
            "set PREFECT_API_URL."
        )
    os.environ.update(client_environment(home.resolve(), url))
    typer.echo(f"webhooks http://127.0.0.1:{port}/events/…\nStop with Ctrl-C.", err=True)
    _server(port).run()
    return Answer({"stopped": True}, [])


def start_receiver(port: int) -> threading.Thread:
    """Listens behind the caller; ends with its process."""
    server = _server(port)
    thread = threading.Thread(target=server.run, name="events", daemon=True)
    thread.start()
    return thread


def token_answer(bucket: str) -> Answer:
    """Tells what a bucket's notifications must carry."""
    token = bucket_token(make_secret(read_settings().home.resolve()), bucket)
    return Answer({"bucket": bucket, "opaque_data": token}, [token])


def places_of(settings: Settings) -> tuple[Place, ...]:
    """Returns the places for drops that events may speak of.

    Raises:
        InvalidInputError: One of them is none.
    """
    told = settings.events.places.split(",")
    return tuple(Place.parse(one) for one in told if one.strip())


def _server(port: int) -> "uvicorn.Server":
    import uvicorn  # noqa: PLC0415 - only who listens pays

    from tasks.events.receiver import Desk, make_app  # noqa: PLC0415
    from tasks.events.stage import emit  # noqa: PLC0415 - imports Prefect
    from tasks.runtime import services  # noqa: PLC0415

    here = services()
    desk = Desk(
        secret=make_secret(here.settings.home.resolve()),
        places=places_of(here.settings),
        store=here.store,
        emit=emit,
    )
    config = uvicorn.Config(
        make_app(desk), host="127.0.0.1", port=port, log_level="warning", access_log=False
    )
    return uvicorn.Server(config)
