"""Reads the deployment files: Kubernetes objects with overlays applied, compose, Dockerfile."""

from __future__ import annotations

import copy
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"

Object = dict[str, Any]


def objects(folder: Path) -> list[Object]:
    """Objects that a kustomization gives: its resources, then its JSON patches.

    Only what this project's kustomizations use; where kubectl is at hand, a test compares.
    """
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    found: list[Object] = []
    for name in kustomization.get("resources", []):
        path = folder / name
        if path.is_dir():
            found += objects(path)
        else:
            found += [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]
    labels = kustomization.get("generatorOptions", {})
    found += [
        _generated(folder, one, labels) for one in kustomization.get("configMapGenerator", [])
    ]
    tags = {one["name"]: one["newTag"] for one in kustomization.get("images", [])}
    found = [_tagged(one, tags) for one in found]
    for patch in kustomization.get("patches", []):
        target = patch["target"]
        hit = [
            one
            for one in found
            if (one["kind"], one["metadata"]["name"]) == (target["kind"], target["name"])
        ]
        assert len(hit) == 1, f"{target} names one object"
        for operation in yaml.safe_load(patch["patch"]):
            _add(hit[0], operation)
    return found


def _generated(folder: Path, generator: Object, options: Object) -> Object:
    assert options["disableNameSuffixHash"] is True
    data = {}
    for one in generator["files"]:
        name, _, file = one.rpartition("=")
        assert ".." not in file, "kustomize reads no file outside its folder"
        data[name or Path(file).name] = (folder / file).read_text(encoding="utf-8")
    labels = generator.get("options", {}).get("labels")
    about = {"name": generator["name"], "namespace": generator["namespace"]}
    about |= {"labels": labels} if labels else {}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}


def _tagged(one: Object, tags: dict[str, str]) -> Object:
    one = copy.deepcopy(one)
    for container in containers(one):
        name = container["image"].rpartition(":")[0]
        if name in tags:
            container["image"] = f"{name}:{tags[name]}"
    return one


def _add(one: Any, operation: Object) -> None:
    assert operation["op"] == "add"
    *path, last = [
        part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
    ]
    for part in path:
        one = one[int(part)] if isinstance(one, list) else one[part]
    if isinstance(one, list):
        assert last == "-"
        one.append(operation["value"])
    else:
        one[last] = operation["value"]


def pod_spec(one: Object) -> Object:
    """The pods of an object, or nothing."""
    found: Object = one.get("spec", {}).get("template", {}).get("spec", {})
    return found


def containers(one: Object) -> list[Object]:
    """Its pods' containers, those for initialisation first."""
    spec = pod_spec(one)
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def compose() -> Object:
    """docker-compose.yml, with its YAML merges applied."""
    found: Object = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return found


@dataclass
class Stage:
    """A stage of the Dockerfile: its name, what it builds on, and its instructions."""

    name: str
    base: str
    lines: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """Arguments of every instruction of that name."""
        return [rest for name, rest in self.lines if name == instruction]


def dockerfile() -> dict[str, Stage]:
    """Stages by name, in their order."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    stages: dict[str, Stage] = {}
    for line in filter(str.strip, text.splitlines()):
        instruction, rest = line.split(None, 1)
        if instruction == "FROM":
            base, _, name = shlex.split(rest)
            stages[name] = Stage(name, base)
        else:
            stages[list(stages)[-1]].lines.append((instruction, rest))
    return stages
