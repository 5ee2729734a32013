"""Every command of Dockerfile, compose file and Kubernetes objects exists, with its options."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from driftloop.cli.app import app
from driftloop.heartbeat import PARTS
from tests.deploy.manifests import (
    K8S,
    ROOT,
    compose,
    containers,
    dockerfile,
    objects,
    pod_spec,
)

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Where each command stands, and its words."""
    for name, stage in dockerfile().items():
        for words in stage.all("CMD"):
            yield f"Dockerfile {name}", ["driftloop", *json.loads(words)]
    for name, service in compose()["services"].items():
        if "command" in service:
            yield f"compose {name}", ["driftloop", *service["command"]]
        kind, *test = service["healthcheck"]["test"]
        assert kind == "CMD"
        yield f"compose {name} healthcheck", test
    for folder in ("base", "overlays/gpu", "overlays/dashboard"):
        for one in objects(K8S / folder):
            for container in containers(one):
                place = f"k8s {folder} {container['name']}"
                entrypoint = container.get("command", ["driftloop"])
                yield place, [*entrypoint, *container.get("args", [])]


COMMANDS = dict(_commands())


@pytest.mark.parametrize(
    "place", [place for place, words in COMMANDS.items() if "driftloop" in words]
)
def test_driftloop_knows_the_command_and_each_of_its_options(place: str) -> None:
    """Options are parsed before ``--help`` is served, so an unknown one fails."""
    result = CliRunner().invoke(app, [*COMMANDS[place][1:], "--help"])
    assert result.exit_code == 0, result.output


def test_other_commands_are_those_of_the_images() -> None:
    """Kafka's own, and BusyBox's wget in those of Prometheus and Grafana."""
    others = {words[0] for words in COMMANDS.values() if words[0] != "driftloop"}
    assert others == {"/opt/kafka/bin/kafka-broker-api-versions.sh", "wget"}


def test_each_part_is_probed_by_its_own_heartbeat() -> None:
    for place, words in COMMANDS.items():
        if words[:2] == ["driftloop", "health"]:
            assert words[2] in PARTS
            assert words[2] in place


def test_every_part_in_kubernetes_is_probed_where_it_serves() -> None:
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for one in objects(K8S / "base"):
        for container in pod_spec(one).get("containers", []):
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            arguments = container["args"]
            where = arguments[arguments.index("--metrics") + 1]
            assert where == f"0.0.0.0:{ports['metrics']}"
            for probe in PROBES:
                assert container[probe]["httpGet"] == {"path": paths[probe], "port": "metrics"}


def test_prometheus_scrapes_each_part_where_it_serves() -> None:
    services = compose()["services"]
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    jobs = {
        one["job_name"]: one["static_configs"][0]["targets"] for one in config["scrape_configs"]
    }
    for part in ("monitor", "trainer", "scorer"):
        command = services[part]["command"]
        port = command[command.index("--metrics") + 1].removeprefix("0.0.0.0:")
        assert jobs[f"driftloop-{part}"] == [f"{part}:{port}"]
    mounted = {one["target"] for one in services["prometheus"]["configs"]}
    assert set(config["rule_files"]) < mounted


def test_prometheus_finds_the_pods_of_each_part_by_their_labels() -> None:
    """As its relabelling rules say: kept by name and port, their job by component."""
    config = yaml.safe_load((ROOT / "deploy/prometheus/kubernetes.yml").read_text("utf-8"))
    (scraped,) = config["scrape_configs"]
    assert scraped["kubernetes_sd_configs"][0]["namespaces"]["names"] == ["driftloop"]
    rules = {rule["source_labels"][0]: rule for rule in scraped["relabel_configs"]}
    prefix = "__meta_kubernetes_pod_label_app_kubernetes_io_"
    assert rules[f"{prefix}name"]["regex"] == "driftloop"
    assert rules["__meta_kubernetes_pod_container_port_name"]["regex"] == "metrics"
    assert rules[f"{prefix}component"]["replacement"] == "driftloop-$1"
    for one in objects(K8S / "base"):
        if pod_spec(one):
            labels = one["spec"]["template"]["metadata"]["labels"]
            assert labels["app.kubernetes.io/name"] == "driftloop"
            assert labels["app.kubernetes.io/component"] in {"monitor", "trainer", "scorer"}


