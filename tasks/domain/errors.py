"""Project errors: bad data, bad storage, bad evidence. Wrong use raises built-in errors instead."""

from typing import ClassVar


class ProofhouseError(Exception):
    """Something outside the code is wrong. The message says what, where and how to mend it.

    Subclasses take one message, so that every error survives a trip through pickle, and carry a
    ``code`` that is stable and never reused.
    """

    code: ClassVar[str] = "proofhouse.error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInputError(ProofhouseError):
    """What the operator or the vendor handed in cannot be used as it is."""

    code = "input.invalid"


class CatalogError(ProofhouseError):
    """A catalog entry is broken or missing."""

    code = "catalog.invalid"


class SettingsError(ProofhouseError):
    """A setting is missing or contradicts another."""

    code = "settings.invalid"


class StoreError(ProofhouseError):
    """The object store refused, or gave back something else than was put in."""

    code = "store.failed"


class ObjectMissingError(StoreError):
    """No object has this digest or name."""

    code = "store.missing"


class ObjectCorruptError(StoreError):
    """The stored bytes do not have the digest they are stored under."""

    code = "store.corrupt"


class StoreNotAnsweringError(StoreError):
    """The store did not answer within the deadline: down, hung or full."""

    code = "store.not_answering"


class SigningError(ProofhouseError):
    """A signing key is missing, unreadable or of the wrong kind."""

    code = "signing.failed"


class EvidenceError(ProofhouseError):
    """Evidence does not verify."""

    code = "evidence.invalid"


class SandboxError(ProofhouseError):
    """The sandbox could not be built or is below the level that the work needs."""

    code = "sandbox.unavailable"


class ChildError(ProofhouseError):
    """The sandboxed child died, hung, or answered with something unusable."""

    code = "sandbox.child_failed"


class TargetError(ProofhouseError):
    """A model cannot be opened or queried as the bundle describes it."""

    code = "target.unusable"


class ChildRaisedError(ChildError):
    """A procedure raised inside the child."""

    code = "sandbox.child_raised"


class ChildDiedError(ChildError):
    """The child ended before it answered."""

    code = "sandbox.child_died"


class ChildTimeoutError(ChildError):
    """The child did not answer within its deadline and was killed."""

    code = "sandbox.child_timeout"


class ChildProtocolError(ChildError):
    """The child's answer was too long, malformed or not of the agreed types."""

    code = "sandbox.child_protocol"


class ChildMemoryError(ChildRaisedError):
    """The child asked for more memory than its limit."""

    code = "sandbox.child_memory"


class ChildForbiddenError(ChildRaisedError):
    """A wall refused what the child tried: a file, a socket, a process, a signal."""

    code = "sandbox.child_forbidden"


class ChildStorageError(ChildRaisedError):
    """The child wrote more than its scratch or one file may hold."""

    code = "sandbox.child_storage"


class ChildSpinningError(ChildTimeoutError):
    """The child computed until its deadline and was killed."""

    code = "sandbox.child_spinning"


class ChildIdleError(ChildTimeoutError):
    """The child slept, waited or was stopped until its deadline and was killed."""

    code = "sandbox.child_idle"


class ChildSignalledError(ChildDiedError):
    """A signal ended the child: a crash, an abort, or a limit of the kernel."""

    code = "sandbox.child_signalled"


class ChildStubbornError(ChildDiedError):
    """The child went on making forbidden calls and was killed."""

    code = "sandbox.child_stubborn"


class ChildThreadsError(ChildDiedError):
    """The child ran too many threads and was killed."""

    code = "sandbox.child_threads"


class ChildResidentError(ChildDiedError):
    """The child held more memory than its limit, where the kernel could not refuse it."""

    code = "sandbox.child_resident"


class ChildScratchError(ChildDiedError):
    """The child filled its scratch and was killed."""

    code = "sandbox.child_scratch"


class ConflictError(ProofhouseError):
    """Others changed the same thing again and again while this was tried."""

    code = "registry.conflict"


class InventoryError(ProofhouseError):
    """The inventory's database refused, does not answer, or is of another version."""

    code = "inventory.failed"


class PeerError(ProofhouseError):
    """Another tool that was asked for its opinion failed."""

    code = "peer.failed"


class EndpointError(ProofhouseError):
    """A model behind an address could not be asked."""

    code = "endpoint.failed"


class EndpointRefusedError(EndpointError):
    """The operator has not allowed this address, or a secret for it is missing."""

    code = "endpoint.refused"


class EndpointDownError(EndpointError):
    """Nothing answers there, or it keeps asking to wait."""

    code = "endpoint.down"


class EndpointTimeoutError(EndpointError):
    """It took the question and did not finish its answer in time."""

    code = "endpoint.timeout"


class EndpointAnswerError(EndpointError):
    """It answered with something that is no answer: garbage, too long, a redirection."""

    code = "endpoint.answer"


class EndpointBudgetError(EndpointError):
    """The queries or the time that the operator grants are used up."""

    code = "endpoint.budget"


class GatewayUnavailableError(ProofhouseError):
    """The gateway cannot answer now: its model, its limits or its store does not."""

    code = "gateway.unavailable"


class RequestRefusedError(ProofhouseError):
    """A request to the gateway cannot be understood or is not allowed."""

    code = "gateway.request"
