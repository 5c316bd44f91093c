"""A security group cannot be deleted while an instance that is not yet terminated uses it."""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.security_groups import SecurityGroupBackend

from . import existing, replace


def install() -> None:
    """Checks before moto deletes."""
    delete = existing(SecurityGroupBackend, "_delete_security_group")

    def _delete_security_group(self: Any, vpc_id: str | None, group_id: str) -> None:
        for instance in self.all_instances():
            if instance.state != "terminated" and group_id in {
                group.id for group in instance.security_groups
            }:
                raise EC2ClientError("DependencyViolation", f"resource {group_id} has a dependent object")
        for groups in self.groups.values():
            for group in groups.values():
                rules = [*group.ingress_rules, *group.egress_rules]
                sources = {rule.source_group.get("GroupId") for rule in rules}
                if group.id != group_id and group_id in sources:
                    raise EC2ClientError("DependencyViolation", f"resource {group_id} has a dependent object")
        delete(self, vpc_id, group_id)
        self.tags.pop(group_id, None)

    replace(SecurityGroupBackend, "_delete_security_group", _delete_security_group)
