"""Where flows run: the Dask task runner by profile, and the services each process opens once.

Between tasks travel digests and small values. Every worker process opens the store and the
sandbox for itself, from the same settings.
"""

import atexit
import contextlib
import functools
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import UUID

from tasks.beating.beats import Pulse
from tasks.deployments import DEPLOYMENTS, TAG, Deployment
from tasks.domain.errors import SettingsError
from tasks.sandbox.protocol import Level, Limits, Sandbox
from tasks.settings import Compute, Settings, read_settings
from tasks.store.protocol import ObjectStore

if TYPE_CHECKING:
    from distributed.deploy.cluster import Cluster
    from prefect.task_runners import TaskRunner

_log = logging.getLogger(__name__)
MOST_PLACES = 1_000
_LAST_WORDS_SECONDS = 30
"""How long a cluster may take to end, in each of two steps; lost workers take for ever."""


class Services(NamedTuple):
    """What a process needs to run checks."""

    settings: Settings
    store: ObjectStore
    sandbox: Sandbox
    limits: Limits


@functools.cache
def services() -> Services:
    """Opens store and sandbox once per process.

    Raises:
        SandboxError: This machine cannot reach the level that the settings require.
        StoreError: The store cannot be used.
    """
    from tasks.sandbox.opening import open_sandbox  # noqa: PLC0415 - only who works pays for it
    from tasks.store.opening import open_store  # noqa: PLC0415

    settings = read_settings()
    home = settings.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    return Services(
        settings=settings,
        store=open_store(
            settings.store_url,
            home=home,
            deadline_seconds=settings.storage.deadline_seconds,
            retention_days=settings.storage.retention_days,
        ),
        sandbox=open_sandbox(
            required=Level(settings.sandbox.required),
            gpu=settings.sandbox.gpu,
            bfloat16=settings.sandbox.gpu_bfloat16,
        ),
        limits=Limits(
            memory_bytes=settings.sandbox.memory_mib << 20,
            call_seconds=settings.sandbox.call_seconds,
        ),
    )


def task_runner() -> "TaskRunner[Any]":
    """Returns the Dask runner of the profile. Nothing starts before the first submission."""
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415 - 3 s of imports

    import tasks.streams  # noqa: F401, PLC0415 - the client's, too

    compute = read_settings().compute
    if compute.kind == "scheduler":
        if not compute.scheduler:
            raise SettingsError("compute.kind is 'scheduler', but compute.scheduler is empty")
        runner = DaskTaskRunner(address=compute.scheduler)
    else:
        # The library's annotation asks for a class; any callable that gives a context works.
        runner = DaskTaskRunner(cluster_class=cast("Any", warm_cluster))
    return cast("TaskRunner[Any]", runner)


def start_workers() -> None:
    """Begins to start this process's workers and returns at once; they import what they need.

    Meant for the moment when a server starts or a bundle is read: both leave a core idle.
    ``PREFECT_API_URL`` must be set before, because workers inherit the environment.
    """
    _start_pulse()
    if read_settings().compute.kind != "scheduler":
        _starting_cluster()


def _start_pulse() -> None:
    """Lets the flow run of this process give signs of life, so that its death is noticed."""
    if "prefect" not in sys.modules:
        return  # a command that starts workers before its flow; the flow asks again
    from prefect.runtime import flow_run  # noqa: PLC0415 - PREFECT_API_URL must be set before

    if flow_run.id:
        _pulse_of(str(flow_run.id))


@functools.cache
def _pulse_of(run: str) -> Pulse:
    pulse = Pulse(services().store, run)
    pulse.start()
    return pulse


def name_run(name: str) -> None:
    """Renames the flow run of this process, once it is known what it is about.

    A bundle's path says little in a list of runs; the asset's name is known only after intake.
    """
    from prefect import get_client  # noqa: PLC0415 - PREFECT_API_URL must be set before
    from prefect.runtime import flow_run  # noqa: PLC0415

    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(flow_run.id), name=name)
    except Exception as error:  # noqa: BLE001 - the UI is a convenience, the run is not
        _log.warning("the Prefect UI shows this run as %s: %s", flow_run.name, error)


def worker_places() -> int:
    """Returns how many tasks of this process may wait at the scheduler or run, at once."""
    compute = read_settings().compute
    # Of a scheduler that others use as well we know nothing: it gets all at once.
    return compute.worker_count if compute.kind == "local" else MOST_PLACES


@contextlib.contextmanager
def warm_cluster() -> Iterator["Cluster"]:
    """Lends the process's cluster: started at the first use, kept warm for the next flow."""
    yield _starting_cluster().result()


@functools.cache
def _starting_cluster() -> "Future[Cluster]":
    starter = ThreadPoolExecutor(1, thread_name_prefix="cluster")
    started = starter.submit(_new_cluster, read_settings().compute)
    starter.shutdown(wait=False)
    return started


