"""What if: policies tried on the streams' own history in Kafka, in a process of its own."""

from __future__ import annotations

import re
import secrets
from importlib.util import find_spec
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from driftloop.dashboard.access import Visitor
from driftloop.dashboard.context import Context, Shared, field
from driftloop.dashboard.trial import Trial, files_of, run
from driftloop.errors import Fault, SettingsError
from driftloop.settings import Profile, parse_policy

router = APIRouter()

MOST_POLICIES = 40
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
)
"""Of the report that a backtest writes: styles within it, and no script at all."""


@router.get("/what-if")
def whatif(
    request: Request,
    shared: Shared,
    stream: Annotated[str, Query(max_length=300)] = "",
    profile: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """The form, and the trials of this dashboard."""
    if not shared.live.ready:
        return shared.page(request, "building.html")
    known = shared.queries.stream(stream) if stream else None
    name = profile or (known.profile if known else "") or next(iter(shared.settings.profiles))
    return _form(request, shared, Trial("", name, stream, "", [], False))


def _form(
    request: Request, shared: Context, trial: Trial, faults: list[str] | None = None
) -> Response:
    profile = shared.settings.profiles.get(trial.profile)
    return shared.page(
        request,
        "what-if.html",
        status=422 if faults else 200,
        trial=trial,
        faults=faults or [],
        profiles=list(shared.settings.profiles),
        suggested=_suggested(profile) if profile else [],
        own=list(shared.settings.policies),
        jobs=shared.trials.all(),
    )


def _suggested(profile: Profile) -> list[str]:
    from driftloop.backtest.policies import default_policies  # noqa: PLC0415  # is slow to import

    return default_policies(profile)


@router.post("/what-if")
def begin(request: Request, shared: Shared) -> Response:
    """Begin a trial."""
    visitor: Visitor = request.state.visitor
    chosen: list[str] = request.state.form.get("policy", [])
    more = [one.strip() for one in field(request, "policies").splitlines() if one.strip()]
    trial = Trial(
        secrets.token_hex(6),
        field(request, "profile"),
        field(request, "stream"),
        field(request, "days"),
        list(dict.fromkeys([*chosen, *more])),
        field(request, "recorded") == "1",
        visitor.name,
    )
    try:
        _check(shared, trial)
    except SettingsError as error:
        return _form(request, shared, trial, [str(one) for one in error.faults])
    begun = shared.trials.begin(trial.id, lambda job: run(shared.settings, trial, job))
    if begun.fault:
        return _form(request, shared, trial, [begun.fault])
    return RedirectResponse(f"/what-if/{trial.id}?{urlencode({'stream': trial.stream})}", 303)


def _check(shared: Context, trial: Trial) -> None:
    faults = []
    profile = shared.settings.profiles.get(trial.profile)
    if profile is None:
        rule = f"one of {', '.join(shared.settings.profiles)}"
        faults.append(Fault("profile", repr(trial.profile), rule))
    if trial.stream and shared.queries.stream(trial.stream) is None:
        near = ", ".join(shared.queries.near(trial.stream)) or "none is near"
        faults.append(Fault("stream", repr(trial.stream), f"a known stream ({near})"))
    if trial.days and not re.fullmatch(r"[0-9]{1,5}", trial.days):
        faults.append(Fault("days", repr(trial.days), "a whole number of days, or nothing for all"))
    lacking = [
        one
        for one in ("pyarrow", *(() if trial.recorded else ("torch", "safetensors", "psutil")))
        if find_spec(one) is None
    ]
    if lacking:
        rule = "installed where the dashboard runs: pip install 'driftloop[backtest,trainer]'"
        told = "" if "pyarrow" in lacking else "on recorded predictions it needs no torch"
        faults.append(Fault("packages", f"no {', '.join(lacking)}", rule, told))
    if not 1 <= len(trial.policies) <= MOST_POLICIES:
        rule = f"1 to {MOST_POLICIES} policies"
        faults.append(Fault("policies", str(len(trial.policies)), rule))
    own = {
        name: policy.model_dump(mode="json", exclude_none=True)
        for name, policy in shared.settings.policies.items()
    }
    for name in trial.policies:
        try:
            parse_policy(name, own)
        except ValueError as error:
            faults.append(Fault("policies", repr(name), str(error)))
    if faults:
        raise SettingsError(faults, "the form")


@router.get("/what-if/{id_}")
def result(request: Request, shared: Shared, id_: str) -> Response:
    """How far a trial is, or its result."""
    job = shared.trials.get(id_)
    if job is None:
        return shared.page(request, "missing.html", status=404, what="trial", name=id_, near=[])
    template = "trial-part.html" if "hx-request" in request.headers else "trial.html"
    return shared.page(request, template, job=job, id=id_, result=job.answer)


@router.post("/what-if/{id_}/stop")
def stop(request: Request, shared: Shared, id_: str) -> Response:
    """End a trial early."""
    del request
    job = shared.trials.get(id_)
    if job is not None:
        job.stop.set()
    return RedirectResponse(f"/what-if/{id_}", 303)


@router.get("/what-if/{id_}/report")
def report(request: Request, shared: Shared, id_: str) -> Response:
    """The whole report of a trial, as `driftloop backtest` writes it."""
    job = shared.trials.get(id_)
    page = files_of(shared.settings, id_) / "index.html"
    if job is None or not page.is_file():
        return shared.page(request, "missing.html", status=404, what="report", name=id_, near=[])
    headers = {"content-security-policy": REPORT_POLICY}
    return HTMLResponse(page.read_text(encoding="utf-8"), headers=headers)
