"""Counting, checking and disturbing of requests."""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from .cloud import CloudTest, code_of

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}

HASTY = Config(read_timeout=0.3, retries={"total_max_attempts": 1})


class Gateway(CloudTest):
    def setUp(self) -> None:
        self.cloud("reset-counters", {})
        self.addCleanup(self.cloud, "faults", [])

    def raw(self, service: str, body: bytes, **headers: str) -> int:
        """A request that no SDK would make; returns the HTTP status."""
        scope = f"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, Signature=x"
        headers = {name.replace("_", "-"): value for name, value in headers.items()} | {
            "Authorization": scope
        }
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.url, body, headers), timeout=10
            ) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def violations(self) -> list[str]:
        return [text for entry in self.cloud("violations") for text in entry["violations"]]

    def test_counters_and_requests(self) -> None:
        self.ec2.describe_vpcs()
        self.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])
        self.client("sts").get_caller_identity()
        self.assertEqual(self.cloud("counters"), {"ec2:DescribeVpcs": 2, "sts:GetCallerIdentity": 1})
        asked = self.cloud("requests")[1]
        self.assertEqual(asked["operation"], "ec2:DescribeVpcs")
        self.assertEqual(asked["parameters"], {"Filter.1.Name": "is-default", "Filter.1.Value.1": "true"})

    def test_what_an_sdk_sends_is_no_violation(self) -> None:
        ids = self.hosts(
            2,
            BlockDeviceMappings=[
                {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}}
            ],
            MetadataOptions={"HttpTokens": "required"},
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
        )
        self.send(ids, "true", CloudWatchOutputConfig={"CloudWatchOutputEnabled": True})
        self.s3.create_bucket(Bucket="checked")
        self.s3.put_object(Bucket="checked", Key="k", Body=b"x", Tagging="a=b")
        self.s3.list_objects_v2(Bucket="checked", Prefix="k", MaxKeys=10)
        self.s3.delete_objects(Bucket="checked", Delete={"Objects": [{"Key": "k"}]})
        self.client("iam").list_instance_profiles(PathPrefix="/")
        self.client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE"])
        self.client("logs").describe_log_groups(limit=5)
        self.assertEqual(self.violations(), [])
        names = set(self.cloud("counters"))
        self.assertLessEqual(
            {"s3:ListObjectsV2", "s3:DeleteObjects", "s3:PutObject", "s3:CreateBucket"}, names
        )

    def test_unknown_and_missing_parameters_are_recorded(self) -> None:
        form = {"Action": "RunInstances", "Version": "2016-11-15", "MinCount": "1", "DryRun": "true"}
        form |= {"Tag.1.Key": "x", "TagSpecification.1.Tag.1.Colour": "red", "ImageId": self.image()}
        kind = {"Content_Type": "application/x-www-form-urlencoded"}
        self.raw("ec2", urllib.parse.urlencode(form).encode(), **kind)
        self.assertEqual(
            set(self.violations()),
            {
                "unknown parameter Tag",
                "missing parameter MaxCount",
                "unknown parameter TagSpecification.1.Tag.1.Colour",
            },
        )
        self.cloud("reset-counters", {})
        kind = {"Content_Type": "application/x-amz-json-1.1", "X_Amz_Target": "AmazonSSM.PutParameter"}
        self.raw("ssm", b'{"Value":"x","Colour":"red","Tags":[{"Key":"a"}]}', **kind)
        self.assertEqual(
            set(self.violations()),
            {"unknown parameter Colour", "missing parameter Name", "missing parameter Tags.0.Value"},
        )
        self.cloud("reset-counters", {})
        kind = {"Content_Type": "application/x-www-form-urlencoded"}
        self.raw("iam", b"Action=GetInstanceProfile&Version=2010-05-08&Name=x", **kind)
        self.assertEqual(
            set(self.violations()), {"unknown parameter Name", "missing parameter InstanceProfileName"}
        )
        self.cloud("reset-counters", {})
        self.raw("ec2", b"Action=MakeCoffee&Version=2016-11-15", **kind)
        self.assertEqual(self.violations(), ["ec2 has no operation MakeCoffee"])

    def test_a_fault_strikes_the_nth_request(self) -> None:
        fault = {"operation": "ec2:RunInstances", "nth": 2, "kind": "error", "status": 500}
        fault |= {"code": "InsufficientInstanceCapacity", "message": "no room"}
        self.cloud("faults", [fault])
        self.run_instances()
        with self.assertRaises(ClientError) as error:
            self.run_instances()
        self.assertEqual(code_of(error), "InsufficientInstanceCapacity")
        self.run_instances()
        told = self.cloud("faults")[0]
        self.assertEqual((told["seen"], told["struck"]), (3, 1))

    def test_throttles_are_said_as_each_service_says_it(self) -> None:
        self.s3.create_bucket(Bucket="throttled")
        self.cloud("faults", [{"operation": "*", "every": 1, "kind": "throttle"}])
        for code, call in (
            ("RequestLimitExceeded", self.ec2.describe_vpcs),
            ("ThrottlingException", self.ssm.list_commands),
            ("SlowDown", lambda: self.s3.list_objects_v2(Bucket="throttled")),
            ("Throttling", self.client("iam").list_roles),
        ):
            with self.subTest(code), self.assertRaises(ClientError) as error:
                call()
            self.assertEqual(code_of(error), code)

    def test_a_lost_reply_was_carried_out_and_a_token_makes_it_safe(self) -> None:
        before = len(self.cloud("left")["instances"])
        self.cloud("faults", [{"operation": "RunInstances", "nth": 1, "kind": "lost_reply"}])
        with self.assertRaises((HTTPClientError, BotoConnectionError)):
            self.run_instances(ClientToken="lost")
        self.assertEqual(len(self.cloud("left")["instances"]), before + 1)
        ids = self.run_instances(ClientToken="lost")
        self.assertEqual(len(self.cloud("left")["instances"]), before + 1)
        self.assertIn(ids[0], [one["id"] for one in self.cloud("left")["instances"]])

    def test_a_lost_reply_may_be_an_empty_500(self) -> None:
        fault = {"operation": "s3:CreateBucket", "nth": 1, "kind": "lost_reply", "close": False}
        self.cloud("faults", [fault])
        with self.assertRaises(ClientError) as error:
            self.s3.create_bucket(Bucket="created")
        self.assertEqual(error.exception.response["ResponseMetadata"]["HTTPStatusCode"], 500)
        self.assertIn("created", [one["id"] for one in self.cloud("left")["buckets"]])

    def test_a_refused_connection_is_not_carried_out(self) -> None:
        fault = {"operation": "s3:CreateBucket", "nth": 1, "kind": "refuse_connection"}
        self.cloud("faults", [fault])
        with self.assertRaises((HTTPClientError, BotoConnectionError)):
            self.s3.create_bucket(Bucket="refused")
        self.assertNotIn("refused", [one["id"] for one in self.cloud("left")["buckets"]])

    def test_a_slow_answer_delays_only_itself(self) -> None:
        self.cloud("faults", [{"operation": "ec2:DescribeVpcs", "nth": 1, "kind": "slow", "delay_ms": 300}])
        begun = time.monotonic()
        self.ec2.describe_vpcs()
        self.assertGreaterEqual(time.monotonic() - begun, 0.3)

    def test_an_answer_can_be_held_back_and_a_fault_can_be_for_some_requests(self) -> None:
        fault = {
            "operation": "ec2:CreateSecurityGroup",
            "kind": "slow",
            "delay_ms": 10_000,
            "after": True,
            "nth": 1,
        }
        self.cloud("faults", [fault | {"where": {"GroupName": "held"}}])
        self.ec2.create_security_group(GroupName="not-held", Description="x")
        hasty = boto3.client("ec2", "us-east-1", endpoint_url=self.url, config=HASTY, **KEYS)
        with self.assertRaises(HTTPClientError):
            hasty.create_security_group(GroupName="held", Description="x")

        def groups() -> list[str]:
            return [one["name"] for one in self.cloud("left")["security_groups"]]

        self.wait("the group", lambda: "held" in groups())
        self.assertEqual(self.cloud("faults")[0]["struck"], 1)

    def test_a_region_that_does_not_exist(self) -> None:
        client = boto3.client("ec2", "us-nowhere-9", endpoint_url=self.url, **KEYS)
        with self.assertRaises(ClientError) as error:
            client.describe_vpcs()
        self.assertIn("valid region", str(error.exception))
        self.assertTrue(
            boto3.client("ec2", "eu-west-1", endpoint_url=self.url, **KEYS).describe_vpcs()["Vpcs"]
        )

    def test_mistakes_of_a_test_are_refused(self) -> None:
        for given in ([{"operation": "x", "kind": "nothing"}], [{"kind": "slow"}], {}, [{"oops": 1}]):
            with self.subTest(given), self.assertRaises(urllib.error.HTTPError) as error:
                self.cloud("faults", given)
            self.assertEqual(error.exception.code, 400)
            error.exception.close()
