"""Bounded memory: stacks are cut and halved, and what a model learns does not depend on it."""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from driftloop.errors import TrainingError
from driftloop.settings import TrainerSettings
from driftloop.trainer import memory, train
from driftloop.trainer.job import Fitted, Job, Spec
from driftloop.trainer.train import fit, fit_each
from tests.unit.trainer.jobs import CPU, LINEAR, REGRESSOR, SPECS, make_job

_CHILD = """
import dataclasses, hashlib, json, os, resource, sys, traceback
from structlog.testing import capture_logs
from driftloop.trainer import memory
from driftloop.trainer.job import Fitted
from driftloop.trainer.train import fit_each, fit_stack
from tests.unit.trainer.jobs import CPU, SPECS, make_job

STATUS = memory.Path("/proc/self/status")
def many(name, records, models):
    spec = dataclasses.replace(SPECS[name], epochs=2)
    return [make_job(number, spec, records, 10) for number in range(models)]
def told(one):
    if not isinstance(one, Fitted):
        return f"{one.reason}: {one}"
    bits = b"".join(value.tobytes() for _, value in sorted(one.weights.items()))
    return hashlib.sha256(bits).hexdigest()
def limited(name, records, models, room):
    fit_each(many(name, 50, 8), CPU)  # threads, libraries and buffers are there from now on
    jobs = many(name, records, models)
    if room:
        used = memory._field(STATUS, "VmSize:", 1024)
        resource.setrlimit(resource.RLIMIT_AS, (used + room * 2**20,) * 2)
    with capture_logs() as logs:
        found = fit_each(jobs, CPU, memory="1000GiB")
    halved = [log["models"] for log in logs if log["event"] == "trainer.stack_halved"]
    return halved, [told(one) for one in found]
def peak(name, records, models):
    fit_stack(many(name, 50, 1)[0].spec, many(name, 50, 1), CPU)
    jobs = many(name, records, models)
    memory.Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = memory._field(STATUS, "VmRSS:", 1024)
    fit_stack(jobs[0].spec, jobs, CPU)
    taken = memory._field(STATUS, "VmHWM:", 1024) - before
    return taken, memory.need(jobs[0].spec, jobs[0].shape) * models
for call, *arguments in json.loads(sys.argv[1]):
    if not os.fork():  # each by itself, without importing anew
        try:
            print(json.dumps(globals()[call](*arguments)), flush=True)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.wait()[1] == 0, (call, arguments)
"""
_ROOT = Path(__file__).parents[3]
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")


def _children(*calls: tuple[Any, ...]) -> list[Any]:
    """What each call of a function of the script returns, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps(calls)],
        capture_output=True,
        text=True,
        check=False,
        cwd=_ROOT,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


@linux
def test_refused_memory_halves_stacks_changes_no_bit_and_fails_a_lone_model_by_name() -> None:
    free_linear, linear, free_deep, deep, hopeless = _children(
        ("limited", "linear", 20_000, 16, 0),
        ("limited", "linear", 20_000, 16, 50),
        ("limited", "regressor", 50_000, 16, 0),
        ("limited", "regressor", 50_000, 16, 60),
        ("limited", "linear", 400_000, 3, 60),
    )
    for (wide, expected), (halved, found) in ((free_linear, linear), (free_deep, deep)):
        assert wide == []
        assert halved[0] == 16
        assert found == expected
    halved, found = hopeless
    assert 2 in halved
    assert all(one.startswith("out-of-memory: a model of 400,000 records") for one in found), found


@linux
def test_a_stack_takes_no_more_than_was_reckoned() -> None:
    for name, (taken, reckoned) in zip(
        SPECS, _children(*(("peak", name, 2000, 48) for name in SPECS)), strict=True
    ):
        assert reckoned / 8 < taken < reckoned, name


def _bits(found: list[Fitted]) -> list[dict[str, bytes]]:
    return [{name: value.tobytes() for name, value in one.weights.items()} for one in found]


@pytest.mark.parametrize("name", SPECS)
def test_the_budget_cuts_stacks_and_changes_no_bit(name: str) -> None:
    jobs = [make_job(number, SPECS[name], 200 + number, 5) for number in range(9)]
    expected = _bits(fit(jobs, CPU))
    one = memory.needs(jobs[0])
    for models in (1, 3):
        cut = fit(jobs, CPU, memory=f"{models * one * 1.001 / 2**20:.6f}MiB")
        assert _bits(cut) == expected


def test_a_job_beyond_the_budget_fails_before_it_is_tried_and_alone() -> None:
    large, small = make_job(1, REGRESSOR, 40_000, 10), make_job(2, REGRESSOR, 100, 4)
    found = fit_each([large, small], CPU, memory="2MiB")
    assert isinstance(found[0], TrainingError)
    assert found[0].reason == "out-of-memory"
    assert "trainer.memory" in str(found[0])
    assert isinstance(found[1], Fitted)


@linux
def test_what_is_free_is_bounded_by_the_limits_of_process_and_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = memory.available()
    assert 0 < free < 2**50
    for name, text in {
        "memory.max": f"{400 * 2**20}",
        "memory.current": f"{300 * 2**20}",
        "memory.stat": f"anon 1\ninactive_file {50 * 2**20}\n",
    }.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    assert memory.available() == min(free, 150 * 2**20)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available() > 150 * 2**20
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = memory._field(Path("/proc/self/status"), "VmSize:", 1024) or 0
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, before[1]))
    try:
        assert memory.budget("auto", CPU) <= 2**25
        assert memory.budget("3GiB", CPU) == 3 * 2**30
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_refusals_of_every_allocator_are_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert memory.is_refusal(caught.value)
    assert memory.is_refusal(MemoryError())
    assert memory.is_refusal(torch.OutOfMemoryError("CUDA out of memory"))
    cublas = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    assert memory.is_refusal(RuntimeError(cublas))
    assert not memory.is_refusal(RuntimeError("shapes differ"))


def test_a_size_that_is_none_is_refused_by_the_settings() -> None:
    assert TrainerSettings(memory="1.5GiB").memory == "1.5GiB"
    with pytest.raises(ValueError, match="memory"):
        TrainerSettings(memory="plenty")


def test_a_longer_job_needs_more() -> None:
    def needs(job: Job) -> int:
        return memory.needs(job)

    short, long = make_job(1, LINEAR, 100, 4), make_job(1, LINEAR, 1000, 4)
    assert needs(short) < needs(long)
    deep = dataclasses.replace(REGRESSOR, hidden=(512, 512))
    assert needs(make_job(1, REGRESSOR, 100, 4)) < needs(make_job(1, deep, 100, 4))


@pytest.mark.parametrize("spec", [LINEAR, REGRESSOR], ids=["linear", "mlp"])
def test_a_stack_for_a_large_device_fits_into_this_process_too(
    monkeypatch: pytest.MonkeyPatch, spec: Spec
) -> None:
    """What a device has room for is laid out here first."""
    jobs = [make_job(number, spec, 1000, 20) for number in range(12)]
    monkeypatch.setattr(memory, "available", lambda: 8 * memory.built(spec, jobs[0].shape))
    stacks = train._stacks(jobs, range(12), torch.device("cuda"), 2**40, 1)
    assert [len(one) for one in stacks] == [4, 4, 4]


@pytest.mark.parametrize("spec", [LINEAR, REGRESSOR], ids=["linear", "mlp"])
def test_what_is_laid_out_here_is_a_part_of_what_a_model_needs(spec: Spec) -> None:
    shape = make_job(1, spec, 1000, 20).shape
    assert 0 < memory.built(spec, shape) < memory.need(spec, shape)
