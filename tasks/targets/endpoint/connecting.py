"""One HTTP exchange at a time: to an address that was allowed, until a deadline, up to a size.

``httpcore`` speaks HTTP and TLS; this file gives it sockets that go to the pinned address and stop
at the deadline however slowly the other side drips. Redirections are answers, never followed.
"""

import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import httpcore

from tasks.domain.bundle import Endpoint
from tasks.domain.errors import EndpointAnswerError, EndpointDownError, EndpointTimeoutError
from tasks.targets.endpoint.addresses import Reach, Resolve, pinned

HEADER_BYTES = 64 << 10
"""What an answer may hold beyond its body."""
_WRITE_BYTES = 16 << 10


class Answered(NamedTuple):
    """Status, headers (lower-case names) and body of one exchange."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A kept-alive connection to one endpoint, made when first needed.

    Args:
        endpoint: Whom to ask.
        reach: Which addresses are allowed; looked at whenever a connection is made.
        trust: Trust anchors for TLS; certificate and host name are always verified.
        resolve: Name resolution, for tests.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        reach: Reach,
        *,
        trust: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._limit = _Limit()
        host, port = endpoint.place
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust or ssl.create_default_context(),
            max_connections=1,
            network_backend=_Pinned(self._limit, lambda: pinned(host, port, reach, resolve)),
        )

    def post(
        self, body: bytes, headers: Mapping[str, str], *, seconds: float, most: int
    ) -> Answered:
        """Asks once.

        Args:
            body: The question.
            headers: Further headers.
            seconds: From connecting to the last byte.
            most: Longest answer, in bytes.

        Raises:
            EndpointRefusedError: The address is not allowed.
            EndpointDownError: There is no connection, or it broke.
            EndpointTimeoutError: The deadline passed after the connection was made.
            EndpointAnswerError: The answer is too long or not HTTP.
        """
        self._limit.start(seconds, most + HEADER_BYTES)
        try:
            return self._exchanged(body, headers, most)
        except httpcore.ConnectTimeout as error:
            raise EndpointDownError(f"no connection within {seconds:g} seconds") from error
        except httpcore.TimeoutException as error:
            raise EndpointTimeoutError(
                f"the endpoint did not finish its answer within {seconds:g} seconds"
            ) from error
        except (httpcore.ConnectError, httpcore.NetworkError) as error:
            raise EndpointDownError(f"the connection broke: {_told(error)}") from error
        except httpcore.ProtocolError as error:
            if not self._limit.heard:
                raise EndpointDownError("the endpoint hung up without an answer") from error
            raise EndpointAnswerError(f"the answer is not HTTP: {_told(error)}") from error

    def close(self) -> None:
        """Hangs up."""
        self._pool.close()

    def _exchanged(self, body: bytes, headers: Mapping[str, str], most: int) -> Answered:
        sent: dict[bytes | str, bytes | str] = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "proofhouse",
        }
        sent.update(headers.items())
        with self._pool.stream("POST", self._endpoint.url, headers=sent, content=body) as response:
            told = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            if told.get("content-encoding", "identity").lower() != "identity":
                raise EndpointAnswerError("the answer is compressed although that was not asked")
            return Answered(response.status, told, _read(response, most))


def _read(response: httpcore.Response, most: int) -> bytes:
    parts, size = [], 0
    for part in response.iter_stream():
        size += len(part)
        if size > most:
            raise EndpointAnswerError(f"the answer is longer than {most} bytes")
        parts.append(part)
    return b"".join(parts)


class _Limit:
    """Time and bytes that one exchange may still use."""

    def __init__(self) -> None:
        self.start(0, 0)

    def start(self, seconds: float, most: int) -> None:
        self.heard = 0
        self._deadline = time.monotonic() + seconds
        self._most = most

    def left(self, error: type[Exception]) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise error("the deadline passed")
        return left

    def took(self, count: int) -> None:
        self.heard += count
        if self.heard > self._most:
            raise EndpointAnswerError("the answer is longer than any answer to this question")


class _Pinned(httpcore.NetworkBackend):
    """Connects to the address that was looked at, whatever the name says a moment later."""

    def __init__(self, limit: _Limit, addresses: Callable[[], tuple[str, ...]]) -> None:
        self._limit, self._addresses = limit, addresses
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the name; only TLS and the Host header still need it
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline is the exchange's own
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._addresses()
        for address in addresses:
            try:
                stream = self._plain.connect_tcp(
                    address,
                    port,
                    timeout=self._limit.left(httpcore.ConnectTimeout),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except httpcore.ConnectError:
                if address == addresses[-1]:
                    raise
            else:
                return _Limited(stream, self._limit)
        raise httpcore.ConnectError("there is no address")


class _Limited(httpcore.NetworkStream):
    """A stream that ends at the deadline of the exchange under way."""

    def __init__(self, stream: httpcore.NetworkStream, limit: _Limit) -> None:
        self._stream, self._limit = stream, limit

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        got = self._stream.read(max_bytes, self._limit.left(httpcore.ReadTimeout))
        self._limit.took(len(got))
        return got

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        for start in range(0, len(buffer), _WRITE_BYTES):
            part = buffer[start : start + _WRITE_BYTES]
            self._stream.write(part, self._limit.left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        left = self._limit.left(httpcore.ConnectTimeout)
        return _Limited(self._stream.start_tls(ssl_context, server_hostname, left), self._limit)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
