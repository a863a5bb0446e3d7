"""From an exception to what an operator needs to read; defects of ours keep their traceback."""

import os

from tasks.domain.errors import ProofhouseError


def explained(error: BaseException) -> dict[str, str] | None:
    """Returns code and text of a problem outside the code, or None for a defect inside it."""
    if isinstance(error, ProofhouseError):
        return {"code": error.code, "text": f"{error.code}: {error.message}"}
    if isinstance(error, OSError) and not isinstance(error, ConnectionError):
        place = f" ({error.filename})" if error.filename else ""
        return {
            "code": "system.failed",
            "text": f"system.failed: {os.strerror(error.errno or 0)}{place}. Nothing was sealed; "
            "free space or fix permissions, then run the command again to resume.",
        }
    return None
