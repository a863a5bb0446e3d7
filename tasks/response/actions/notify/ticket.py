"""Writes a ticket as a Markdown file, for whatever reads the folder."""

from pathlib import Path

from tasks.domain.case import Said
from tasks.domain.digest import digest_of
from tasks.response.acting import Acted, Order, World
from tasks.response.wording import message

ASSUMED: dict[str, Said] = {"ticket": "dry-run"}


def preview(order: Order, world: World) -> str:
    """Says where the ticket would be written."""
    return f"write {_place(order, world)}"


def act(order: Order, world: World) -> Acted:
    """Writes the ticket; the same step writes the same file."""
    place, text = _place(order, world), message(order)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"# {text.subject}\n\n{text.body}\n", encoding="utf-8")
    kept = world.store.put(place.read_bytes()).digest
    return Acted(f"ticket {place}", said={"ticket": str(place)}, evidence=(kept,))


def _place(order: Order, world: World) -> Path:
    folder = Path(world.channels.tickets or world.home / "tickets")
    return folder / f"{order.case}-{order.step}-{digest_of(order.key.encode())[7:15]}.md"
