"""Output of commands in CloudWatch Logs, where the agent puts it when a command asks for that."""

from __future__ import annotations

import time
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.logs.models import logs_backends

DEFAULT_GROUP = "/aws/ssm/AWS-RunShellScript"


def publish(region: str, config: dict[str, Any], prefix: str, outputs: dict[str, str]) -> None:
    """Writes each output that is not empty into the stream `prefix/aws-runShellScript/NAME`.

    The agent makes the group when it is missing, and so does this.
    """
    if not config.get("CloudWatchOutputEnabled"):
        return
    backend = logs_backends[DEFAULT_ACCOUNT_ID][region]
    group = config.get("CloudWatchLogGroupName") or DEFAULT_GROUP
    if group not in backend.groups:
        backend.create_log_group(group, {})
    now_ms = int(time.time() * 1000)
    for name, text in outputs.items():
        if text:
            stream = f"{prefix}/aws-runShellScript/{name}"
            backend.create_log_stream(group, stream)
            backend.put_log_events(group, stream, [{"timestamp": now_ms, "message": text}])
