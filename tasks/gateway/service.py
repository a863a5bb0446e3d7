"""The gateway as an HTTP service: Open Inference Protocol in front, the accepted model behind."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import orjson
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tasks.domain.errors import (
    GatewayUnavailableError,
    ProofhouseError,
    RequestRefusedError,
)
from tasks.gateway.administration import add_administration
from tasks.gateway.callers import MONITOR, Caller, Refusal, caller_of, key_of, must_be
from tasks.gateway.filters.protocol import Answer, Filters, whole_answer
from tasks.gateway.keys import ApiKey
from tasks.gateway.limits import MemoryLimits
from tasks.gateway.parts import Parts
from tasks.gateway.policy import ADMIN
from tasks.gateway.requests import InputReader
from tasks.gateway.routing import Route
from tasks.gateway.telemetry import Told
from tasks.gateway.vouching import keep_asking
from tasks.sandbox.protocol import Array

TEND_SECONDS = 0.5
PLATFORM = "proofhouse-gateway"
_log = logging.getLogger(__name__)
_JSON = "application/json"


class Service:
    """Answers requests; holds what lives as long as the service."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._readers = {
            route.name: InputReader(route.spec.input, parts.policy.bounds.items)
            for route in parts.routes.all()
            if route.spec.input is not None
        }
        self._filters = {name: Filters(role.filters) for name, role in parts.policy.roles.items()}
        self._dice = np.random.default_rng()

    async def infer(self, request: Request) -> Response:
        """Answers one inference request."""
        began = time.monotonic()
        common: dict[str, Any] = {
            "time": self.parts.clock(), "request": uuid.uuid4().hex, "model": "", "version": "",
            "route": "", "account": "", "role": "", "segment": "", "items": 0, "bytes": 0,
            "cost_ms": 0.0, "reason": "",
        }  # fmt: skip
        told: Told | None = None
        try:
            response, told = await self._answered(request, common)
        except Refusal as refusal:
            common["reason"] = refusal.reason
            response = refused(refusal)
        common["status"] = response.status_code
        seconds = time.monotonic() - began
        common["latency_ms"] = seconds * 1000
        self._count(common, seconds)
        if common["account"]:
            self.parts.recorder.tell(told or Told(common))
        return response

    def _count(self, common: dict[str, Any], seconds: float) -> None:
        metrics = self.parts.metrics
        metrics.requests.labels(common["route"], common["role"], str(common["status"])).inc()
        metrics.latency.labels(common["route"]).observe(seconds)
        if common["reason"]:
            metrics.refused.labels(common["reason"]).inc()
        else:
            metrics.items.labels(common["route"]).inc(common["items"])

    async def _answered(self, request: Request, common: dict[str, Any]) -> tuple[Response, Told]:
        key = self.key(request)
        common.update(account=key.account, role=key.role, segment=key.segment)
        caller = caller_of(key, self.parts.policy, self.parts.controls.current)
        route = self._route(request, key)
        common.update(route=route.name, model=route.asset, version=route.version)
        body = await self._body(request)
        common["bytes"] = len(body)
        try:
            inputs, told_id = self._readers[route.name].read(body)
        except RequestRefusedError as error:
            raise Refusal(400, "request", error.message) from None
        common["items"] = len(inputs)
        await self._take(caller, len(inputs), route.asset)
        began = time.monotonic()
        with self.parts.tracer.start_as_current_span("model") as span:
            span.set_attribute("proofhouse.route", route.name)
            span.set_attribute("proofhouse.items", len(inputs))
            probabilities = await self._asked(route, caller, inputs)
        common["cost_ms"] = (time.monotonic() - began) * 1000 / len(inputs)
        whole = whole_answer(probabilities)
        shown = self._filters[key.role].applied(whole, self._dice)
        if not _has_scores(route):
            shown = Answer(shown.labels[:, :1], None)
        response = _response(self.parts.name, route, told_id or common["request"], shown)
        return response, _told(common, inputs, whole)

    def key(self, request: Request) -> ApiKey:
        """Returns the key of a request, or refuses it."""
        authorizations = len(request.headers.getlist("authorization"))
        return key_of(request.headers, authorizations, self.parts.keys, self.parts.controls.current)

    def _route(self, request: Request, key: ApiKey) -> Route:
        if request.path_params["name"] != self.parts.name:
            raise Refusal(404, "name", "there is no such model here")
        return self.parts.routes.chosen(key, self.parts.policy, self.parts.controls.current)

    async def _body(self, request: Request) -> bytes:
        bounds = self.parts.policy.bounds
        told = request.headers.get("content-length", "0")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(415, "encoding", "compressed bodies are not taken")
        if "content-length" in request.headers and "transfer-encoding" in request.headers:
            # Proxies differ about which one counts, which is how requests are smuggled.
            raise Refusal(400, "headers", "one way to tell the body's length, please")
        if not (told.isascii() and told.isdigit()) or int(told[:20]) > bounds.body_bytes:
            raise Refusal(413, "size", f"a body holds at most {bounds.body_bytes} bytes")
        parts, size = [], 0
        try:
            async with asyncio.timeout(bounds.read_seconds):
                async for chunk in request.stream():
                    parts.append(chunk)
                    size += len(chunk)
                    if size > bounds.body_bytes:
                        raise Refusal(
                            413, "size", f"a body holds at most {bounds.body_bytes} bytes"
                        )
        except TimeoutError:
            raise Refusal(408, "slow", "the body did not arrive in time") from None
        except ClientDisconnect:
            raise Refusal(400, "gone", "the caller hung up") from None
        return b"".join(parts)

    async def _take(self, caller: Caller, items: int, asset: str) -> None:
        taken = await self._limits_say(caller, items)
        if not taken.granted:
            if taken.why == "size":
                raise Refusal(413, "burst", f"at most {caller.role.burst} items at once")
            text = "the quota is used up" if taken.why == "quota" else "too many requests"
            raise Refusal(429, taken.why, text, taken.retry_after_seconds)
        alert_at = caller.role.alert_at
        if alert_at is not None and taken.used - items < alert_at <= taken.used:
            self.parts.watching.quota_alert(caller.key.account, taken.used, asset)

    async def _limits_say(self, caller: Caller, items: int) -> Any:
        try:
            return await self.parts.limits.take(caller.key.account, items, caller.role)
        except GatewayUnavailableError as error:
            raise Refusal(503, "limits", error.message, 1) from error

    async def _asked(self, route: Route, caller: Caller, inputs: Array) -> Array:
        try:
            scores = await route.queue.ask(inputs)
        except GatewayUnavailableError as error:
            with contextlib.suppress(GatewayUnavailableError):
                await self.parts.limits.give_back(caller.key.account, len(inputs), caller.role)
            raise Refusal(503, "model", error.message, 1) from error
        raised = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
        probabilities: Array = raised / raised.sum(axis=1, keepdims=True)
        return probabilities

    async def tend(self) -> None:
        """Follows keys and controls, writes snapshots, until cancelled."""
        parts = self.parts
        while True:
            try:
                parts.keys.refresh()
                parts.controls.current = parts.controls.file.read()
                if isinstance(parts.limits, MemoryLimits):
                    snapshot = parts.limits.snapshot()
                    if snapshot is not None:
                        await asyncio.to_thread(parts.limits.write, snapshot)
            except (ProofhouseError, OSError) as error:
                _log.warning("the gateway goes on with what it knew: %s", error)
            self._gauge()
            await asyncio.sleep(TEND_SECONDS)

    def _gauge(self) -> None:
        metrics, routes = self.parts.metrics, self.parts.routes.all()
        metrics.waiting.set(sum(route.queue.waiting for route in routes))
        copies = [copy for route in routes for copy in route.copies]
        metrics.starts.set(sum(copy.starts for copy in copies))
        metrics.attempts.set(sum(copy.attempts for copy in copies))
        metrics.rows.set(self.parts.recorder.rows)
        metrics.failures.set(self.parts.recorder.failures)
        metrics.killed.set(bool(self.parts.controls.current.killed))


