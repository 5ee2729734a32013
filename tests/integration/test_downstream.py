"""The service that docs/downstream.md shows runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from confluent_kafka.admin import AdminClient

from tests.scoring import Site, records

PAGE = Path(__file__).parents[2] / "docs" / "downstream.md"


def test_the_shown_service_follows_versions(
    tmp_path: Path, topic_name: Callable[[str], str], kafka_bootstrap: str, admin: AdminClient
) -> None:
    """It predicts by the version that is published, skips a bad one, and takes the next."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    site = Site(tmp_path, topic_name("downstream"), kafka_bootstrap, 1)
    code = blocks[0].replace('"features."', f'"{site.prefix}.features."')
    code = code.replace('"streams."', f'"{site.prefix}.streams."')
    code = code.replace('"my-', f'"{site.prefix}-my-')
    stream = site.streams[0]
    site.publish(stream, 1)
    site.send(site.inputs[0], records(0, 50))
    with (tmp_path / "service.log").open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "DRIFTLOOP_CONFIG": str(site.config)},
            stdout=log,
            stderr=log,
        )
    try:
        first = site.rows(stream, 50)
        assert {row["model_version"] for row in first} == {"v1"}
        assert all(row["y_pred"] == row["x"]["a"] for row in first)
        site.publish(stream, 2, sha256="0" * 64)
        site.publish(stream, 3)
        sent = 50
        while True:
            site.send(site.inputs[0], records(sent, 20))
            sent += 20
            rows = site.rows(stream, sent)
            if rows[-1]["model_version"] == "v3":
                break
            assert sent < 10_000
        assert {row["model_version"] for row in rows} == {"v1", "v3"}
        assert rows[-1]["y_pred"] == 3 * rows[-1]["x"]["a"]
    finally:
        service.kill()
        service.wait()
        site.remove(admin)
