"""Compose file and Kubernetes objects fit the schemas of those who run them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from driftloop.demo.configuration import Layout
from driftloop.kafka.broker_docker import IMAGE
from driftloop.settings import load_settings
from tests.deploy.manifests import K8S, ROOT, compose, containers, objects, pod_spec

FOLDERS = [K8S / "base", *sorted((K8S / "overlays").iterdir())]


def test_the_compose_file_fits_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, str(ROOT / "docker-compose.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_kubernetes_object_fits_the_newest_known_version(folder: Path) -> None:
    found = objects(folder)
    assert {one["kind"] for one in found} >= {"StatefulSet", "Deployment", "ConfigMap", "Service"}
    for one in found:
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not at hand")
def test_kustomize_gives_the_objects_that_are_tested_here(folder: Path) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True
    )

    def ordered(one: object) -> str:
        return json.dumps(one, sort_keys=True)

    rendered = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert sorted(map(ordered, rendered)) == sorted(map(ordered, objects(folder)))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_object_lies_in_the_namespace(folder: Path) -> None:
    for one in objects(folder):
        if one["kind"] != "Namespace":
            assert one["metadata"]["namespace"] == "driftloop", one["metadata"]["name"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_container_is_bounded_and_without_rights(folder: Path) -> None:
    for one in objects(folder):
        for container in containers(one):
            assert set(container["resources"]) == {"requests", "limits"}
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
        if spec := pod_spec(one):
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert spec["automountServiceAccountToken"] is False


def test_what_a_pod_mounts_exists() -> None:
    found = objects(K8S / "base")
    claims = {one["metadata"]["name"] for one in found if one["kind"] == "PersistentVolumeClaim"}
    configs = {one["metadata"]["name"] for one in found if one["kind"] == "ConfigMap"}
    for one in found:
        volumes = {volume["name"]: volume for volume in pod_spec(one).get("volumes", [])}
        templates = one.get("spec", {}).get("volumeClaimTemplates", [])
        known = set(volumes) | {template["metadata"]["name"] for template in templates}
        for container in containers(one):
            assert {mount["name"] for mount in container["volumeMounts"]} <= known
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
            if "configMap" in volume:
                assert volume["configMap"]["name"] in configs


def test_the_configurations_have_no_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    config = next(one for one in objects(K8S / "base") if one["kind"] == "ConfigMap")
    in_cluster = tmp_path / "driftloop.toml"
    in_cluster.write_text(config["data"]["driftloop.toml"], encoding="utf-8")
    settings = load_settings(in_cluster)
    monkeypatch.setenv("KAFKA_USERNAME", "u")
    monkeypatch.setenv("KAFKA_PASSWORD", "p")
    assert settings.kafka.client()["sasl.password"] == "p"
    in_compose = load_settings(ROOT / compose()["configs"]["driftloop"]["file"])
    assert in_compose.profile_of("flights.LAX") is not None


def test_the_profile_in_the_cluster_can_train_a_first_model(tmp_path: Path) -> None:
    """The scorer is deployed, so a stream must get from no model to one without a command."""
    config = next(one for one in objects(K8S / "base") if one["kind"] == "ConfigMap")
    file = tmp_path / "driftloop.toml"
    file.write_text(config["data"]["driftloop.toml"], encoding="utf-8")
    found = load_settings(file).profile_of("streams.lyon")
    assert found is not None
    assert found[1].features.numeric
    assert found[1].training.initial > 0


def test_every_variable_that_the_configuration_names_is_given_to_each_part() -> None:
    config = next(one for one in objects(K8S / "base") if one["kind"] == "ConfigMap")
    properties = tomllib.loads(config["data"]["driftloop.toml"])["kafka"]["properties"]
    named = {value["env"] for value in properties.values() if isinstance(value, dict)}
    assert named == {"KAFKA_USERNAME", "KAFKA_PASSWORD"}
    for one in objects(K8S / "base"):
        for container in pod_spec(one).get("containers", []):
            assert named <= {variable["name"] for variable in container["env"]}


def test_what_must_last_lies_on_a_volume() -> None:
    settings = load_settings(ROOT / "docker" / "driftloop.toml")
    for name, lasting in {
        "monitor": {settings.monitor.recovery},
        "trainer": {settings.store.uri},
        "scorer": {settings.scorer.recovery, settings.store.uri},
    }.items():
        mounted = {one.split(":")[1] for one in compose()["services"][name]["volumes"]}
        assert lasting <= mounted
        in_cluster = next(
            container
            for one in objects(K8S / "base")
            for container in pod_spec(one).get("containers", [])
            if container["name"] == name
        )
        assert lasting <= {mount["mountPath"] for mount in in_cluster["volumeMounts"]}


def test_compose_publishes_on_loopback_only_and_runs_without_root() -> None:
    for name, service in compose()["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        if "build" in service:  # other images have a user of their own
            assert service["user"] == "10001:10001"
            assert service["read_only"] is True
        assert service["healthcheck"]["test"]


def test_compose_runs_the_kafka_that_the_tests_run() -> None:
    assert compose()["services"]["kafka"]["image"] == IMAGE


def test_compose_retrains_the_flights_as_the_demo_does(tmp_path: Path) -> None:
    demo = load_settings(Layout(tmp_path).write("kafka:9092"))
    in_compose = load_settings(ROOT / compose()["configs"]["driftloop"]["file"])
    assert in_compose.profiles["flights"].hash == demo.profiles["flights"].hash
    assert in_compose.monitor.shards == demo.monitor.shards
    assert (in_compose.scorer.topics, in_compose.scorer.output) == (
        demo.scorer.topics,
        demo.scorer.output,
    )