def gateway_app(parts: Parts) -> FastAPI:
    """Returns the service; its lifespan starts and stops everything in ``parts``."""
    service = Service(parts)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.recorder.start()
        jobs = [asyncio.create_task(service.tend())]
        if parts.vouch is not None:
            asking = keep_asking(parts, parts.vouch, parts.vouch_seconds)
            jobs.append(asyncio.create_task(asking))
        try:
            yield
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            await parts.close()

    app = FastAPI(
        title="Proofhouse gateway", lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url=None,
    )  # fmt: skip
    # Plain routes: what FastAPI would validate is read by our own strict reader, in a tenth of
    # the time.
    app.add_route("/v2/models/{name}/infer", service.infer, methods=["POST"])
    app.add_route("/v2/models/{name}/versions/{version}/infer", service.infer, methods=["POST"])
    _add_facts(app, service)
    add_administration(app, parts, service.key)
    return app


def _add_facts(app: FastAPI, service: Service) -> None:
    parts = service.parts

    async def live(_: Request) -> Response:
        return _json({"live": True})

    async def ready(_: Request) -> Response:
        # A rolled-back canary may be down; the champion may not.
        well = parts.routes.champion.ready and not parts.controls.current.killed
        return _json({"ready": well}, 200 if well else 503)

    async def server(_: Request) -> Response:
        return _json({"name": PLATFORM, "version": "1", "extensions": []})

    async def metadata(request: Request) -> Response:
        key = service.key(request)
        if request.path_params["name"] != parts.name:
            raise Refusal(404, "name", "there is no such model here")
        return _json(
            _described(parts, parts.routes.chosen(key, parts.policy, parts.controls.current))
        )

    async def metrics(request: Request) -> Response:
        must_be(service.key(request), ADMIN, MONITOR)
        return Response(parts.metrics.page(), media_type="text/plain; version=0.0.4")

    for path, answer in (
        ("/v2", server), ("/v2/health/live", live), ("/v2/health/ready", ready),
        ("/v2/models/{name}", metadata), ("/v2/models/{name}/ready", ready), ("/metrics", metrics),
    ):  # fmt: skip
        app.add_route(path, answering(answer), methods=["GET"])


