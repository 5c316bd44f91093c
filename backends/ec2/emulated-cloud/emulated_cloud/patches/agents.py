"""What SSM says about the agents on hosts."""

from __future__ import annotations

import time
from typing import Any

from moto.core.responses import ActionResult
from moto.ssm.exceptions import InvalidFilterKey
from moto.ssm.responses import SimpleSystemManagerResponse

from ..host import Host
from ..pages import page
from ..world import world
from . import add

PAGE_MAX = 50


def install() -> None:
    """Gives SSM the operation."""
    add(SimpleSystemManagerResponse, "describe_instance_information", _describe)


def hosts_of(region: str) -> list[Host]:
    """Hosts whose agents SSM has heard of, in a stable order."""
    found = [host for host in world().hosts.values() if host.region == region and host.is_registered]
    return sorted(found, key=lambda host: host.id)


def tags_of(host: Host) -> dict[str, str]:
    """Tags of the instance."""
    return {tag["key"]: tag["value"] for tag in host.instance.get_tags()}


def is_target(host: Host, key: str, values: list[str]) -> bool:
    """Whether one target or filter of SSM means the host.

    Raises InvalidFilterKey if there is no such filter.
    """
    if key.startswith("tag:"):
        return tags_of(host).get(key.removeprefix("tag:")) in values
    if key == "tag-key":
        return any(value in tags_of(host) for value in values)
    if key.lower() == "instanceids":
        return host.id in values
    if key == "PingStatus":
        return _ping_status(host) in values
    if key in ("PlatformTypes", "PlatformType"):
        return "Linux" in values
    if key == "ResourceType":
        return "EC2Instance" in values or "ManagedInstance" not in values
    raise InvalidFilterKey(f"The filter {key} is invalid")


def _describe(self: Any) -> ActionResult:
    filters = [(entry["Key"], entry["Values"]) for entry in self._get_param("Filters", [])]
    older = [
        (entry["key"], entry["valueSet"]) for entry in self._get_param("InstanceInformationFilterList", [])
    ]
    found = [
        _described(host)
        for host in hosts_of(self.region)
        if all(is_target(host, key, values) for key, values in filters + older)
    ]
    part, token = page(found, self._get_param("NextToken"), self._get_int_param("MaxResults"), PAGE_MAX)
    return ActionResult({"InstanceInformationList": part, "NextToken": token})


def _ping_status(host: Host) -> str:
    return "Online" if host.agent_is_online else "ConnectionLost"


def _described(host: Host) -> dict[str, Any]:
    if host.agent_is_online:
        host.last_ping_s = time.time()
    return {
        "InstanceId": host.id,
        "PingStatus": _ping_status(host),
        "LastPingDateTime": host.last_ping_s,
        "AgentVersion": "3.3.3050.0",
        "IsLatestVersion": True,
        "PlatformType": "Linux",
        "PlatformName": "Amazon Linux",
        "PlatformVersion": "2023",
        "ResourceType": "EC2Instance",
        "IPAddress": host.instance.private_ip,
        "ComputerName": host.instance.private_dns_name,
        "SourceId": host.id,
        "SourceType": "AWS::EC2::Instance",
    }
