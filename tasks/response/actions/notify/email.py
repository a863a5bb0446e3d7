"""Sends a mail through the operator's relay. The same step has the same Message-ID.

A relay cannot promise that a mail goes out once: after a crash between sending and writing it down
the mail is sent again, and its Message-ID tells the receiver's server that it knows it.
"""

import smtplib
from email.message import EmailMessage

from tasks.domain.case import Said
from tasks.domain.digest import digest_of
from tasks.response.acting import Acted, ActionError, Order, World
from tasks.response.wording import message

ASSUMED: dict[str, Said] = {"message_id": "dry-run"}


def preview(order: Order, world: World) -> str:
    """Says to whom the mail would go."""
    return f"mail {', '.join(_receivers(order, world))} through {world.channels.smtp or 'no relay'}"


def act(order: Order, world: World) -> Acted:
    """Sends it.

    Raises:
        ActionError: No relay is set up, or it does not take the mail.
    """
    channels, receivers = world.channels, _receivers(order, world)
    host, _, port = channels.smtp.rpartition(":")
    if not (host and port.isdecimal() and channels.mail_from and receivers):
        raise ActionError(
            "mail is not set up: set response.smtp (host:port), response.mail_from and "
            "response.mail_to, then resume the case"
        )
    mail = _mail(order, channels.mail_from, receivers)
    try:
        with smtplib.SMTP(host, int(port), timeout=channels.timeout_seconds) as relay:
            relay.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise ActionError(f"{channels.smtp} did not take the mail: {error}") from error
    kept = world.store.put(bytes(mail)).digest
    return Acted(
        f"mailed {', '.join(receivers)}",
        said={"message_id": str(mail["Message-ID"])},
        evidence=(kept,),
    )


def _mail(order: Order, sender: str, receivers: tuple[str, ...]) -> EmailMessage:
    text = message(order)
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = text.subject, sender, ", ".join(receivers)
    mail["Message-ID"] = f"<{digest_of(order.key.encode())[7:47]}@proofhouse>"
    mail.set_content(text.body)
    return mail


def _receivers(order: Order, world: World) -> tuple[str, ...]:
    return order.texts("to") or world.channels.mail_to
