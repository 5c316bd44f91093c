"""Placement groups."""

from __future__ import annotations

from botocore.exceptions import ClientError

from .cloud import CloudTest, code_of


class PlacementGroups(CloudTest):
    def create(self, name: str, **more: object) -> None:
        tags = [{"ResourceType": "placement-group", "Tags": [{"Key": "netbench-run", "Value": name}]}]
        self.ec2.create_placement_group(
            **{"GroupName": name, "Strategy": "cluster", "TagSpecifications": tags} | more
        )

    def refused(self, code: str, call: object, **arguments: object) -> None:
        with self.assertRaises(ClientError) as error:
            call(**arguments)
        self.assertEqual(code_of(error), code)

    def test_one_in_use_stays_until_its_instances_are_terminated(self) -> None:
        self.create("used")
        ids = self.run_instances(2, Placement={"GroupName": "used"})
        found = self.ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"]
        self.assertEqual([one["Placement"]["GroupName"] for one in found], ["used", "used"])
        self.refused("InvalidPlacementGroup.InUse", self.ec2.delete_placement_group, GroupName="used")
        self.ec2.terminate_instances(InstanceIds=ids)
        self.wait("the end", lambda: self.state(ids[0]) == "terminated")
        self.ec2.delete_placement_group(GroupName="used")
        self.refused("InvalidPlacementGroup.Unknown", self.ec2.delete_placement_group, GroupName="used")
        self.assertEqual(self.cloud("left")["placement_groups"], [])

    def test_found_by_tag(self) -> None:
        self.create("tagged")
        self.create("other", Strategy="partition", PartitionCount=3)
        filters = [{"Name": "tag:netbench-run", "Values": ["tagged"]}]
        found = self.ec2.describe_placement_groups(Filters=filters)["PlacementGroups"]
        self.assertEqual([group["GroupName"] for group in found], ["tagged"])
        self.assertEqual(found[0]["Tags"], [{"Key": "netbench-run", "Value": "tagged"}])
        tags = self.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [found[0]["GroupId"]]}])[
            "Tags"
        ]
        self.assertEqual(tags[0]["ResourceType"], "placement-group")
        by_value = self.ec2.describe_tags(Filters=[{"Name": "value", "Values": ["tagged"]}])["Tags"]
        self.assertEqual([tag["ResourceId"] for tag in by_value], [found[0]["GroupId"]])
        self.refused("InvalidPlacementGroup.Duplicate", self.create, name="tagged")
        self.ec2.delete_placement_group(GroupName="tagged")
        self.ec2.delete_placement_group(GroupName="other")

    def test_what_a_strategy_does_not_allow(self) -> None:
        self.create("near")
        group = {"GroupName": "near"}
        self.run_instances(Placement=group | {"AvailabilityZone": "us-east-1a"})
        elsewhere = group | {"AvailabilityZone": "us-east-1b"}
        self.refused("InvalidParameterValue", self.run_instances, Placement=elsewhere)
        self.refused(
            "InvalidParameterCombination", self.run_instances, InstanceType="t3.micro", Placement=group
        )
        self.create("apart", Strategy="spread")
        self.refused(
            "InsufficientInstanceCapacity", self.run_instances, count=8, Placement={"GroupName": "apart"}
        )
