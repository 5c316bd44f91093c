"""Instances have addresses on which programs of this machine can listen: 10.A.B.C becomes 127.N.B.C."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.subnets import Subnet

from ..world import world
from . import existing, replace


def install() -> None:
    """The private address comes out of the subnet, and the public one is the same."""
    available = existing(Subnet, "get_available_subnet_ip")

    def get_available_subnet_ip(self: Any, instance: Any) -> str:
        inner = available(self, instance)
        address = loopback(inner)
        # Under the name by which moto gives it back when the interface is deleted.
        self._subnet_ips[address] = self._subnet_ips.pop(inner)
        return address

    def check_auto_public_ip(self: Any) -> None:
        if str(self.public_ip_auto_assign).lower() == "true":
            self.public_ip = self.private_ip_address

    replace(Subnet, "get_available_subnet_ip", get_available_subnet_ip)
    replace(NetworkInterface, "check_auto_public_ip", check_auto_public_ip)


def loopback(address: str) -> str:
    """The address of this machine that stands for `address`."""
    first, second, third, fourth = address.split(".")
    if first == "127":
        return address
    return f"127.{world().network}.{third}.{fourth}"
