"""Which operation of which service a request asks for, and with what parameters."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import botocore.session
from botocore.model import OperationModel, ServiceModel

SIGNING_NAMES = {"servicequotas": "service-quotas", "monitoring": "cloudwatch"}
"""Services whose name in a signature is not that of their model."""


CALLER, HOST = "caller", "host"

HOST_KEY = "emulated-host"
"""Access key in the environment of hosts."""

PARTITIONS = ("aws", "aws-cn", "aws-us-gov")


@dataclass
class Asked:
    """One request, as far as it could be understood."""

    service: str
    operation: str
    protocol: str
    parameters: dict[str, Any] = field(default_factory=dict)
    model: OperationModel | None = None
    problem: str | None = None
    region: str = ""
    # Who asks: the caller, or a host, which has other credentials or an address that was signed for it.
    origin: str = CALLER

    @property
    def name(self) -> str:
        """Such as `ec2:RunInstances`."""
        return f"{self.service}:{self.operation}"


@functools.cache
def service_model(service: str) -> ServiceModel:
    """The installed botocore's own model; raises for an unknown service."""
    return botocore.session.get_session().get_service_model(service)


def understand(environ: dict[str, Any], body: bytes) -> Asked:
    """Never raises: what cannot be understood is a problem in the answer."""
    service, region = _scope(environ)
    try:
        model = service_model(service)
    except Exception:
        return Asked(
            service, "Unknown", "unknown", region=region, problem=f"botocore knows no service {service}"
        )
    protocol = model.metadata["protocol"]
    if protocol in ("query", "ec2"):
        asked = _from_form(environ, body, service, protocol)
    elif protocol == "json":
        asked = _from_json(environ, body, service)
    else:
        asked = _from_path(environ, service, protocol, model)
    asked.region, asked.origin = region, _origin(environ)
    if asked.problem is None:
        if asked.operation in model.operation_names:
            asked.model = model.operation_model(asked.operation)
        else:
            asked.problem = f"{service} has no operation {asked.operation}"
    return asked


def query_of(environ: dict[str, Any]) -> dict[str, str]:
    """The part of the address after the question mark."""
    return dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))


@functools.cache
def regions() -> frozenset[str]:
    """All that there are."""
    session = botocore.session.get_session()
    return frozenset(name for kind in PARTITIONS for name in session.get_available_regions("ec2", kind))


def _scope(environ: dict[str, Any]) -> tuple[str, str]:
    """Service and region of the signature; what is not signed is a public request to S3."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    if len(scope) < 5:
        scope = query_of(environ).get("X-Amz-Credential", "").split("/")
    region, name = (scope[2], scope[3]) if len(scope) >= 5 else ("", "s3")
    return SIGNING_NAMES.get(name, name), region


def _origin(environ: dict[str, Any]) -> str:
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    return CALLER if authorization and f"Credential={HOST_KEY}/" not in authorization else HOST


def _from_form(environ: dict[str, Any], body: bytes, service: str, protocol: str) -> Asked:
    pairs = {**query_of(environ), **dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))}
    operation = pairs.pop("Action", "Unknown")
    pairs.pop("Version", None)
    return Asked(service, operation, protocol, pairs)


def _from_json(environ: dict[str, Any], body: bytes, service: str) -> Asked:
    operation = environ.get("HTTP_X_AMZ_TARGET", "Unknown").rpartition(".")[2]
    try:
        parameters = json.loads(body or b"{}")
    except ValueError as error:
        return Asked(service, operation, "json", problem=f"the body is no JSON: {error}")
    return Asked(service, operation, "json", parameters)


def _from_path(environ: dict[str, Any], service: str, protocol: str, model: ServiceModel) -> Asked:
    """S3: the operation with the most fixed query parameters that fits method and path."""
    query = query_of(environ)
    parts = unquote(environ.get("PATH_INFO", "/")).lstrip("/").split("/", 1)
    given = {name: part for name, part in zip(("Bucket", "Key"), parts, strict=False) if part}
    candidates = []
    for name, http in _paths(model.service_name):
        path, _, fixed_text = http["requestUri"].partition("?")
        fixed = dict(parse_qsl(fixed_text, keep_blank_values=True))
        labels = {label for label in ("Bucket", "Key") if f"{{{label}" in path}
        fits = http["method"] == environ["REQUEST_METHOD"] and labels == given.keys()
        if fits and all(query.get(key) == value for key, value in fixed.items()):
            operation = model.operation_model(name)
            needed = _required_bindings(operation, environ, query)
            if needed is not None:
                candidates.append((len(fixed) + needed, -len(candidates), name))
    if not candidates:
        problem = f"no operation fits {environ['REQUEST_METHOD']} {environ.get('PATH_INFO')} {sorted(query)}"
        return Asked(service, "Unknown", protocol, {**given, **query}, problem=problem)
    return Asked(service, max(candidates)[2], protocol, {**given, **query})


@functools.cache
def _paths(service: str) -> list[tuple[str, dict[str, str]]]:
    model = service_model(service)
    paths = [(name, model.operation_model(name).http) for name in model.operation_names]
    # WriteGetObjectResponse and others that live on another host have other paths.
    return [(name, http) for name, http in paths if not model.operation_model(name).deprecated]


def _required_bindings(model: OperationModel, environ: dict[str, Any], query: dict[str, str]) -> int | None:
    """How many required query parameters and headers are there; None if one is not."""
    shape = model.input_shape
    if shape is None:
        return 0
    count = 0
    for name in shape.required_members:
        serialization = shape.members[name].serialization
        location, wire = serialization.get("location"), serialization.get("name", name)
        if location == "querystring" and wire not in query:
            return None
        if location == "header" and "HTTP_" + wire.upper().replace("-", "_") not in environ:
            return None
        count += location in ("querystring", "header")
    return count
