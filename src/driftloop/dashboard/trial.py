"""A backtest as a process of its own: begun, watched and ended by the dashboard.

``python -m driftloop.dashboard.trial FOLDER`` is that process; it reads the trial there, and says
how far it is by a line of JSON a stream.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from driftloop.dashboard.jobs import Job
from driftloop.errors import DataError, DriftloopError
from driftloop.settings import Settings, load_settings

FOLDER = "what-if"
TRIAL, RESULT, PAGE, LOG = "trial.json", "result.json", "index.html", "log.txt"
_GRACE = 10.0
_POLL = 0.2


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried.

    Attributes:
        id: Its name.
        profile: Profile of the streams.
        stream: One stream, or empty for all of the profile.
        days: Newest days of the topics that are read, by Kafka's timestamps; empty for all.
        policies: As ``driftloop backtest --policy`` takes them.
        recorded: Decide on the recorded predictions; train nothing.
        who: Who asked for it.
    """

    id: str
    profile: str
    stream: str
    days: str
    policies: list[str]
    recorded: bool
    who: str = ""


def files_of(settings: Settings, id_: str) -> Path:
    """Folder of a trial."""
    return settings.home / "dashboard" / FOLDER / id_


def run(settings: Settings, trial: Trial, job: Job) -> Any:
    """Run a trial's process to its end.

    Args:
        settings: The configuration; the process reads the same.
        trial: What is tried.
        job: Is told how far it is; may ask it to stop.

    Returns:
        The `driftloop.backtest.result.Result`.

    Raises:
        DataError: It failed; says why.
    """
    from driftloop.backtest.result import Result  # noqa: PLC0415

    folder = files_of(settings, trial.id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TRIAL).write_text(json.dumps(asdict(trial)), encoding="utf-8")
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # our own command, no shell
            [sys.executable, "-m", "driftloop.dashboard.trial", str(folder.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **os.environ},
        )
    try:
        _watch(process, job)
    finally:
        _end(process)
    if job.stop.is_set():
        raise DataError("it was stopped")
    if process.returncode:
        told = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise DataError(told[-1] if told else f"it ended with status {process.returncode}")
    return msgspec.json.decode((folder / RESULT).read_bytes(), type=Result)


def _watch(process: subprocess.Popen[bytes], job: Job) -> None:
    """Read what the process says until it ends, or is to."""
    assert process.stdout is not None  # noqa: S101  # a pipe was asked for
    os.set_blocking(process.stdout.fileno(), False)
    left = b""
    while process.poll() is None and not job.stop.is_set():
        left = _told(left + (process.stdout.read() or b""), job)
        job.stop.wait(_POLL)
    _told(left + (process.stdout.read() or b"") + b"\n", job)


def _told(text: bytes, job: Job) -> bytes:
    *lines, left = text.split(b"\n")
    for line in lines:
        if line.startswith(b"{"):
            found = json.loads(line)
            job.done, job.total = found["done"], found["total"]
    return left


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def address(settings: Settings, trial: Trial, now: float) -> str:
    """The ``kafka://`` text of what a trial reads."""
    profile = settings.profiles[trial.profile]
    pattern = profile.topics
    if trial.stream:
        from driftloop.monitor.items import topic_of  # noqa: PLC0415  # of the process alone

        pattern = re.escape(topic_of(trial.stream))
    text = "kafka://" + pattern.replace("%", "%25").replace("?", "%3F")
    if trial.days:
        text += f"?from={round((now - int(trial.days) * 86400) * 1000)}"
    return text


def main(folder: Path) -> None:
    """Run the trial of a folder, and write its result and page there."""
    from driftloop.backtest.data import open_source  # noqa: PLC0415  # needs pyarrow
    from driftloop.backtest.page import write_page  # noqa: PLC0415  # likewise
    from driftloop.backtest.session import Options, backtest  # noqa: PLC0415  # likewise

    settings = load_settings()
    trial = Trial(**json.loads((folder / TRIAL).read_text(encoding="utf-8")))
    profile = settings.profiles[trial.profile]
    client = settings.kafka.client()
    source = open_source(address(settings, trial, time.time()), profile, client=client)
    if trial.stream:
        source.streams = [one for one in source.streams if one == trial.stream]
    own = {k: v.model_dump(mode="json", exclude_none=True) for k, v in settings.policies.items()}
    own.setdefault("configured", profile.policy.model_dump(mode="json", exclude_none=True))
    names = list(dict.fromkeys(["configured", *trial.policies]))
    total, done = len(source.streams), 0
    print(json.dumps({"done": 0, "total": total}), flush=True)  # noqa: T201  # is read by `run`

    def progress(_: Any) -> None:
        nonlocal done
        done += 1
        print(json.dumps({"done": done, "total": total}), flush=True)  # noqa: T201

    options = Options(policies=names, own=own, recorded=trial.recorded)
    result = backtest(source, options, progress)
    write_page(result, folder / PAGE)
    (folder / RESULT).write_bytes(msgspec.json.encode(result))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except DriftloopError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
