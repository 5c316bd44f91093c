"""The network of a stack is made as the template says, and goes away again: moto forgets tags and stumbles."""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.internet_gateways import InternetGateway
from moto.ec2.models.route_tables import Route, RouteTable
from moto.ec2.models.subnets import Subnet, SubnetBackend, SubnetRouteTableAssociation
from moto.ec2.models.vpn_gateway import VPCGatewayAttachment

from . import existing, replace


def install() -> None:
    """Teaches what moto creates for a stack how to go away again."""
    for owner in (Route, RouteTable, SubnetRouteTableAssociation, InternetGateway, VPCGatewayAttachment):
        existing(owner, "cloudformation_type")
    Route.delete = _delete_route
    RouteTable.delete = _delete_route_table
    SubnetRouteTableAssociation.delete = _delete_association
    InternetGateway.delete = _delete_internet_gateway
    VPCGatewayAttachment.delete = _delete_attachment
    for owner in (InternetGateway, RouteTable, Subnet):
        create = existing(owner, "create_from_cloudformation_json")
        replace(owner, "create_from_cloudformation_json", _make_create(create))
    replace(SubnetBackend, "delete_subnet", _make_delete_subnet(existing(SubnetBackend, "delete_subnet")))


def _make_create(create: Any) -> Any:
    def patched(cls: Any, resource_name: str, cloudformation_json: Any, *more: Any, **keywords: Any) -> Any:
        made = create(resource_name, cloudformation_json, *more, **keywords)
        properties = cloudformation_json.get("Properties") or {}
        made.add_tags({tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])})
        if "MapPublicIpOnLaunch" in properties:
            made.map_public_ip_on_launch = str(properties["MapPublicIpOnLaunch"]).lower() == "true"
        return made

    return classmethod(patched)


def _make_delete_subnet(delete: Any) -> Any:
    def patched(self: Any, subnet_id: str) -> Any:
        for instance in self.all_instances():
            if instance.subnet_id == subnet_id and instance.state != "terminated":
                message = f"The subnet '{subnet_id}' has dependencies and cannot be deleted."
                raise EC2ClientError("DependencyViolation", message)
        self.tags.pop(subnet_id, None)
        return delete(self, subnet_id)

    return patched


def _delete_route(self: Any, account_id: str, region: str) -> None:
    # The table may have gone first, with its routes.
    self.route_table._routes = {
        key: route for key, route in self.route_table._routes.items() if route is not self
    }


def _delete_route_table(self: Any, account_id: str, region: str) -> None:
    backend = ec2_backends[account_id][region]
    if self.id in backend.route_tables:
        backend.delete_route_table(self.id)
        backend.tags.pop(self.id, None)


def _delete_association(self: Any, account_id: str, region: str) -> None:
    for table in ec2_backends[account_id][region].route_tables.values():
        for association, subnet in list(table._associations.items()):
            if table.id == self.route_table_id and subnet == self.subnet_id:
                del table._associations[association]


def _delete_attachment(self: Any, account_id: str, region: str) -> None:
    backend = ec2_backends[account_id][region]
    gateway = backend.internet_gateways.get(self.gateway_id)
    if gateway is not None and gateway.vpc is not None:
        backend.detach_internet_gateway(self.gateway_id, self.vpc_id)


def _delete_internet_gateway(self: Any, account_id: str, region: str) -> None:
    backend = ec2_backends[account_id][region]
    if self.id in backend.internet_gateways:
        backend.delete_internet_gateway(self.id)
        backend.tags.pop(self.id, None)
