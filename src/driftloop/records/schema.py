"""The typed structure that a profile's records are decoded into.

Dotted paths become nested `msgspec` structures, so that one pass over the bytes checks types and
skips what nobody asked for.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import Any, get_args, get_origin

import msgspec

from driftloop.settings import Profile

Number = float | bool | None
Text = str | float | bool | None

_Tree = dict[str, Any]


class RecordSchema:
    """Structure of a profile's records, and how to reach each field in it.

    Attributes:
        type: The `msgspec.Struct` to decode into.
        get: For each role, a function from a decoded record to the field's value, or None where
            the profile names no such field. Features' roles are ``x.<name>``.
        paths: For each role, its dotted path.
        shared: Roles whose field another role reads too, as a number or a text: either may come.
    """

    def __init__(self, profile: Profile) -> None:
        fields, features = profile.fields, profile.features
        classification = profile.task != "regression"
        label = Text if classification else Number
        prediction = str | float | bool | list[float] | None if classification else Number
        leaves: dict[str, tuple[str, Any]] = {
            "id": (fields.id, str | int | None),
            "ts": (fields.ts, float | str | None),
            "y_pred": (fields.y_pred, prediction),
            "y": (fields.y, label),
            "loss": (fields.loss, Number),
            "model_version": (fields.model_version, str | int | None),
        }
        if features.array:
            leaves["x"] = (fields.x, list[float | None] | None)
        else:
            prefix = f"{fields.x}." if fields.x else ""
            for name in features.numeric:
                leaves[f"x.{name}"] = (prefix + name, Number)
            for name in features.categorical:
                leaves[f"x.{name}"] = (prefix + name, Text)
        tree: _Tree = {}
        paths: dict[str, tuple[str, ...]] = {}
        for role, (path, kind) in leaves.items():
            if path:
                paths[role] = tuple(path.split("."))
                _grow(tree, paths[role], kind)
        attributes: dict[tuple[str, ...], str] = {}
        self.type = _structure("Record", tree, (), attributes)
        self.get = {
            role: attrgetter(attributes[path]) if path in attributes else None
            for role, path in paths.items()
        }
        self.paths = {role: ".".join(path) for role, path in paths.items()}
        users = Counter(paths.values())
        self.shared = frozenset(role for role, path in paths.items() if users[path] > 1)


def _grow(tree: _Tree, path: tuple[str, ...], kind: Any) -> None:
    for part in path[:-1]:
        below = tree.setdefault(part, {})
        if not isinstance(below, dict):
            below = tree[part] = {"": below}
        tree = below
    if isinstance(tree.get(path[-1]), dict):
        tree[path[-1]].setdefault("", kind)
    elif path[-1] in tree and not _arrays(tree[path[-1]], kind):
        tree[path[-1]] |= kind
    else:
        tree.setdefault(path[-1], kind)


def _arrays(*kinds: Any) -> bool:
    return any(get_origin(part) is list for kind in kinds for part in get_args(kind))


def _structure(
    name: str,
    tree: _Tree,
    path: tuple[str, ...],
    attributes: dict[tuple[str, ...], str],
    prefix: str = "",
) -> type[msgspec.Struct]:
    members: list[tuple[str, Any, Any]] = []
    rename: dict[str, str] = {}
    for index, (key, below) in enumerate(tree.items()):
        if not key:
            continue
        attribute = f"f{index}"
        rename[attribute] = key
        here = (*path, key)
        if isinstance(below, dict):
            inner = _structure(f"{name}_{index}", below, here, attributes, f"{prefix}{attribute}.")
            members.append((attribute, inner | None, msgspec.field(default_factory=inner)))
        else:
            attributes[here] = prefix + attribute
            members.append((attribute, below, None))
    return msgspec.defstruct(name, members, rename=rename, gc=False)
