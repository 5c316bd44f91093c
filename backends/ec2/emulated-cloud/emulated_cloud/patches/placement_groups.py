"""Placement groups, which moto does not have."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2 import utils as moto_utils
from moto.ec2.responses import EC2Response
from moto.moto_api._internal import mock_random

from ..world import world
from . import add, existing

STRATEGIES = ("cluster", "spread", "partition")
PARTITIONS_MAX = 7
SPREAD_MAX = 7
"""Instances of a spread group in one zone."""


class PlacementGroup(TaggedEC2Resource):
    """One group of one region."""

    def __init__(self, backend: Any, region: str, name: str, strategy: str, partitions: int | None) -> None:
        self.ec2_backend = backend
        self.id = f"pg-{mock_random.get_random_hex(17)}"
        self.region = region
        self.name = name
        self.strategy = strategy
        self.partitions = partitions

    def users(self) -> list[Any]:
        """Instances in the group that are not terminated."""
        return [
            instance
            for instance in self.ec2_backend.all_instances()
            if instance.placement.group_name == self.name and instance.state != "terminated"
        ]

    def described(self) -> dict[str, Any]:
        """As EC2 describes it."""
        account = self.ec2_backend.account_id
        return {
            "GroupId": self.id,
            "GroupName": self.name,
            "GroupArn": f"arn:aws:ec2:{self.region}:{account}:placement-group/{self.name}",
            "State": "available",
            "Strategy": self.strategy,
            "PartitionCount": self.partitions,
            "SpreadLevel": "rack" if self.strategy == "spread" else None,
            "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in self.get_tags()],
        }


def install() -> None:
    """Gives EC2 the three operations, and tags their kind."""
    add(EC2Response, "create_placement_group", _create)
    add(EC2Response, "describe_placement_groups", _describe)
    add(EC2Response, "delete_placement_group", _delete)
    resources = existing(moto_utils, "EC2_RESOURCE_TO_PREFIX")
    resources["placement-group"] = "pg"
    existing(moto_utils, "EC2_PREFIX_TO_RESOURCE")["pg"] = "placement-group"


def check_placement(self: Any, instance_type: str | None, zone: str | None) -> None:
    """Refuses a launch that its placement group does not allow."""
    name = self._get_param("Placement.GroupName")
    if not name:
        return
    group = _find(self, name)
    supported = INSTANCE_TYPES.get(instance_type or "", {}).get("PlacementGroupInfo", {})
    if group.strategy not in supported.get("SupportedStrategies", STRATEGIES):
        message = (
            f"{group.strategy.capitalize()} placement groups are not supported by the '{instance_type}' type."
        )
        raise EC2ClientError("InvalidParameterCombination", message)
    others = group.users()
    if group.strategy == "cluster" and any(other.placement.zone != zone for other in others):
        message = f"The placement group {name} is in another availability zone than {zone}."
        raise EC2ClientError("InvalidParameterValue", message)
    in_zone = [other for other in others if other.placement.zone == zone]
    if group.strategy == "spread" and len(in_zone) + int(self._get_param("MaxCount", 1)) > SPREAD_MAX:
        message = f"The spread placement group {name} has room for {SPREAD_MAX} instances in {zone}."
        raise EC2ClientError("InsufficientInstanceCapacity", message)


def _create(self: Any) -> ActionResult:
    name, strategy = self._get_param("GroupName"), self._get_param("Strategy", "cluster")
    partitions = self._get_int_param("PartitionCount")
    tags = self._parse_tag_specification("placement-group").get("placement-group", {})
    if strategy not in STRATEGIES:
        raise EC2ClientError(
            "InvalidParameterValue", f"Value ({strategy}) for parameter strategy is invalid."
        )
    if partitions is not None and (strategy != "partition" or not 1 <= partitions <= PARTITIONS_MAX):
        raise EC2ClientError(
            "InvalidParameterCombination", "The number of partitions does not fit the strategy."
        )
    if (self.region, name) in world().placement_groups:
        raise EC2ClientError(
            "InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists."
        )
    self.error_on_dryrun()
    if strategy == "partition" and partitions is None:
        partitions = PARTITIONS_MAX
    group = PlacementGroup(self.ec2_backend, self.region, name, strategy, partitions)
    group.add_tags(tags)
    world().placement_groups[(self.region, name)] = group
    return ActionResult({"PlacementGroup": group.described()})


def _describe(self: Any) -> ActionResult:
    self.error_on_dryrun()
    groups = [group for (region, _), group in world().placement_groups.items() if region == self.region]
    for name in self._get_param("GroupNames", []):
        _find(self, name)
    if names := self._get_param("GroupNames", []):
        groups = [group for group in groups if group.name in names]
    if ids := self._get_param("GroupIds", []):
        groups = [group for group in groups if group.id in ids]
    filters = self._filters_from_querystring()
    groups = [group for group in groups if all(_matches(group, *entry) for entry in filters.items())]
    return ActionResult({"PlacementGroups": [group.described() for group in groups]})


def _delete(self: Any) -> EmptyResult:
    group = _find(self, self._get_param("GroupName"))
    self.error_on_dryrun()
    if group.users():
        message = f"The placement group '{group.name}' is in use and may not be deleted."
        raise EC2ClientError("InvalidPlacementGroup.InUse", message)
    del world().placement_groups[(self.region, group.name)]
    self.ec2_backend.tags.pop(group.id, None)
    return EmptyResult()


def _find(self: Any, name: str) -> PlacementGroup:
    group = world().placement_groups.get((self.region, name))
    if group is None:
        raise EC2ClientError("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
    return group


def _matches(group: PlacementGroup, name: str, values: list[str]) -> bool:
    tags = {tag["key"]: tag["value"] for tag in group.get_tags()}
    if name == "tag-key":
        return any(value in tags for value in values)
    if name.startswith("tag:"):
        return tags.get(name.removeprefix("tag:")) in values
    described = {
        "group-name": group.name,
        "group-arn": group.described()["GroupArn"],
        "state": "available",
        "strategy": group.strategy,
    }
    if name not in described:
        raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return described[name] in values
