"""A cloud of its own for each test class, and what tests do with it again and again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import unittest
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

WAIT_LIMIT_S = 20.0
DIRECTORY = Path(__file__).parent.parent
IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


class CloudTest(unittest.TestCase):
    """Starts the cloud as anybody would, in a process of its own."""

    OPTIONS: tuple[str, ...] = ()
    REGION = "us-east-1"

    @classmethod
    def setUpClass(cls) -> None:
        command = [sys.executable, "-m", "emulated_cloud", "--exit-with-stdin", "--seed", "1"]
        command += ["--launch-ms", "100", "--terminate-ms", "100", "--agent-ms", "50", *cls.OPTIONS]
        cls.process = subprocess.Popen(
            command, cwd=DIRECTORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        line = cls.process.stdout.readline()
        assert line.startswith("listening on http://"), line
        cls.url = line.split()[-1]
        cls.addClassCleanup(cls.stop)
        session = boto3.Session("test", "test", region_name=cls.REGION)
        config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=30)

        def client(name: str) -> Any:
            return session.client(name, endpoint_url=cls.url, config=config)

        cls.client = staticmethod(client)
        cls.ec2, cls.ssm, cls.s3 = client("ec2"), client("ssm"), client("s3")

    @classmethod
    def stop(cls) -> None:
        """Ends the cloud by the end of its standard input."""
        cls.process.stdin.close()
        cls.process.wait(WAIT_LIMIT_S)
        cls.process.stdout.close()

    def cloud(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Asks the admin endpoint; POST when there is a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_cloud/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def wait(self, what: str, found: Callable[[], Any]) -> Any:
        """Returns what `found` finds, when it finds something; fails after a while."""
        deadline = time.monotonic() + WAIT_LIMIT_S
        while time.monotonic() < deadline:
            if result := found():
                return result
            time.sleep(0.02)
        self.fail(f"waited {WAIT_LIMIT_S} s for {what}")

    def image(self) -> str:
        """The default image, found as the runner finds it."""
        return self.ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]

    def run_instances(self, count: int = 1, user_data: str | None = None, **more: Any) -> list[str]:
        """Launches instances that are not yet running; returns their ids."""
        if user_data is not None:
            more["UserData"] = user_data
        asked = {
            "ImageId": self.image(),
            "InstanceType": "c5.large",
            "MinCount": count,
            "MaxCount": count,
        } | more
        return [instance["InstanceId"] for instance in self.ec2.run_instances(**asked)["Instances"]]

    def hosts(self, count: int = 1, **more: Any) -> list[str]:
        """Instances whose agents are online."""
        ids = self.run_instances(count, **more)
        self.wait("agents", lambda: set(ids) <= set(self.online()))
        return ids

    def online(self) -> list[str]:
        pages = self.ssm.get_paginator("describe_instance_information").paginate()
        found = [one for page in pages for one in page["InstanceInformationList"]]
        return [one["InstanceId"] for one in found if one["PingStatus"] == "Online"]

    def state(self, instance: str) -> str:
        answer = self.ec2.describe_instances(InstanceIds=[instance])
        return answer["Reservations"][0]["Instances"][0]["State"]["Name"]

    def send(self, ids: list[str], script: str, **more: Any) -> str:
        """Starts a command; returns its id."""
        limit = more.pop("limit_s", 60)
        parameters = {"commands": script.splitlines(), "executionTimeout": [str(limit)]}
        asked = {"DocumentName": "AWS-RunShellScript", "InstanceIds": ids, "Parameters": parameters} | more
        return self.ssm.send_command(**asked)["Command"]["CommandId"]

    def command(self, command: str) -> dict[str, Any]:
        return self.ssm.list_commands(CommandId=command)["Commands"][0]

    def result(self, command: str, instance: str) -> dict[str, Any]:
        """Waits until a command is at its end on a host."""

        def ended() -> Any:
            found = self.ssm.list_command_invocations(CommandId=command, InstanceId=instance)[
                "CommandInvocations"
            ]
            return found and found[0]["Status"] not in ("Pending", "InProgress")

        self.wait(f"the end of {command}", ended)
        return self.ssm.get_command_invocation(CommandId=command, InstanceId=instance)

    def directory(self, instance: str) -> Path:
        return next(Path(host["directory"]) for host in self.cloud("hosts") if host["id"] == instance)

    def pids(self, instance: str) -> list[int]:
        return next((one["pids"] for one in self.cloud("left")["processes"] if one["id"] == instance), [])


def code_of(error: Any) -> str:
    """The code in an error of boto3."""
    return error.exception.response["Error"]["Code"]
