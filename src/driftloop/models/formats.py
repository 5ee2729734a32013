"""Formats of stored models that run no code when they are read; pickle is none of them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

_EXTRA = {"onnx": "onnx", "skops": "sklearn", "sklearn": "sklearn", "xgboost": "xgboost"}


class Format(NamedTuple):
    """How models of a format become bytes, and are read again.

    Attributes:
        file: Name of the file beside ``model.json``.
        dump: From a model to bytes.
        load: From bytes, and the names of the types that may be made, to the model. Raises
            ValueError where the bytes hold something else.
    """

    file: str
    dump: Callable[[Any], bytes]
    load: Callable[[bytes, AbstractSet[str]], Any]


def needed(error: ImportError) -> str:
    """What to install for a module that is missing."""
    module = (error.name or "").partition(".")[0]
    package = f"driftloop[{_EXTRA[module]}]" if module in _EXTRA else module or "its package"
    return f"pip install '{package}'"


def _dump_arrays(model: Any) -> bytes:
    arrays = {name: np.ascontiguousarray(value) for name, value in sorted(model.items())}
    return safetensors.numpy.save(arrays)


def _load_arrays(content: bytes, trusted: AbstractSet[str]) -> Any:  # noqa: ARG001  # no types
    try:
        return safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error


def _dump_skops(model: Any) -> bytes:
    from skops import io as skops_io  # noqa: PLC0415  # an extra

    return _canonical(skops_io.dumps(model))


def _canonical(content: bytes) -> bytes:
    """The same model, the same bytes: addresses in memory become numbers, times of day are left."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files.pop("schema.json"))
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    _renumber(schema, numbers, names)
    written = {"schema.json": json.dumps(schema).encode()}
    written |= {names.get(name, name): value for name, value in sorted(files.items())}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(written):
            entry = zipfile.ZipInfo(name)  # its time is that of 1980
            archive.writestr(entry, written[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _renumber(node: Any, numbers: dict[int, int], names: dict[str, str]) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("__id__"), int):
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers))
        if isinstance(node.get("file"), str):
            kind = node["file"].partition(".")[2]
            node["file"] = names.setdefault(node["file"], f"{len(names)}.{kind}")
        for inner in node.values():
            _renumber(inner, numbers, names)
    elif isinstance(node, list):
        for inner in node:
            _renumber(inner, numbers, names)


def _load_skops(content: bytes, trusted: AbstractSet[str]) -> Any:
    from skops import io as skops_io  # noqa: PLC0415  # an extra

    found = skops_types(content)
    if found - trusted:
        names = ", ".join(sorted(found - trusted))
        raise ValueError(f"only trusted types are made from it, and it names {names}")
    # What skops would trust by itself is wider than the list, which was just held against it.
    unknown = skops_io.get_untrusted_types(data=content)
    return skops_io.loads(content, trusted=sorted(set(unknown) & trusted))


def skops_types(content: bytes) -> set[str]:
    """Names of all types and functions that a skops file would make or call.

    Raises:
        ValueError: It is no skops file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            schema = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(f"no skops file: {error}") from error
    return set(_named(schema))


def _named(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("__class__"), str):
            yield f"{node.get('__module__')}.{node['__class__']}"
        if isinstance(node.get("function"), str):
            yield f"{node.get('module_path')}.{node['function']}"
        for inner in node.values():
            yield from _named(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _named(inner)


def _dump_ubj(model: Any) -> bytes:
    return bytes(model.save_raw("ubj"))


def _load_ubj(content: bytes, trusted: AbstractSet[str]) -> Any:  # noqa: ARG001  # no types
    import xgboost  # noqa: PLC0415  # an extra

    booster = xgboost.Booster({"nthread": 1})
    try:
        booster.load_model(bytearray(content))
    except xgboost.core.XGBoostError as error:
        raise ValueError(str(error).strip().splitlines()[0]) from error
    booster.set_param({"nthread": 1})
    return booster


def _dump_onnx(model: Any) -> bytes:
    return bytes(model if isinstance(model, bytes) else model.SerializeToString())


def _load_onnx(content: bytes, trusted: AbstractSet[str]) -> Any:  # noqa: ARG001  # no types
    import onnxruntime  # noqa: PLC0415  # an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(str(error)) from error


FORMATS: dict[str, Format] = {
    "safetensors": Format("model.safetensors", _dump_arrays, _load_arrays),
    "skops": Format("model.skops", _dump_skops, _load_skops),
    "ubj": Format("model.ubj", _dump_ubj, _load_ubj),
    "onnx": Format("model.onnx", _dump_onnx, _load_onnx),
}