def answering(
    answer: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Turns refusals of a handler into responses."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except Refusal as refusal:
            return refused(refusal)

    return answered


def refused(refusal: Refusal) -> Response:
    """Returns what a refused caller sees."""
    headers = {"Connection": "close"} if refusal.status in {408, 413, 415} else {}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refusal.retry_after_seconds:
        headers["Retry-After"] = str(int(refusal.retry_after_seconds) + 1)
    body = orjson.dumps({"error": refusal.text, "reason": refusal.reason})
    return Response(body, refusal.status, headers, _JSON)


def _described(parts: Parts, route: Route) -> dict[str, Any]:
    spec, output = route.spec.input, route.spec.output
    assert spec is not None, "classifiers have an input"
    assert output is not None, "classifiers have an output"
    names = [("labels", "INT64")]
    names += [("probabilities", "FP64")] if _has_scores(route) else []
    return {
        "name": parts.name,
        "versions": [each.version for each in parts.routes.all()],
        "platform": PLATFORM,
        "inputs": [{"name": "input-0", "datatype": "FP32", "shape": [-1, *spec.shape]}],
        "outputs": [{"name": n, "datatype": kind, "shape": [-1, -1]} for n, kind in names],
        "parameters": {
            "asset": route.asset,
            "classes": output.classes,
            "range": list(spec.range),
            "mean": list(spec.mean),
            "std": list(spec.std),
        },
    }


def _has_scores(route: Route) -> bool:
    """Answers whether the model gives scores; of one that gives labels a vector is invented."""
    return route.spec.output is not None and route.spec.output.kind != "labels"


def _response(name: str, route: Route, request: str, shown: Answer) -> Response:
    """Whole vectors are shown in the order of classes, parts of them the likeliest first."""
    labels, probabilities = shown.labels, shown.probabilities
    classes = route.spec.output.classes if route.spec.output else None
    if probabilities is not None and labels.shape[1] == classes:
        probabilities = np.take_along_axis(probabilities, labels.argsort(axis=1), axis=1)
        labels = labels[:, :1]
    outputs = [_tensor("labels", "INT64", labels)]
    if probabilities is not None:
        outputs.append(_tensor("probabilities", "FP64", probabilities))
    told = {"model_name": name, "model_version": route.version, "id": request}
    return _json({**told, "outputs": outputs})


def _tensor(name: str, datatype: str, rows: Array) -> dict[str, Any]:
    return {
        "name": name,
        "datatype": datatype,
        "shape": list(rows.shape),
        "data": rows.reshape(-1).tolist(),
    }


def _told(common: dict[str, Any], inputs: Array, whole: Answer) -> Told:
    assert whole.probabilities is not None, "nothing was taken away yet"
    likeliest = whole.probabilities
    second = likeliest[:, 1] if likeliest.shape[1] > 1 else np.zeros(len(likeliest))
    return Told(
        common,
        inputs=inputs,
        labels=whole.labels[:, 0],
        confidence=likeliest[:, 0],
        margin=likeliest[:, 0] - second,
    )


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type=_JSON)
