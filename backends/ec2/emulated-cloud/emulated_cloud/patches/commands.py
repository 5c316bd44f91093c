"""The operations of SSM that run commands and tell about them."""

from __future__ import annotations

import datetime
import json
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ssm.exceptions import SSMException
from moto.ssm.responses import SimpleSystemManagerResponse

from ..command import Command
from ..host import Host
from ..invocation import Invocation
from ..pages import page
from ..world import world
from . import add, replace
from .agents import hosts_of, is_target

DOCUMENT = "AWS-RunShellScript"
DOCUMENT_PARAMETERS = {"commands", "workingDirectory", "executionTimeout"}
PLUGIN = "aws:runShellScript"
STEP = "aws:RunShellScript"
PAGE_MAX = 50
IDS_MAX = 50
# The limits of the service's own model.
STDOUT_MAX = 24_000
STDERR_MAX = 8_000
PLUGIN_OUTPUT_MAX = 2_500


def install() -> None:
    """What moto only pretends to do is done."""
    replace(SimpleSystemManagerResponse, "send_command", _send)
    replace(SimpleSystemManagerResponse, "list_commands", _list)
    replace(SimpleSystemManagerResponse, "get_command_invocation", _get_invocation)
    add(SimpleSystemManagerResponse, "list_command_invocations", _list_invocations)
    add(SimpleSystemManagerResponse, "cancel_command", _cancel)


def _send(self: Any) -> ActionResult:
    asked = json.loads(self.body)
    if asked.get("DocumentName") != DOCUMENT:
        raise SSMException("InvalidDocument", f"Document {asked.get('DocumentName')} does not exist")
    parameters = asked.get("Parameters") or {}
    if unknown := set(parameters) - DOCUMENT_PARAMETERS:
        raise SSMException("InvalidParameters", f"{DOCUMENT} has no parameters {sorted(unknown)}")
    if not parameters.get("commands"):
        raise SSMException("InvalidParameters", f"{DOCUMENT} wants the parameter commands")
    ids, targets = asked.get("InstanceIds") or [], asked.get("Targets") or []
    if bool(ids) == bool(targets) or len(ids) > IDS_MAX:
        raise SSMException("InvalidInstanceId", f"give either InstanceIds (at most {IDS_MAX}) or Targets")
    region = self.region
    by_id = {host.id: host for host in hosts_of(region)}
    if bad := [instance for instance in ids if instance not in by_id or not by_id[instance].agent_is_online]:
        raise SSMException("InvalidInstanceId", f"Instances {bad} not in a valid state for account")

    def find() -> list[Host]:
        if ids:
            return [by_id[instance] for instance in dict.fromkeys(ids)]
        return [
            host
            for host in hosts_of(region)
            if all(is_target(host, target["Key"], target["Values"]) for target in targets)
        ]

    command = Command(world(), region, asked, find)
    world().commands[command.id] = command
    return ActionResult({"Command": command.described()})


def _list(self: Any) -> ActionResult:
    found = [one for one in world().commands.values() if one.region == self.region]
    found = _chosen(self, found)
    if instance := self._get_param("InstanceId"):
        found = [one for one in found if instance in {invocation.host.id for invocation in one.invocations}]
    filters = self._get_param("Filters", [])
    found = [one for one in found if all(_passes(one, one.state(), entry) for entry in filters)]
    described = [one.described() for one in sorted(found, key=lambda one: one.requested, reverse=True)]
    part, token = page(described, self._get_param("NextToken"), self._get_int_param("MaxResults"), PAGE_MAX)
    return ActionResult({"Commands": part, "NextToken": token})


def _list_invocations(self: Any) -> ActionResult:
    commands = _chosen(self, [one for one in world().commands.values() if one.region == self.region])
    found = [invocation for command in commands for invocation in command.invocations]
    if instance := self._get_param("InstanceId"):
        found = [one for one in found if one.host.id == instance]
    filters = self._get_param("Filters", [])
    if any(entry["key"] == "ExecutionStage" for entry in filters):
        raise SSMException("InvalidFilterKey", "ExecutionStage is a filter of ListCommands only")
    found = [one for one in found if all(_passes(one.command, one.state, entry) for entry in filters)]
    part, token = page(found, self._get_param("NextToken"), self._get_int_param("MaxResults"), PAGE_MAX)
    details = bool(self._get_param("Details", False))
    described = [_described(invocation, details) for invocation in part]
    return ActionResult({"CommandInvocations": described, "NextToken": token})


