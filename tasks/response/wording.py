"""What messages and pages say: the same few sentences wherever they go."""

from typing import NamedTuple

from tasks.response.acting import Order

_MARKUP = str.maketrans({each: "\\" + each for each in "\\`*_{}[]<>#|~!"})


def plain(text: str) -> str:
    """Returns text that Markdown shows as it is: titles and answers are never markup."""
    return " ".join(text.split()).translate(_MARKUP)


class Message(NamedTuple):
    """Subject and body, plain text."""

    subject: str
    body: str


def message(order: Order) -> Message:
    """Builds the message of a notifying step: ``parameters["to"]`` and ``parameters["text"]``."""
    incident = order.incident
    about = [
        ("asset", incident.asset),
        ("vendor", incident.vendor),
        ("accounts", ", ".join(incident.accounts)),
        ("detected", incident.detected.isoformat()),
        ("case", f"{order.case}, step {order.step}"),
    ]
    lines = [order.text("text"), "", *(f"{name}: {value}" for name, value in about if value)]
    if incident.summary:
        lines += ["", incident.summary]
    return Message(f"[Proofhouse] {_one_line(incident.title)}", "\n".join(lines))


def _one_line(text: str) -> str:
    """A title may come from a vendor: a line break in it would write mail headers of its own."""
    return " ".join(text.split())
