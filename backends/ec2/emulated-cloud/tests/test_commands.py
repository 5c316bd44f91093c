"""Commands that SSM runs on hosts."""

from __future__ import annotations

import os

from botocore.exceptions import ClientError

from .cloud import IMAGE, CloudTest, code_of


class Commands(CloudTest):
    OPTIONS = ("--minute-ms", "1000")

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.group = [{"ResourceType": "instance", "Tags": [{"Key": "netbench-run", "Value": "r1"}]}]

    def test_output_exit_code_and_environment_are_true(self) -> None:
        host = self.hosts()[0]
        script = 'echo "I am $AWS_SSM_INSTANCE_ID in $AWS_SSM_REGION_NAME"\npwd\necho oops >&2\nexit 7'
        result = self.result(self.send([host], script), host)
        self.assertEqual((result["Status"], result["ResponseCode"]), ("Failed", 7))
        self.assertIn(f"I am {host} in us-east-1\n", result["StandardOutputContent"])
        self.assertIn(str(self.directory(host)), result["StandardOutputContent"])
        self.assertEqual(result["StandardErrorContent"], "oops\n")
        environment = self.result(self.send([host], "env"), host)["StandardOutputContent"]
        self.assertNotIn("PYTHON", environment)
        self.assertIn(f"NETBENCH_DIR={self.directory(host)}\n", environment)

    def test_the_machine_is_that_of_the_image(self) -> None:
        image = self.ssm.get_parameter(Name=IMAGE.replace("x86_64", "arm64"))["Parameter"]["Value"]
        hosts = self.hosts() + self.hosts(ImageId=image, InstanceType="m7g.large")
        results = [self.result(self.send([host], "uname -m; uname -s"), host) for host in hosts]
        said = [result["StandardOutputContent"] for result in results]
        self.assertEqual(said, ["x86_64\nLinux\n", "aarch64\nLinux\n"])

    def test_hosts_use_the_real_command_line_client(self) -> None:
        host = self.hosts()[0]
        self.s3.create_bucket(Bucket="files")
        self.ssm.put_parameter(Name="/netbench/r1/key", Value="secret", Type="SecureString")
        url = self.s3.generate_presigned_url("get_object", {"Bucket": "files", "Key": "there"})
        script = f"""set -e
            export AWS_DEFAULT_OUTPUT=text
            aws ssm get-parameter --name /netbench/r1/key --with-decryption --query Parameter.Value >key
            aws s3 cp --quiet key s3://files/there
            curl -sS --fail '{url}'"""
        result = self.result(self.send([host], script), host)
        self.assertEqual((result["Status"], result["StandardErrorContent"]), ("Success", ""))
        self.assertEqual(result["StandardOutputContent"], "secret\n")
        # What hosts ask is told apart from what the caller asks.
        of_hosts = {"s3:GetObject": 1, "s3:PutObject": 1, "ssm:GetParameter": 1}
        self.assertEqual(self.cloud("counters?origin=host"), of_hosts)
        self.assertNotIn("s3:PutObject", self.cloud("counters"))

    def test_an_agent_runs_so_many_commands_at_a_time_in_their_order(self) -> None:
        host = self.hosts()[0]
        waits = [self.send([host], "until [ -e go ]; do sleep 0.02; done") for _ in range(5)]
        others = [self.send([host], f"echo {name} >>order") for name in ("one", "two")]
        self.wait("five run", lambda: self.status_of(waits[4]) == "InProgress")
        self.assertEqual([self.status_of(other) for other in others], ["Pending", "Pending"])
        (self.directory(host) / "go").touch()
        for command in (*waits, *others):
            self.assertEqual(self.result(command, host)["Status"], "Success")
        self.assertEqual((self.directory(host) / "order").read_text(), "one\ntwo\n")

    def status_of(self, command: str) -> str:
        return str(self.command(command)["Status"])

    def test_targets_by_tag_are_known_after_the_answer(self) -> None:
        ids = self.hosts(3, TagSpecifications=self.group)
        target = [{"Key": "tag:netbench-run", "Values": ["r1"]}]
        sent = self.ssm.send_command(
            DocumentName="AWS-RunShellScript",
            Targets=target,
            Comment="three",
            MaxErrors="100%",
            MaxConcurrency="100%",
            Parameters={"commands": [f"test $AWS_SSM_INSTANCE_ID != {ids[0]}"]},
        )["Command"]
        self.assertEqual((sent["TargetCount"], sent["Status"]), (0, "Pending"))
        command = sent["CommandId"]
        self.wait("all", lambda: self.command(command)["CompletedCount"] == 3)
        told = self.command(command)
        self.assertEqual((told["TargetCount"], told["ErrorCount"], told["Comment"]), (3, 1, "three"))
        # Fewer errors than are allowed: AWS calls that a success.
        self.assertEqual(told["Status"], "Success")
        pages = self.ssm.get_paginator("list_command_invocations").paginate(
            CommandId=command, Details=True, PaginationConfig={"PageSize": 2}
        )
        found = {one["InstanceId"]: one["Status"] for page in pages for one in page["CommandInvocations"]}
        self.assertEqual(found, {ids[0]: "Failed", ids[1]: "Success", ids[2]: "Success"})
        filters = [{"Key": "tag:netbench-run", "Values": ["r1"]}]
        online = self.ssm.describe_instance_information(Filters=filters)["InstanceInformationList"]
        self.assertEqual({one["InstanceId"] for one in online}, set(ids))

    def test_a_command_that_hangs_is_ended_at_its_limit(self) -> None:
        host = self.hosts()[0]
        result = self.result(self.send([host], "echo begun\nsleep 1000", limit_s=1), host)
        self.assertEqual((result["Status"], result["StatusDetails"]), ("TimedOut", "ExecutionTimedOut"))
        self.assertEqual(result["StandardOutputContent"], "begun\n")
        self.wait("no process", lambda: not self.pids(host))

    def test_a_child_that_keeps_the_output_keeps_the_command(self) -> None:
        host = self.hosts()[0]
        kept = self.send([host], "sleep 1000 &\necho done")
        freed = self.send([host], "setsid sleep 1000 </dev/null >log 2>&1 &\necho done")
        self.assertEqual(self.result(freed, host)["Status"], "Success")
        self.assertEqual(self.command(kept)["Status"], "InProgress")
        self.ssm.cancel_command(CommandId=kept)
        self.assertEqual(self.result(kept, host)["Status"], "Cancelled")
        self.assertEqual(self.command(kept)["Status"], "Cancelled")

    def test_what_has_left_its_session_dies_with_its_host(self) -> None:
        host = self.hosts()[0]
        script = "setsid bash -c 'setsid sleep 1000 & sleep 1000' </dev/null >log 2>&1 &"
        self.assertEqual(self.result(self.send([host], script), host)["Status"], "Success")
        pids = self.wait("both", lambda: len(self.pids(host)) >= 3 and self.pids(host))
        running = self.send([host], "sleep 1000", limit_s=6)
        self.wait("start", lambda: self.command(running)["Status"] == "InProgress")
        self.ec2.terminate_instances(InstanceIds=[host])
        self.assertEqual(self.pids(host), [])
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}/exe"))
        # Nobody tells SSM: the command runs on paper until its limit.
        self.assertEqual(self.command(running)["Status"], "InProgress")
        self.assertEqual(self.result(running, host)["Status"], "TimedOut")

    def test_a_host_that_dies_while_its_instance_runs(self) -> None:
        host = self.hosts()[0]
        self.send([host], "sleep 1000")
        self.wait("start", lambda: self.pids(host))
        self.cloud(f"hosts/{host}/die", method="POST")
        self.assertEqual((self.pids(host), self.state(host)), ([], "running"))
        self.assertNotIn(host, self.online())
        self.cloud(f"hosts/{host}/die?state=terminated", method="POST")
        self.wait("terminated", lambda: self.state(host) == "terminated")

    def test_a_lost_agent(self) -> None:
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "lost", "Value": "yes"}]}]
        host = self.hosts(TagSpecifications=tags)[0]
        self.cloud(f"hosts/{host}/agent/lost", method="POST")
        filters = [{"Key": "InstanceIds", "Values": [host]}]
        told = self.ssm.describe_instance_information(Filters=filters)["InstanceInformationList"][0]
        self.assertEqual(told["PingStatus"], "ConnectionLost")
        with self.assertRaises(ClientError) as error:
            self.send([host], "true")
        self.assertEqual(code_of(error), "InvalidInstanceId")
        arguments = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
        arguments |= {"Targets": [{"Key": "tag:lost", "Values": ["yes"]}], "TimeoutSeconds": 300}
        command = self.ssm.send_command(**arguments)["Command"]["CommandId"]
        self.wait("the target", lambda: self.command(command)["TargetCount"] == 1)
        self.assertEqual(self.command(command)["Status"], "Pending")
        self.assertEqual(self.result(command, host)["StatusDetails"], "DeliveryTimedOut")

    def test_refusals(self) -> None:
        with self.assertRaises(ClientError) as error:
            self.send(["i-0123456789abcdef0"], "true")
        self.assertEqual(code_of(error), "InvalidInstanceId")
        with self.assertRaises(ClientError) as error:
            self.ssm.list_commands(CommandId="00000000-0000-0000-0000-000000000000")
        self.assertEqual(code_of(error), "InvalidCommandId")
        with self.assertRaises(ClientError) as error:
            self.send(self.hosts(), "true", DocumentName="Nothing")
        self.assertEqual(code_of(error), "InvalidDocument")

    def test_long_output_is_cut_and_a_working_directory_is_used(self) -> None:
        host = self.hosts()[0]
        (self.directory(host) / "here").mkdir()
        asked = {"commands": ["pwd", "head -c 30000 /dev/zero | tr '\\0' x"], "workingDirectory": ["here"]}
        result = self.result(self.send([host], "", Parameters=asked), host)
        self.assertTrue(result["StandardOutputContent"].startswith(f"{self.directory(host)}/here\n"))
        self.assertEqual(len(result["StandardOutputContent"]), 24_000)

    def test_output_goes_to_the_log_group_when_asked(self) -> None:
        host = self.hosts()[0]
        config = {"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": "/netbench"}
        command = self.send([host], "echo logged", CloudWatchOutputConfig=config)
        self.result(command, host)
        stream = f"{command}/{host}/aws-runShellScript/stdout"
        events = self.client("logs").get_log_events(logGroupName="/netbench", logStreamName=stream)["events"]
        self.assertEqual([event["message"] for event in events], ["logged\n"])

    def test_no_more_at_once_than_asked_and_an_end_after_errors(self) -> None:
        ids = self.hosts(3)
        command = self.send(ids, "exit 1", MaxConcurrency="1", MaxErrors="0")
        self.wait("the end", lambda: self.command(command)["CompletedCount"] == 3)
        told = self.command(command)
        self.assertEqual((told["Status"], told["ErrorCount"]), ("Failed", 1))
        found = self.ssm.list_command_invocations(CommandId=command)["CommandInvocations"]
        details = sorted(one["StatusDetails"] for one in found)
        self.assertEqual(details, ["Failed", "Terminated", "Terminated"])
        for status, count in {"Failed": 1, "Terminated": 2, "Cancelled": 2, "Undeliverable": 0}.items():
            filters = [{"key": "Status", "value": status}]
            found = self.ssm.list_command_invocations(CommandId=command, Filters=filters)
            self.assertEqual(len(found["CommandInvocations"]), count, status)
        with self.assertRaises(ClientError) as error:
            filters = [{"key": "ExecutionStage", "value": "Complete"}]
            self.ssm.list_command_invocations(CommandId=command, Filters=filters)
        self.assertEqual(code_of(error), "InvalidFilterKey")


class Parameters(CloudTest):
    def test_secrets_by_path_with_tags(self) -> None:
        tags = [{"Key": "netbench-run", "Value": "r2"}]
        self.ssm.put_parameter(Name="/netbench/r2/key", Value="x", Type="SecureString", Tags=tags)
        told = self.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/netbench/r2/key")
        self.assertEqual(told["TagList"], tags)
        self.assertEqual(self.cloud("left")["parameters"][0]["tags"], {"netbench-run": "r2"})
        found = self.ssm.get_parameters_by_path(Path="/netbench/", Recursive=True)["Parameters"]
        self.assertEqual([one["Name"] for one in found], ["/netbench/r2/key"])
        self.assertNotEqual(found[0]["Value"], "x")
        filters = [{"Key": "tag:netbench-run", "Values": ["r2"]}]
        found = self.ssm.describe_parameters(ParameterFilters=filters)["Parameters"]
        self.assertEqual([one["Name"] for one in found], ["/netbench/r2/key"])
        gone = self.ssm.delete_parameters(Names=["/netbench/r2/key", "/nothing"])
        self.assertEqual(gone["InvalidParameters"], ["/nothing"])
        self.assertEqual(self.cloud("left")["parameters"], [])
