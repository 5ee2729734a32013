"""A real S3-compatible server process (S3Proxy on a folder), for tests of the model store."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from driftloop.kafka import broker_process
from driftloop.kafka.broker_java import fetch_jars, find_java
from driftloop.kafka.broker_probe import free_ports

KEY, SECRET = "driftloop-test", "open-sesame"
BUCKET = "models"
_ANSWER_SECONDS = 60.0
_PROPERTIES = """\
s3proxy.authorization=aws-v2-or-v4
s3proxy.endpoint=http://127.0.0.1:{port}
s3proxy.identity={key}
s3proxy.credential={secret}
s3proxy.ignore-unknown-headers=true
jclouds.provider=filesystem-nio2
jclouds.identity={key}
jclouds.credential={secret}
jclouds.filesystem.basedir={data}
"""
_LOG = """\
<configuration><root level="WARN"/></configuration>
"""


class S3Server:
    """One server on loopback; its bucket outlives it and ends with the folder.

    Args:
        folder: For its files.

    Raises:
        KafkaUnavailableError: Java or Maven is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._java = find_java()
        pom = (Path(__file__).parent / "store" / "pom.xml").read_bytes()
        self._jars = fetch_jars(pom, "s3proxy", "S3Proxy with Maven (43 MB, once)", lambda _: None)
        self._folder = folder
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.bucket = folder / "data" / BUCKET  # objects are files there
        self.bucket.mkdir(parents=True)
        (folder / "logback.xml").write_text(_LOG)
        properties = _PROPERTIES.format(
            port=self.port, key=KEY, secret=SECRET, data=folder / "data"
        )
        (folder / "s3.properties").write_text(properties)

    def options(self, **changes: Any) -> dict[str, Any]:
        """``store.options`` that reach it; `secret` and the like replace what is right."""
        endpoint = {"endpoint_url": f"http://127.0.0.1:{self.port}", "region_name": "us-east-1"}
        return {"key": KEY, "secret": SECRET, "client_kwargs": endpoint, **changes}

    def start(self) -> None:
        """Start it, or start it again on its data, and wait until it answers."""
        command = [self._java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        command += [f"-Dlogback.configurationFile={self._folder / 'logback.xml'}"]
        command += ["-cp", f"{self._jars}/*", "org.gaul.s3proxy.Main"]
        command += ["--properties", str(self._folder / "s3.properties")]
        with (self._folder / "s3.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        pid = self._process.pid
        start = broker_process.start_of(pid) or ""
        self._guard = subprocess.Popen(  # ends it when this process ends, even by SIGKILL
            [sys.executable, "-S", broker_process.__file__, str(pid), start],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "s3.log").read_text()
            assert time.monotonic() < deadline, "the S3 server does not answer"
            time.sleep(0.05)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it; its data stays."""
        self.stop()

    def stop(self) -> None:
        """End it; its data stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._guard is not None:
            self._guard.communicate(b"\n")
            self._guard = None

    def freeze(self) -> None:
        """Let it answer nothing: connections stay open, and new ones are taken by the kernel."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it was frozen."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None, "the S3 server does not run"
        self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5):
                return True
        except urllib.error.HTTPError:  # it refuses who does not sign
            return True
        except OSError:
            return False