def _get_invocation(self: Any) -> ActionResult:
    command = _command(self._get_param("CommandId"))
    instance = self._get_param("InstanceId")
    plugin = self._get_param("PluginName")
    one = next((one for one in command.invocations if one.host.id == instance), None)
    if one is None or plugin not in (None, PLUGIN, STEP):
        raise SSMException("InvocationDoesNotExist", f"{command.id} has no invocation on {instance}")
    times = {
        "ExecutionStartDateTime": _iso(one.started),
        "ExecutionEndDateTime": _iso(one.ended if one.started else None),
        "ExecutionElapsedTime": f"PT{one.elapsed_s:.3f}S" if one.started else "",
    }
    return ActionResult(
        {
            "CommandId": command.id,
            "InstanceId": instance,
            "Comment": command.asked.get("Comment", ""),
            "DocumentName": DOCUMENT,
            "DocumentVersion": "$DEFAULT",
            "PluginName": PLUGIN,
            "ResponseCode": one.code,
            **times,
            "Status": one.state[0],
            "StatusDetails": one.state[1],
            "StandardOutputContent": one.stdout[:STDOUT_MAX],
            "StandardErrorContent": one.stderr[:STDERR_MAX],
            "StandardOutputUrl": "",
            "StandardErrorUrl": "",
        }
    )


def _cancel(self: Any) -> EmptyResult:
    _command(self._get_param("CommandId")).cancel(self._get_param("InstanceIds", []))
    return EmptyResult()


def _described(one: Invocation, details: bool) -> dict[str, Any]:
    status, status_details = one.state
    output = one.stdout + (f"\n----------ERROR-------\n{one.stderr}" if one.stderr else "")
    plugin = {
        "Name": PLUGIN,
        "Status": status,
        "StatusDetails": status_details,
        "ResponseCode": one.code,
        "ResponseStartDateTime": one.started.timestamp() if one.started else None,
        "ResponseFinishDateTime": one.ended.timestamp() if one.ended else None,
        "Output": output[:PLUGIN_OUTPUT_MAX],
    }
    return {
        "CommandId": one.command.id,
        "InstanceId": one.host.id,
        "InstanceName": "",
        "Comment": one.command.asked.get("Comment", ""),
        "DocumentName": DOCUMENT,
        "RequestedDateTime": one.command.requested.timestamp(),
        "Status": status,
        "StatusDetails": status_details,
        "CommandPlugins": [plugin] if details and one.started else [],
        "CloudWatchOutputConfig": one.command.asked.get("CloudWatchOutputConfig"),
    }


def _chosen(self: Any, commands: list[Command]) -> list[Command]:
    command_id = self._get_param("CommandId")
    return [_command(command_id)] if command_id else commands


def _command(command_id: str) -> Command:
    command = world().commands.get(command_id)
    if command is None:
        raise SSMException("InvalidCommandId", f"{command_id} is not the id of a command")
    return command


def _passes(command: Command, state: tuple[str, str], entry: dict[str, str]) -> bool:
    """A status is found by its details as well: TimedOut includes DeliveryTimedOut, which is a value, too."""
    key, value = entry["key"], entry["value"]
    if key == "Status":
        return value in state
    if key == "DocumentName":
        return value == DOCUMENT
    if key in ("InvokedAfter", "InvokedBefore"):
        instant = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        return command.requested >= instant if key == "InvokedAfter" else command.requested <= instant
    if key == "ExecutionStage":
        is_executing = any(one.is_open for one in command.invocations) or not command.is_delivered
        return is_executing == (value == "Executing")
    raise SSMException("InvalidFilterKey", f"The filter {key} is invalid")


def _iso(instant: datetime.datetime | None) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if instant else ""
