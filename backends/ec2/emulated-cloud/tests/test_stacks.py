"""Stacks: made whole, removed whole."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from botocore.exceptions import ClientError

from .cloud import CloudTest, code_of

TEMPLATE = (Path(__file__).parent / "stack.json").read_text()
CAPABILITIES = ["CAPABILITY_IAM"]


class Stacks(CloudTest):
    # States on the way last long enough to be seen.
    OPTIONS = ("--stack-ms", "2000")

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.cloudformation = cls.client("cloudformation")

    def create(self, name: str) -> dict[str, str]:
        tags = [{"Key": "netbench-stack", "Value": name}]
        self.cloudformation.create_stack(
            StackName=name, TemplateBody=TEMPLATE, Capabilities=CAPABILITIES, Tags=tags
        )
        self.assertEqual(self.status(name), "CREATE_IN_PROGRESS")
        self.wait("creation", lambda: self.status(name) == "CREATE_COMPLETE")
        stack = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def test_creation_and_deletion_leave_nothing(self) -> None:
        before = self.cloud("left")
        outputs = self.create("netbench")
        filters = [{"Name": "tag:netbench-stack", "Values": ["netbench"]}]
        subnets = self.ec2.describe_subnets(Filters=filters)["Subnets"]
        self.assertEqual(
            {(one["AvailabilityZone"], one["VpcId"]) for one in subnets},
            {("us-east-1a", outputs["VpcId"]), ("us-east-1b", outputs["VpcId"])},
        )
        rules = self.s3.get_bucket_lifecycle_configuration(Bucket=outputs["BucketName"])["Rules"]
        self.assertEqual(rules[0]["Expiration"]["Days"], 30)
        block = self.s3.get_public_access_block(Bucket=outputs["BucketName"])
        self.assertTrue(block["PublicAccessBlockConfiguration"]["RestrictPublicBuckets"])
        profile = {"Name": outputs["InstanceProfileName"]}
        ids = self.run_instances(2, SubnetId=subnets[0]["SubnetId"], IamInstanceProfile=profile)
        for one in self.ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"]:
            self.assertIn(outputs["InstanceProfileName"], one["IamInstanceProfile"]["Arn"])
            self.assertEqual(one["PublicIpAddress"], one["PrivateIpAddress"])
        tables = self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [outputs["VpcId"]]}])
        routes = [route for table in tables["RouteTables"] for route in table["Routes"]]
        self.assertIn("0.0.0.0/0", [route["DestinationCidrBlock"] for route in routes])

        self.cloudformation.delete_stack(StackName="netbench")
        self.assertEqual(self.status("netbench"), "DELETE_IN_PROGRESS")
        self.wait("failure", lambda: self.status("netbench") == "DELETE_FAILED")
        self.ec2.terminate_instances(InstanceIds=ids)
        self.wait("the end", lambda: self.state(ids[0]) == "terminated")
        self.cloudformation.delete_stack(StackName="netbench")
        self.wait("deletion", lambda: not self.cloud("left")["stacks"])
        with self.assertRaises(ClientError) as error:
            self.status("netbench")
        self.assertIn("does not exist", str(error.exception))
        self.wait("nothing left", lambda: self.cloud("left") == before)
        # And again, as after a teardown.
        self.cloudformation.delete_stack(StackName="netbench")

    def test_a_bucket_with_objects_stays(self) -> None:
        outputs = self.create("full")
        self.s3.put_object(Bucket=outputs["BucketName"], Key="runs/1/manifest", Body=b"x")
        self.cloudformation.delete_stack(StackName="full")
        self.wait("failure", lambda: self.status("full") == "DELETE_FAILED")
        stack = self.cloudformation.describe_stacks(StackName="full")["Stacks"][0]
        self.assertIn("not empty", stack["StackStatusReason"])
        events = self.cloudformation.describe_stack_events(StackName="full")["StackEvents"]
        failed = next(event for event in events if event["LogicalResourceId"] == "Bucket")
        self.assertEqual(failed["ResourceStatus"], "DELETE_FAILED")
        self.assertIn("not empty", failed["ResourceStatusReason"])
        # What was deleted is not made again by asking for it.
        parts = self.cloudformation.describe_stack_resources(StackName="full")["StackResources"]
        self.assertEqual([part["LogicalResourceId"] for part in parts], ["Bucket"])
        self.assertIn(outputs["BucketName"], [bucket["id"] for bucket in self.cloud("left")["buckets"]])
        self.s3.delete_object(Bucket=outputs["BucketName"], Key="runs/1/manifest")
        self.cloudformation.delete_stack(StackName="full")
        self.wait("deletion", lambda: not self.cloud("left")["stacks"])
        self.assertEqual(self.cloud("left")["roles"], [])

    def test_asking_again_and_a_template_that_fails(self) -> None:
        arguments = {"StackName": "again", "TemplateBody": TEMPLATE, "Capabilities": CAPABILITIES}
        first = self.cloudformation.create_stack(**arguments, ClientRequestToken="token")["StackId"]
        again = self.cloudformation.create_stack(**arguments, ClientRequestToken="token")["StackId"]
        self.assertEqual(first, again)
        with self.assertRaises(ClientError) as error:
            self.cloudformation.create_stack(**arguments)
        self.assertEqual(code_of(error), "AlreadyExistsException")
        self.wait("creation", lambda: self.status("again") == "CREATE_COMPLETE")
        with self.assertRaises(ClientError) as error:
            self.cloudformation.update_stack(**arguments)
        self.assertIn("No updates are to be performed", str(error.exception))
        self.cloudformation.delete_stack(StackName="again")
        self.wait("deletion", lambda: not self.cloud("left")["stacks"])

        broken = TEMPLATE.replace('"CidrBlock": "10.0.2.0/24"', '"CidrBlock": "10.9.2.0/24"')
        self.cloudformation.create_stack(StackName="broken", TemplateBody=broken, Capabilities=CAPABILITIES)
        self.assertEqual(self.status("broken"), "ROLLBACK_COMPLETE")
        self.assertEqual(self.cloud("left")["vpcs"], [])
        self.cloudformation.delete_stack(StackName="broken")
        self.wait("deletion", lambda: not self.cloud("left")["stacks"])

    def status(self, name: str) -> str:
        return self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]


class Objects(CloudTest):
    def test_presigned_addresses_read_and_write(self) -> None:
        self.s3.create_bucket(Bucket="files")
        put = self.s3.generate_presigned_url("put_object", {"Bucket": "files", "Key": "a/b"})
        # What urllib would say by itself, that this is a form, curl does not say either.
        kind = {"Content-Type": "application/octet-stream"}
        urllib.request.urlopen(
            urllib.request.Request(put, b"content", kind, method="PUT"), timeout=10
        ).close()
        get = self.s3.generate_presigned_url("get_object", {"Bucket": "files", "Key": "a/b"})
        with urllib.request.urlopen(get, timeout=10) as answer:
            self.assertEqual(answer.read(), b"content")
        self.assertEqual([one["id"] for one in self.cloud("left")["objects"]], ["files/a/b"])
        self.assertEqual(self.cloud("counters?origin=host")["s3:PutObject"], 1)
        self.assertEqual(self.cloud("violations"), [])
