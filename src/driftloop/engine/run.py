"""Running a flow: in this process, as several processes, or as one process of a given cluster."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

from driftloop.engine import sink, source, stop
from driftloop.engine._cluster import run_cluster
from driftloop.engine._recovery import locked, prepare
from driftloop.errors import DriftloopError
from driftloop.garbage import rare_collections

API_ENABLED = "BYTEWAX_DATAFLOW_API_ENABLED"
API_CACHE = "BYTEWAX_DATAFLOW_API_CACHE_PATH"

FlowFactory = Callable[..., Dataflow]

_log = structlog.get_logger(__name__)


def run_flow(
    flow: Dataflow | FlowFactory | str,
    *,
    arguments: Mapping[str, Any] | None = None,
    processes: int = 1,
    workers: int = 1,
    recovery: Path | None = None,
    epoch_seconds: float = 10.0,
    process_id: int | None = None,
    addresses: Sequence[str] | None = None,
    setup: str | None = None,
) -> None:
    """Run a flow until it ends; SIGTERM and Ctrl-C drain it, a second signal ends it at once.

    Args:
        flow: The flow; or what builds it: a function of a module, or ``module:function`` or
            ``path/to/file.py:function``. Several processes need one of the latter.
        arguments: Keyword arguments of the function; plain values, as JSON knows them.
        processes: Processes on this machine, started and ended together.
        workers: Worker threads of each process.
        recovery: Folder of the snapshots; made when missing. None: nothing is remembered.
        epoch_seconds: Time between two snapshots.
        process_id: This process's number in a cluster whose processes are started elsewhere; each
            has a recovery folder of its own then.
        addresses: ``host:port`` of all processes of that cluster, in the order of their numbers.
        setup: ``module:function`` called first in each started process with its number, as to
            configure logging.

    Raises:
        RecoveryError: The recovery folder does not fit, or is in use.
        DriftloopError: The flow failed; the log tells why.
    """
    if process_id is None or addresses is None:
        if process_id is not None or addresses is not None:
            raise DriftloopError("process_id and addresses are given together")
    elif not 0 <= process_id < len(addresses):
        raise DriftloopError(
            f"process_id is below the number of addresses, {len(addresses)}; got {process_id}"
        )
    elif processes > 1:
        raise DriftloopError("processes are started elsewhere where addresses are given")
    with ExitStack() as stack:
        if recovery is not None:
            stack.enter_context(locked(recovery, process_id))
            prepare(
                recovery,
                build(flow, arguments),
                process=process_id,
                processes=None if addresses is None else len(addresses),
            )
        stack.enter_context(stop.handling())
        if processes > 1:
            run_cluster(
                {
                    "flow": reference(flow),
                    "arguments": dict(arguments or {}),
                    "workers": workers,
                    "recovery": None if recovery is None else str(recovery),
                    "epoch_seconds": epoch_seconds,
                    "setup": setup,
                    "path": sys.path,
                },
                processes,
            )
        else:
            run_process(
                build(flow, arguments),
                workers=workers,
                recovery=recovery,
                epoch_seconds=epoch_seconds,
                process_id=process_id,
                addresses=addresses,
            )


def run_process(
    flow: Dataflow,
    *,
    workers: int,
    recovery: Path | None,
    epoch_seconds: float,
    process_id: int | None = None,
    addresses: Sequence[str] | None = None,
) -> None:
    """Run this process's share of a flow; the recovery folder is there already.

    Raises:
        Exception: What made the flow fail, as it was raised.
    """
    if API_ENABLED in os.environ and API_CACHE not in os.environ:
        # Else it writes dataflow.json into the working directory.
        os.environ[API_CACHE] = tempfile.mkdtemp(prefix="driftloop-api-")
    store = RecoveryConfig(recovery) if recovery else None  # type: ignore[no-untyped-call]
    try:
        gc.collect()  # what is left is not walked again
        with rare_collections():
            cli_main(  # type: ignore[no-untyped-call]
                flow,
                workers_per_process=workers,
                process_id=process_id,
                addresses=None if addresses is None else list(addresses),
                epoch_interval=timedelta(seconds=epoch_seconds),
                recovery_config=store,
            )
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, DriftloopError):
            cause = cause.__cause__
        _log.error("flow.failed", error=f"{type(cause).__name__}: {cause}")
        if isinstance(cause, DriftloopError):
            raise cause from None
        raise
    finally:
        source.shut_all()
        sink.shut_all()


def build(flow: Dataflow | FlowFactory | str, arguments: Mapping[str, Any] | None) -> Dataflow:
    """The flow itself.

    Raises:
        DriftloopError: The text names nothing that can be imported, or no flow.
    """
    found: Any = _load(flow) if isinstance(flow, str) else flow
    if callable(found):
        found = found(**(arguments or {}))
    if not isinstance(found, Dataflow):
        raise DriftloopError(f"a flow is a bytewax Dataflow, got {type(found).__name__}")
    return found


def reference(flow: Dataflow | FlowFactory | str) -> str:
    """The text by which another process finds the flow's function.

    Raises:
        DriftloopError: It cannot be found by name.
    """
    if isinstance(flow, str):
        return flow
    name = getattr(flow, "__qualname__", "")
    if isinstance(flow, Dataflow) or not name.isidentifier():
        raise DriftloopError(
            "several processes need a flow by name, as 'module:function' or a module's function"
        )
    module: str = flow.__module__
    if module == "__main__":
        return f"{sys.modules[module].__file__}:{name}"
    return f"{module}:{name}"


def _load(text: str) -> Any:
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise DriftloopError(f"a flow is named as 'module:function', got {text!r}")
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(place).stem, place)
            if spec is None or spec.loader is None:
                raise DriftloopError(f"flow {text!r}: {place} is no Python file")
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        return getattr(module, name)
    except (ImportError, FileNotFoundError, AttributeError) as error:
        raise DriftloopError(f"flow {text!r} cannot be loaded: {error}") from error
