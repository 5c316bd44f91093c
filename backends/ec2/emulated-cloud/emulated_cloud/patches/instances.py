"""Instances take time to start and to end, and something runs on them."""

from __future__ import annotations

import time
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import instances as moto_instances
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.responses.instances import InstanceResponse

from ..host import Host, die_together
from ..world import world
from . import existing, replace
from .placement_groups import check_placement

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


class TimedState:
    """moto sets the state that an instance is to have; this one gets there in time."""

    def __init__(self, name: str = "pending", code: int = 0) -> None:
        del code  # moto gives both; one follows from the other.
        self._since_s = time.monotonic()
        self._goal = name

    @property
    def name(self) -> str:
        """The state at this moment."""
        passed_ms = (time.monotonic() - self._since_s) * 1000
        if self._goal == "running" and passed_ms < world().options.launch_ms:
            return "pending"
        if self._goal == "terminated" and passed_ms < world().options.terminate_ms:
            return "shutting-down"
        return self._goal

    @name.setter
    def name(self, goal: str) -> None:
        if goal != self._goal:
            self._goal, self._since_s = goal, time.monotonic()

    @property
    def code(self) -> int:
        """The number that EC2 gives to the state."""
        return CODES[self.name]

    @code.setter
    def code(self, code: int) -> None:
        pass


def install() -> None:
    """Changes how instances begin, live and end."""
    replace(moto_instances, "InstanceState", TimedState)
    replace(Instance, "terminate", _make_terminate(existing(Instance, "terminate")))
    replace(Instance, "stop", _make_stop(existing(Instance, "stop")))
    replace(Instance, "teardown_defaults", _make_teardown(existing(Instance, "teardown_defaults")))
    replace(InstanceResponse, "run_instances", _make_run(existing(InstanceResponse, "run_instances")))
    replace(InstanceBackend, "run_instances", _make_launch(existing(InstanceBackend, "run_instances")))
    terminate_many = _make_terminate_many(existing(InstanceBackend, "terminate_instances"))
    replace(InstanceBackend, "terminate_instances", terminate_many)
    existing(InstanceBackend, "all_instances")


def _make_terminate(terminate: Any) -> Any:
    def patched(self: Any) -> Any:
        if self.state in ("shutting-down", "terminated"):
            return self._state
        if (host := world().hosts.get(self.id)) is not None:
            host.die()
        previous = terminate(self)
        world().schedule.after(
            world().options.terminate_ms + world().options.forget_ms, lambda: _forget(self)
        )
        return previous

    return patched


def _make_terminate_many(terminate: Any) -> Any:
    def patched(self: Any, instance_ids: list[str]) -> Any:
        # Before anything dies, since an unknown id means that nothing is terminated.
        self.get_multi_instances_by_id(instance_ids)
        hosts = [world().hosts[instance] for instance in instance_ids if instance in world().hosts]
        die_together([host for host in hosts if not host.is_dead])
        return terminate(self, instance_ids)

    return patched


def _make_stop(stop: Any) -> Any:
    def patched(self: Any) -> Any:
        if (host := world().hosts.get(self.id)) is not None:
            host.die()
        return stop(self)

    return patched


def _make_teardown(teardown: Any) -> Any:
    def patched(self: Any) -> None:
        # Volumes exist until the instance is gone, so that an audit that does not wait sees them.
        world().schedule.after(world().options.terminate_ms, lambda: teardown(self))

    return patched


def _make_run(run: Any) -> Any:
    def patched(self: Any) -> ActionResult:
        token = self._get_param("ClientToken")
        # The parser gives defaults to nothing, so that equal requests are equal here.
        asked = repr(sorted(self.params.items(), key=lambda item: item[0]))
        key = (self.region, token)
        if token and key in world().reservations:
            reservation, first_asked = world().reservations[key]
            if asked != first_asked:
                message = "The request uses the same client token as a previous, but non-identical request."
                raise EC2ClientError("IdempotentParameterMismatch", message)
            self.error_on_dryrun()
            return ActionResult(reservation)
        self.params["MinCount"] = _count(self)
        _check_request(self)
        result = run(self)
        for instance in result.result.instances:
            instance._placement.group_name = self._get_param("Placement.GroupName") or ""
            instance._placement.partition_number = self._get_param("Placement.PartitionNumber")
            world().hosts[instance.id] = Host(world(), instance, self.region)
        # moto gives the profile to the first instance only.
        for instance in result.result.instances[1:]:
            if name := self._get_param("IamInstanceProfile.Name"):
                self.ec2_backend.associate_iam_instance_profile(instance.id, iam_instance_profile_name=name)
            if arn := self._get_param("IamInstanceProfile.Arn"):
                self.ec2_backend.associate_iam_instance_profile(instance.id, iam_instance_profile_arn=arn)
        if token:
            world().reservations[key] = (result.result, asked)
        return result

    return patched


