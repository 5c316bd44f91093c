"""The list of what is left: a leak that it did not show would pass for cleanliness."""

from __future__ import annotations

from .cloud import CloudTest


class Left(CloudTest):
    def test_every_kind_of_thing_of_a_run_is_seen_and_goes(self) -> None:
        before = self.cloud("left")
        tags = [{"Key": "netbench-run", "Value": "r"}]

        def tagged(kind: str) -> list[dict[str, object]]:
            return [{"ResourceType": kind, "Tags": tags}]

        group = self.ec2.create_security_group(
            GroupName="netbench-r", Description="x", TagSpecifications=tagged("security-group")
        )["GroupId"]
        self.ec2.create_key_pair(KeyName="netbench-r", TagSpecifications=tagged("key-pair"))
        self.ec2.create_placement_group(
            GroupName="netbench-r", Strategy="cluster", TagSpecifications=tagged("placement-group")
        )
        self.ssm.put_parameter(Name="/netbench/r/key", Value="x", Type="SecureString", Tags=tags)
        self.s3.create_bucket(Bucket="netbench")
        self.s3.put_object(Bucket="netbench", Key="runs/r/manifest", Body=b"x")
        host = self.hosts(
            SecurityGroupIds=[group],
            Placement={"GroupName": "netbench-r"},
            TagSpecifications=tagged("instance") + tagged("volume"),
        )[0]
        self.send([host], "setsid sleep 1000 </dev/null >log 2>&1 &")
        self.wait("the process", lambda: self.pids(host))

        left = self.cloud("left")
        for kind in (
            "instances",
            "security_groups",
            "key_pairs",
            "placement_groups",
            "parameters",
            "volumes",
        ):
            self.assertEqual([one["tags"] for one in left[kind]], [{"netbench-run": "r"}], kind)
        self.assertEqual([one["id"] for one in left["objects"]], ["netbench/runs/r/manifest"])
        self.assertEqual([one["id"] for one in left["processes"]], [host])
        self.assertEqual(len(left["network_interfaces"]), 1)

        self.ec2.terminate_instances(InstanceIds=[host])
        self.wait("the end", lambda: self.state(host) == "terminated")
        self.ec2.delete_security_group(GroupId=group)
        self.ec2.delete_key_pair(KeyName="netbench-r")
        self.ec2.delete_placement_group(GroupName="netbench-r")
        self.ssm.delete_parameters(Names=["/netbench/r/key"])
        self.s3.delete_object(Bucket="netbench", Key="runs/r/manifest")
        self.s3.delete_bucket(Bucket="netbench")
        self.assertEqual(self.cloud("left"), before)
        self.assertTrue(all(not things for things in before.values()), before)
