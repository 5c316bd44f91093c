"""Checks requests against the service's own model: unknown and missing parameters, which moto lets pass."""

from __future__ import annotations

from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from .operations import Asked

COMMON_QUERY = {
    "x-id",
    "AWSAccessKeyId",
    "Signature",
    "Expires",
    "SignatureMethod",
    "SignatureVersion",
    "Timestamp",
}
"""Allowed with every operation, without being in its model."""


def violations(asked: Asked) -> list[str]:
    """What is wrong with a request, in words; empty if nothing is."""
    if asked.problem is not None:
        return [asked.problem]
    assert asked.model is not None, "a request without a problem has a model"
    shape = asked.model.input_shape
    if asked.protocol in ("query", "ec2"):
        given = {key: value for key, value in asked.parameters.items() if key not in COMMON_QUERY}
        if shape is None:
            return [f"unknown parameter {name}" for name in given]
        return _structure(shape, _tree(given), "", asked.protocol)
    if asked.protocol == "json":
        if shape is None:
            return [f"unknown parameter {name}" for name in asked.parameters]
        return _json(shape, asked.parameters, "")
    return _query_parameters(asked)


def _tree(pairs: dict[str, str]) -> dict[str, Any]:
    """`A.1.B=x` becomes `{A: {1: {B: x}}}`."""
    root: dict[str, Any] = {}
    for key, value in pairs.items():
        *parents, last = key.split(".")
        node = root
        for parent in parents:
            child = node.setdefault(parent, {})
            node = child if isinstance(child, dict) else node.setdefault(f"{parent}.", {})
        node[last] = value
    return root


def _structure(shape: StructureShape, given: Any, path: str, protocol: str) -> list[str]:
    if not isinstance(given, dict):
        return [] if given == "" else [f"{path or 'the request'} should be a structure"]
    names = {_wire_name(name, member, protocol): name for name, member in shape.members.items()}
    found = [f"unknown parameter {path}{wire}" for wire in given if wire not in names]
    wires = {name: wire for wire, name in names.items()}
    missing = [name for name in shape.required_members if wires[name] not in given]
    # An empty list is not on the wire at all in these protocols.
    found += [
        f"missing parameter {path}{name}"
        for name in missing
        if not isinstance(shape.members[name], ListShape)
    ]
    for wire, value in given.items():
        if wire in names:
            found += _value(shape.members[names[wire]], value, f"{path}{wire}", protocol)
    return found


def _wire_name(name: str, member: Shape, protocol: str) -> str:
    serialization = member.serialization
    if protocol == "ec2":
        if "queryName" in serialization:
            return serialization["queryName"]
        wire = serialization.get("name", name)
        return wire[0].upper() + wire[1:]
    if isinstance(member, ListShape) and serialization.get("flattened"):
        return member.member.serialization.get("name", serialization.get("name", name))
    return serialization.get("name", name)


def _value(shape: Shape, given: Any, path: str, protocol: str) -> list[str]:
    if isinstance(shape, StructureShape):
        return _structure(shape, given, f"{path}.", protocol)
    if isinstance(shape, ListShape):
        return _list(shape, given, path, protocol)
    if isinstance(shape, MapShape):
        return []
    return [f"{path} should be a plain value"] if isinstance(given, dict) else _length(shape, given, path)


def _list(shape: ListShape, given: Any, path: str, protocol: str) -> list[str]:
    if given == "":
        return []
    flat = protocol == "ec2" or shape.serialization.get("flattened")
    if not flat:
        member = shape.member.serialization.get("name", "member")
        if not isinstance(given, dict) or set(given) != {member}:
            return [f"{path} should be a list of {path}.{member}.N"]
        given, path = given[member], f"{path}.{member}"
    if not isinstance(given, dict) or not all(key.isdigit() for key in given):
        return [f"{path} should be a list of {path}.N"]
    found = []
    for key, value in given.items():
        found += _value(shape.member, value, f"{path}.{key}", protocol)
    return found


def _json(shape: Shape, given: Any, path: str) -> list[str]:
    if isinstance(shape, StructureShape):
        if not isinstance(given, dict):
            return [f"{path or 'the request'} should be a structure"]
        members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        found = [f"unknown parameter {path}{name}" for name in given if name not in members]
        found += [f"missing parameter {path}{name}" for name in shape.required_members if name not in given]
        for name, value in given.items():
            if name in members and value is not None:
                found += _json(members[name], value, f"{path}{name}.")
        return found
    label = path.rstrip(".")
    if isinstance(shape, ListShape):
        if not isinstance(given, list):
            return [f"{label} should be a list"]
        return [
            text
            for index, value in enumerate(given)
            for text in _json(shape.member, value, f"{path}{index}.")
        ]
    if isinstance(shape, MapShape):
        if not isinstance(given, dict):
            return [f"{label} should be a map"]
        return [text for key, value in given.items() for text in _json(shape.value, value, f"{path}{key}.")]
    if isinstance(given, (dict, list)):
        return [f"{label} should be a plain value"]
    return _length(shape, given, label)


def _length(shape: Shape, given: Any, path: str) -> list[str]:
    """Limits that the model states: of the length of text, of the value of a number."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    try:
        size = len(given) if shape.type_name == "string" else float(given)
    except (TypeError, ValueError):
        return (
            [f"{path} should be of type {shape.type_name}"] if shape.type_name in ("integer", "long") else []
        )
    if shape.type_name not in ("string", "integer", "long"):
        return []
    if (least is not None and size < least) or (most is not None and size > most):
        return [f"{path} should be from {least} to {most}, and is {size}"]
    return []


def _query_parameters(asked: Asked) -> list[str]:
    assert asked.model is not None, "the caller has checked"
    shape = asked.model.input_shape
    allowed = set(COMMON_QUERY) | {"Bucket", "Key"}
    for part in asked.model.http["requestUri"].partition("?")[2].split("&"):
        allowed.add(part.partition("=")[0])
    for name, member in shape.members.items() if shape else ():
        if member.serialization.get("location") == "querystring":
            allowed.add(member.serialization.get("name", name))
    return [
        f"unknown parameter {name}"
        for name in asked.parameters
        if name not in allowed and not name.lower().startswith("x-amz-")
    ]