def _make_launch(launch: Any) -> Any:
    def patched(self: Any, *arguments: Any, **keywords: Any) -> Any:
        reservation = launch(self, *arguments, **keywords)
        stays = {
            int(asked.get("DeviceIndex", 0))
            for asked in keywords.get("nics") or []
            if asked.get("DeleteOnTermination") is False
        }
        for instance in reservation.instances:
            # The interface that comes with an instance goes with it, unless it is asked to stay.
            for index, interface in instance.nics.items():
                interface.delete_on_termination = index not in stays
            # The groups of an instance are those of its first interface, wherever they were named.
            if not instance.security_groups and 0 in instance.nics:
                instance.security_groups = list(instance.nics[0]._group_set)
        return reservation

    return patched


def _count(self: Any) -> int:
    least, most = int(self._get_param("MinCount", 1)), int(self._get_param("MaxCount", 1))
    if not 1 <= least <= most:
        message = f"Invalid value '{least}' for minCount: it must be from 1 to maxCount ({most})"
        raise EC2ClientError("InvalidParameterValue", message)
    return most


def _check_request(self: Any) -> None:
    backend = self.ec2_backend
    if key := self._get_param("KeyName"):
        backend.describe_key_pairs(key_names=[key])
    if image := self._get_param("ImageId"):
        images = backend.describe_images(ami_ids=[image])
        _check_architecture(self._get_param("InstanceType"), images[0])
    subnet_id = self._get_param("SubnetId")
    for interface in self._get_param("NetworkInterfaces", []):
        _check_interface(self, interface)
        subnet_id = subnet_id or interface.get("SubnetId")
    zone = self._get_param("Placement.AvailabilityZone")
    if subnet_id:
        subnet_zone = backend.get_subnet(subnet_id).availability_zone
        if zone and zone != subnet_zone:
            message = f"The availability zone {zone} and the subnet {subnet_id} in {subnet_zone} do not fit"
            raise EC2ClientError("InvalidParameterValue", message)
        zone = subnet_zone
    _check_offering(self._get_param("InstanceType"), self.region, zone)
    check_placement(self, self._get_param("InstanceType"), zone)
    _check_quota(self, self._get_param("InstanceType"))


def _check_interface(self: Any, interface: dict[str, Any]) -> None:
    """What moto lets pass: groups in both places, and groups that do not exist, which moto would make."""
    if self._get_param("SecurityGroupIds") or self._get_param("SecurityGroups"):
        message = (
            "Network interfaces and an instance-level security groups may not be specified on the same request"
        )
        raise EC2ClientError("InvalidParameterCombination", message)
    for group in interface.get("Groups") or []:
        if self.ec2_backend.get_security_group_from_id(group) is None:
            raise EC2ClientError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")


def _check_quota(self: Any, instance_type: str | None) -> None:
    """One quota for all types, which is stricter than AWS, where each family class has its own."""
    running = [one for one in self.ec2_backend.all_instances() if one.state in ("pending", "running")]
    types = [one.instance_type for one in running] + [instance_type] * int(self._get_param("MaxCount", 1))
    wanted = sum(INSTANCE_TYPES.get(name, {}).get("VCpuInfo", {}).get("DefaultVCpus", 1) for name in types)
    if wanted > world().options.vcpu_quota:
        message = (
            "You have requested more vCPU capacity than your current vCPU limit of "
            f"{world().options.vcpu_quota:.0f} allows for the instance bucket that the specified instance type belongs to."
        )
        raise EC2ClientError("VcpuLimitExceeded", message)


def _check_architecture(instance_type: str | None, image: Any) -> None:
    known = INSTANCE_TYPES.get(instance_type or "", {}).get("ProcessorInfo", {}).get("SupportedArchitectures")
    if known and image.architecture not in known:
        message = (
            f"The architecture '{','.join(known)}' of the specified instance type does not match "
            f"the architecture '{image.architecture}' of the specified AMI."
        )
        raise EC2ClientError("InvalidParameterValue", message)


def _check_offering(instance_type: str | None, region: str, zone: str | None) -> None:
    """The type exists, the region has it, and the zone."""
    if instance_type not in INSTANCE_TYPES:
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    in_region = {offer["InstanceType"] for offer in INSTANCE_TYPE_OFFERINGS["region"].get(region, [])}
    if instance_type not in in_region:
        raise EC2ClientError(
            "Unsupported", f"The instance type {instance_type} is not supported in {region}."
        )
    if zone is None:
        return
    offers = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
    if (instance_type, zone) not in {(offer["InstanceType"], offer["Location"]) for offer in offers}:
        message = (
            f"Your requested instance type ({instance_type}) is not supported in your requested "
            f"Availability Zone ({zone})."
        )
        raise EC2ClientError("Unsupported", message)


def _forget(instance: Any) -> None:
    for key, reservation in list(instance.ec2_backend.reservations.items()):
        if instance in reservation.instances:
            reservation.instances.remove(instance)
            if not reservation.instances:
                del instance.ec2_backend.reservations[key]
    instance.ec2_backend.tags.pop(instance.id, None)
    world().hosts.pop(instance.id, None)
