"""One command of SSM and its invocations."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from moto.moto_api._internal import mock_random

from .host import Host
from .invocation import DELIVERY_TIMED_OUT, EXECUTION_TIMED_OUT, FAILED, PENDING, TERMINATED, Invocation
from .world import World

EXECUTION_LIMIT_S = 3600.0
DELIVERY_LIMIT_S = 3600


class Command:
    """What SendCommand makes."""

    def __init__(
        self, world: World, region: str, asked: dict[str, Any], find: Callable[[], list[Host]]
    ) -> None:
        self.world = world
        self.region = region
        self.id = str(mock_random.uuid4())
        self.asked = asked
        self.requested = datetime.datetime.now(datetime.timezone.utc)
        parameters = asked.get("Parameters") or {}
        self.lines: list[str] = parameters.get("commands", [])
        self.working_directory: str = (parameters.get("workingDirectory") or [""])[0]
        limit = (parameters.get("executionTimeout") or [""])[0]
        self.execution_limit_s = float(limit) if limit else EXECUTION_LIMIT_S
        self.delivery_limit_s = int(asked.get("TimeoutSeconds") or DELIVERY_LIMIT_S)
        self.invocations: list[Invocation] = []
        self.is_cancelled = False
        self.is_delivered = False
        self._find = find
        world.schedule.after(world.options.delivery_ms, self._deliver)
        delivery_ms = self.delivery_limit_s / 60 * world.options.minute_ms
        world.schedule.after(world.options.delivery_ms + delivery_ms, self._give_up)

    def _deliver(self) -> None:
        """Targets become known after the answer to SendCommand, as on AWS."""
        self.is_delivered = True
        self.invocations = [Invocation(self, host) for host in self._find()]
        if self.is_cancelled:
            self.cancel([])
        self.pump()

    def pump(self) -> None:
        """Starts what may start now: agents that answer, as many at once as were asked for."""
        if self._errors() > self._share("MaxErrors", "0"):
            for invocation in self.invocations:
                invocation.give_up(TERMINATED)
            return
        most = max(self._share("MaxConcurrency", "50"), 1)
        for invocation in self.invocations:
            running = sum(1 for other in self.invocations if other.is_open and other.state != PENDING)
            if running >= most:
                return
            if invocation.state != PENDING or not invocation.host.agent_is_online:
                continue
            if invocation.host.running < self.world.options.agent_slots:
                invocation.start()
            elif self not in invocation.host.waiting:
                invocation.host.waiting.append(self)

    def cancel(self, instances: list[str]) -> None:
        """Ends it on these hosts, or on all."""
        self.is_cancelled = self.is_cancelled or not instances
        for invocation in self.invocations:
            if not instances or invocation.host.id in instances:
                invocation.cancel()

    def has_ended(self, host: Host) -> None:
        """An invocation makes room for others; not at once, since it may be in the middle of `pump`."""
        waiting, host.waiting = host.waiting, []
        for command in (self, *waiting):
            self.world.schedule.after(0, command.pump)

    def _give_up(self) -> None:
        for invocation in self.invocations:
            invocation.give_up(DELIVERY_TIMED_OUT)

    def _errors(self) -> int:
        return sum(1 for one in self.invocations if one.state in (FAILED, EXECUTION_TIMED_OUT))

    def _share(self, name: str, default: str) -> int:
        """A number, or a percentage of all targets."""
        text = self.asked.get(name) or default
        if text.endswith("%"):
            return len(self.invocations) * int(text[:-1]) // 100
        return int(text)

    def state(self) -> tuple[str, str]:
        """Status and details of the whole.

        As on AWS, Success means that fewer hosts failed than MaxErrors allows: the counts tell what happened.
        """
        if not self.is_delivered:
            return PENDING
        if not self.invocations:
            return ("Cancelled", "Cancelled") if self.is_cancelled else ("Success", "NoInstancesInTag")
        states = [invocation.state for invocation in self.invocations]
        if any(invocation.is_open for invocation in self.invocations):
            if self.is_cancelled:
                return ("Cancelling", "Cancelling")
            return PENDING if all(state == PENDING for state in states) else ("InProgress", "InProgress")
        if self.is_cancelled:
            return ("Cancelled", "Cancelled")
        if self._errors() > self._share("MaxErrors", "0"):
            only_timeouts = FAILED not in states
            return EXECUTION_TIMED_OUT if only_timeouts else FAILED
        if DELIVERY_TIMED_OUT in states:
            return DELIVERY_TIMED_OUT
        return ("Success", "Success")

    def described(self) -> dict[str, Any]:
        """As ListCommands describes it."""
        status, details = self.state()
        names = ("Comment", "DocumentName", "Parameters", "InstanceIds", "Targets", "OutputS3BucketName")
        names += ("OutputS3KeyPrefix", "MaxConcurrency", "MaxErrors", "CloudWatchOutputConfig")
        defaults = {"MaxConcurrency": "50", "MaxErrors": "0", "InstanceIds": [], "Targets": [], "Comment": ""}
        limit_s = self.delivery_limit_s + self.execution_limit_s
        return {
            **{name: self.asked.get(name, defaults.get(name)) for name in names},
            "CommandId": self.id,
            "RequestedDateTime": self.requested.timestamp(),
            "ExpiresAfter": (self.requested + datetime.timedelta(seconds=limit_s)).timestamp(),
            "Status": status,
            "StatusDetails": details,
            "TargetCount": len(self.invocations),
            "CompletedCount": sum(1 for one in self.invocations if not one.is_open),
            "ErrorCount": self._errors(),
            "DeliveryTimedOutCount": sum(1 for one in self.invocations if one.state == DELIVERY_TIMED_OUT),
            "TimeoutSeconds": self.delivery_limit_s,
        }