def wind_down() -> None:
    """Ends this process's cluster, if there is one, and tells the server what is still untold.

    To be called before a server of our own is ended.
    """
    if _starting_cluster.cache_info().currsize:
        _close_cluster()
    _drain()


def _close_cluster() -> None:
    from distributed import Client, wait  # noqa: PLC0415

    starting = _starting_cluster()
    _starting_cluster.cache_clear()
    if (problem := starting.exception()) is not None:
        _log.warning("the cluster did not start: %s", problem)
        return
    cluster = starting.result()
    # A worker that is gone can tell nothing more; the work itself is done and kept.
    with (
        _telling("not every worker could say its last"),
        Client(cluster, set_as_default=False) as client,
    ):
        workers = list(client.scheduler_info(n_workers=-1)["workers"])
        drained = [client.submit(_drain, workers=[at], pure=False) for at in workers]
        wait(drained, timeout=_LAST_WORDS_SECONDS)  # one that is lost meanwhile never answers
        client.run(_skip_exit_hooks)
    with _telling("the cluster did not end in time; its processes end with this one"):
        cluster.close(timeout=_LAST_WORDS_SECONDS)


@contextlib.contextmanager
def _telling(what: str) -> Iterator[None]:
    """Turns whatever lost workers raise, which comes in many classes, into a line of the log."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - see above
        _log.warning("%s: %s: %s", what, type(error).__name__, error)


def _drain() -> None:
    """Sends events and logs that this process still holds for the Prefect server."""
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker  # noqa: PLC0415
        from prefect.logging.handlers import APILogWorker  # noqa: PLC0415

        EventsWorker.drain_all(timeout=5)
        APILogWorker.drain_all(timeout=5)


def _skip_exit_hooks() -> None:
    """Lets this worker end at once: Prefect's hooks wait seconds for what is drained already."""
    atexit.register(os._exit, 0)


def _new_cluster(compute: Compute) -> "Cluster":
    import dask  # noqa: PLC0415
    from distributed import LocalCluster  # noqa: PLC0415

    import tasks.streams  # noqa: F401, PLC0415 - the scheduler lives in this process

    # A check that kills its worker three times is poison; the run goes on without it.
    dask.config.set({"distributed.scheduler.allowed-failures": 3})
    logging.getLogger("distributed").setLevel(logging.ERROR)
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if compute.kind == "gpu" and (gpu := _gpu_cluster()) is not None:
        return gpu
    return LocalCluster(
        n_workers=compute.worker_count,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        # None would open the fixed port 8787; this is any free one, with health pages only.
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.ERROR,
        # Seconds of imports happen before the first check is there, not while it waits.
        preload=["tasks.checks.worker.stage"],
    )


def _gpu_cluster() -> "Cluster | None":
    """Returns a dask-cuda cluster, or None with a loud warning when there is no usable GPU."""
    try:
        from dask_cuda import LocalCUDACluster  # noqa: PLC0415 - an extra

        cluster: Cluster = LocalCUDACluster(dashboard_address=None)
    except Exception as error:  # noqa: BLE001 - driver errors come in many classes
        _log.warning(
            "GPU profile chosen, but no GPU can be used (%s: %s). Running on CPU workers instead; "
            "install the gpu extra and an NVIDIA driver, or choose another profile.",
            type(error).__name__,
            error,
        )
        return None
    return cluster


def serve_deployments() -> None:
    """Registers every deployment with the server and runs what is asked for, until stopped."""
    from prefect import serve  # noqa: PLC0415 - PREFECT_API_URL must be set before this import

    made = register_deployments()
    # Flow runs load the flow by its path from here.
    os.chdir(Path(__file__).parent.parent)
    serve(*made, limit=read_settings().schedule.runs, print_starting_message=False)


def register_deployments() -> list[Any]:
    """Makes every deployment known to the server; returns them."""
    made: list[Any] = [_deployed(one) for one in DEPLOYMENTS]
    for one in made:
        one.apply()
    return made


def _deployed(told: Deployment) -> Any:
    from prefect.client.schemas.objects import (  # noqa: PLC0415 - as above
        ConcurrencyLimitConfig,
        ConcurrencyLimitStrategy,
    )
    from prefect.schedules import Cron  # noqa: PLC0415

    path, _, name = told.entrypoint.partition(":")
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    limit = ConcurrencyLimitConfig(
        limit=told.at_once, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
    )
    return getattr(module, name).to_deployment(
        name=told.name,
        description=told.description,
        tags=[TAG, *told.tags],
        parameters=told.parameters,
        schedule=Cron(told.cron, timezone=read_settings().schedule.timezone) if told.cron else None,
        concurrency_limit=limit if told.at_once else None,
    )