def test_images_are_those_that_the_dockerfile_builds() -> None:
    targets = set(dockerfile())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    for name, service in compose()["services"].items():
        if "build" not in service:
            assert name in {"kafka", "prometheus", "grafana"}
        else:
            assert service["build"]["target"] == name
            assert name in targets
            assert service["image"] == f"driftloop/{name}:{version}"
    for one in objects(K8S / "base"):
        for container in containers(one):
            name = container["image"].removeprefix("driftloop/").removesuffix(f":{version}")
            assert name in targets


def test_what_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    for stage in dockerfile().values():
        for words in stage.all("COPY"):
            if words.startswith("--from="):
                source = words.removeprefix("--from=").split()[0]
                assert source in dockerfile()
                continue
            for name in words.split()[:-1]:
                assert (ROOT / name).exists(), name
                assert name.removeprefix("./") in allowed


def test_only_the_trainers_image_holds_torch_and_none_runs_as_root() -> None:
    stages = dockerfile()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    torch = {
        name for name, needs in extras.items() if any(one.startswith("torch") for one in needs)
    }
    assert torch == {"trainer"}
    for name in ("monitor", "scorer", "demo"):
        installed = " ".join(stages[f"build-{name}"].all("RUN"))
        assert "uv pip install" in installed
        assert "trainer" not in installed
    for name in ("monitor", "scorer", "trainer", "demo"):
        assert stages[name].base == "runtime"
    assert stages["runtime"].all("USER") == ["10001:10001"]


def test_versions_are_pinned_in_every_image() -> None:
    uv = next(
        line.split(":=")[1].strip()
        for line in (ROOT / "Makefile").read_text("utf-8").splitlines()
        if line.startswith("UV_VERSION")
    )
    stages = dockerfile()
    assert f"uv=={uv}" in stages["build"].all("RUN")[0]
    for name, stage in stages.items():
        if name.startswith("build-"):
            assert all("--constraint constraints.txt" in words for words in stage.all("RUN"))


def _monitor() -> dict[str, Any]:
    return next(one for one in objects(K8S / "base") if one["kind"] == "StatefulSet")


def test_the_clusters_addresses_are_those_of_its_pods() -> None:
    """Process i listens where pod i is found, on the port that the service names."""
    one = _monitor()
    name, service = one["metadata"]["name"], one["spec"]["serviceName"]
    arguments = pod_spec(one)["containers"][0]["args"]
    addresses = arguments[arguments.index("--addresses") + 1].split(";")
    expected = [f"{name}-{i}.{service}:2101" for i in range(one["spec"]["replicas"])]
    assert addresses == expected
    headless = next(
        other
        for other in objects(K8S / "base")
        if (other["kind"], other["metadata"]["name"]) == ("Service", service)
    )
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"] is True
    assert [port["port"] for port in headless["spec"]["ports"]] == [2101]


def test_each_process_of_the_cluster_has_a_recovery_volume_of_its_own() -> None:
    """It finds its number in its pod's, and its part of the recovery store on its own volume."""
    one = _monitor()
    container = pod_spec(one)["containers"][0]
    arguments = container["args"]
    assert arguments[arguments.index("--process-id") + 1] == "$(POD_INDEX)"
    index = next(variable for variable in container["env"] if variable["name"] == "POD_INDEX")
    path = index["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.labels['apps.kubernetes.io/pod-index']"
    templates = {template["metadata"]["name"] for template in one["spec"]["volumeClaimTemplates"]}
    assert {mount["name"] for mount in container["volumeMounts"]} & templates == {"recovery"}


def test_yaml_files_are_all_read_by_a_kustomization() -> None:
    for folder in (K8S / "base", *(K8S / "overlays" / name for name in ("gpu", "dashboard"))):
        named = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))["resources"]
        there = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml"}
        assert there <= set(named)
