"""Everything that exists now: what an audit of the account has to agree with."""

from __future__ import annotations

from typing import Any

from moto.cloudformation.models import cloudformation_backends
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends
from moto.s3.models import s3_backends
from moto.ssm.models import ssm_backends

from . import processes
from .world import World


def left(world: World) -> dict[str, list[dict[str, Any]]]:
    """By kind of thing; each entry has `id`, `tags` and mostly `region`. What AWS owns is left out."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for region, backend in _regions(ec2_backends):
        _of_ec2(found, region, backend)
    for (region, _), group in world.placement_groups.items():
        found["placement_groups"].append(
            _entry(group.name, region, _tags(group.get_tags()), group_id=group.id)
        )
    for region, backend in _regions(ssm_backends):
        for name in list(backend._parameters):
            if not name.startswith("/aws/"):
                tags = dict(backend.list_tags_for_resource("Parameter", name))
                found["parameters"].append(_entry(name, region, tags))
    for region, backend in _regions(cloudformation_backends):
        for stack in backend.stacks.values():
            entry = _entry(stack.name, region, dict(stack.tags or {}), state=stack.status)
            found["stacks"].append(entry)
    for region, backend in _regions(logs_backends):
        for name in backend.groups:
            found["log_groups"].append(_entry(name, region, {}))
    _of_s3(found)
    _of_iam(found)
    for instance, pids in processes.of_hosts(world.name).items():
        found["processes"].append({"id": instance, "pids": sorted(pids), "tags": {}})
    return found


KINDS = (
    "instances",
    "security_groups",
    "placement_groups",
    "volumes",
    "network_interfaces",
    "key_pairs",
    "vpcs",
    "subnets",
    "route_tables",
    "internet_gateways",
    "parameters",
    "buckets",
    "objects",
    "stacks",
    "log_groups",
    "roles",
    "instance_profiles",
    "processes",
)


def _regions(backends: Any) -> list[tuple[str, Any]]:
    """Only regions that were used: to ask for another one would make it."""
    return [
        (region, backend) for account in list(backends.values()) for region, backend in list(account.items())
    ]


def _entry(identity: str, region: str, tags: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"id": identity, "region": region, "tags": tags, **more}


def _tags(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in tags}


def _of_ec2(found: dict[str, list[dict[str, Any]]], region: str, backend: Any) -> None:
    for instance in backend.all_instances():
        if instance.state != "terminated":
            found["instances"].append(
                _entry(instance.id, region, _tags(instance.get_tags()), state=instance.state)
            )
    default = {vpc.id for vpc in backend.vpcs.values() if vpc.is_default}
    for vpc, groups in backend.groups.items():
        for group in groups.values():
            if group.name != "default":
                found["security_groups"].append(
                    _entry(group.id, region, _tags(group.get_tags()), name=group.name)
                )
    for volume in backend.volumes.values():
        found["volumes"].append(_entry(volume.id, region, _tags(volume.get_tags())))
    for interface in backend.enis.values():
        found["network_interfaces"].append(_entry(interface.id, region, _tags(interface.get_tags())))
    for pair in backend.key_pairs.values():
        found["key_pairs"].append(_entry(pair.key_name, region, _tags(pair.get_tags())))
    for vpc in backend.vpcs.values():
        if vpc.id not in default:
            found["vpcs"].append(_entry(vpc.id, region, _tags(vpc.get_tags())))
    for subnets in backend.subnets.values():
        for subnet in subnets.values():
            if subnet.vpc_id not in default:
                found["subnets"].append(_entry(subnet.id, region, _tags(subnet.get_tags())))
    for table in backend.route_tables.values():
        if table.vpc_id not in default:
            found["route_tables"].append(_entry(table.id, region, _tags(table.get_tags())))
    for gateway in backend.internet_gateways.values():
        found["internet_gateways"].append(_entry(gateway.id, region, _tags(gateway.get_tags())))


def _of_s3(found: dict[str, list[dict[str, Any]]]) -> None:
    for _, backend in _regions(s3_backends):
        for bucket in backend.buckets.values():
            tags = backend.tagger.get_tag_dict_for_resource(bucket.arn)
            found["buckets"].append(_entry(bucket.name, bucket.region_name, tags))
            for key in list(bucket.keys):
                found["objects"].append(
                    {"id": f"{bucket.name}/{key}", "bucket": bucket.name, "key": key, "tags": {}}
                )


def _of_iam(found: dict[str, list[dict[str, Any]]]) -> None:
    for _, backend in _regions(iam_backends):
        for role in backend.roles.values():
            found["roles"].append({"id": role.name, "tags": {}})
        for profile in backend.instance_profiles.values():
            found["instance_profiles"].append({"id": profile.name, "tags": {}})
