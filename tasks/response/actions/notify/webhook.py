"""Posts a message as JSON to the operator's webhook, with an ``Idempotency-Key``."""

import httpx

from tasks.domain.case import Said
from tasks.domain.frozen import canonical_json
from tasks.response.acting import Acted, ActionError, Order, World
from tasks.response.wording import message

ASSUMED: dict[str, Said] = {}


def preview(order: Order, world: World) -> str:  # noqa: ARG001 - the face of an action
    """Says where it would be posted."""
    return f"post to {world.channels.webhook or 'no webhook (response.webhook is empty)'}"


def act(order: Order, world: World) -> Acted:
    """Posts it.

    Raises:
        ActionError: No webhook is set up, or it does not answer with success.
    """
    url = world.channels.webhook
    if not url:
        raise ActionError("there is no webhook: set response.webhook, then resume the case")
    text = message(order)
    body = canonical_json(
        {
            "case": order.case,
            "step": order.step,
            "title": text.subject,
            "text": text.body,
            "asset": order.incident.asset,
        }
    )
    headers = {"Content-Type": "application/json", "Idempotency-Key": order.key}
    try:
        answer = httpx.post(
            url, content=body, headers=headers, timeout=world.channels.timeout_seconds
        )
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ActionError(f"the webhook did not take the message: {error}") from error
    return Acted(f"posted, answered {answer.status_code}", evidence=(world.store.put(body).digest,))
