"""Stacks take time, say what happens to their parts, and are deleted wholly or stay with the reason why not."""

from __future__ import annotations

from typing import Any

from moto.cloudformation.exceptions import AlreadyExistsException, ValidationError
from moto.cloudformation.models import CloudFormationBackend, Event, Stack
from moto.cloudformation.parsing import ResourceMap
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult

from ..world import world
from . import existing, replace

MOTO_REFUSES = (AlreadyExistsException, ValidationError)
"""What is wrong with a request, and not with a resource of the template."""

UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")


def install() -> None:
    """Changes creation and deletion; updates are moto's, at once."""
    replace(
        CloudFormationResponse, "create_stack", _make_ask(existing(CloudFormationResponse, "create_stack"))
    )
    replace(
        CloudFormationBackend, "create_stack", _make_create(existing(CloudFormationBackend, "create_stack"))
    )
    replace(
        CloudFormationBackend, "delete_stack", _make_delete(existing(CloudFormationBackend, "delete_stack"))
    )
    replace(
        CloudFormationBackend, "update_stack", _make_update(existing(CloudFormationBackend, "update_stack"))
    )
    replace(ResourceMap, "_delete_resource", _make_note(existing(ResourceMap, "_delete_resource")))
    for name in ("_add_stack_event", "outputs"):
        existing(Stack, name)


def _make_ask(ask: Any) -> Any:
    def patched(self: Any) -> Any:
        """The same token again is the same request again."""
        token, name = self._get_param("ClientRequestToken"), self._get_param("StackName")
        for stack in self.cloudformation_backend.stacks.values():
            if token and stack.name == name and getattr(stack, "creation_token", None) == token:
                return ActionResult({"StackId": stack.stack_id})
        result = ask(self)
        self.cloudformation_backend.stacks[result.result["StackId"]].creation_token = token
        return result

    return patched


def _make_create(create: Any) -> Any:
    def patched(self: Any, name: str, *more: Any, **keywords: Any) -> Any:
        before = set(self.stacks)
        try:
            stack = create(self, name, *more, **keywords)
        except Exception as error:
            made = [stack for key, stack in self.stacks.items() if key not in before]
            if isinstance(error, MOTO_REFUSES) or not made:
                for stack in made:
                    del self.stacks[stack.stack_id]
                raise
            return _rolled_back(made[0], error)
        # The end comes later; what leads to it is told at once. Outputs are read while all they refer to is there.
        assert stack.outputs is None or stack.outputs
        stack.events.pop()
        stack.status = "CREATE_IN_PROGRESS"
        for resource in stack.stack_resources:
            _tell(stack, resource, "CREATE_COMPLETE")

        def complete() -> None:
            if stack.status == "CREATE_IN_PROGRESS":
                stack.mark_creation_complete()

        world().schedule.after(world().options.stack_ms, complete)
        return stack

    return patched


def _make_update(update: Any) -> Any:
    def patched(self: Any, name: str, template: str, role_arn: Any, parameters: Any, tags: Any) -> Any:
        stack = self.get_stack(name)
        if stack.status not in UPDATABLE:
            message = f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated."
            raise ValidationError(message=message)
        same = Stack.parse_template(template) == Stack.parse_template(stack.template)
        if same and not parameters and tags in (None, stack.tags):
            raise ValidationError(message="No updates are to be performed.")
        return update(self, name, template, role_arn, parameters, tags)

    return patched


def _rolled_back(stack: Any, error: Exception) -> Any:
    """AWS accepts such a stack, fails, and removes what it made."""
    reason = getattr(error, "message", None) or str(error)
    stack._add_stack_event("ROLLBACK_IN_PROGRESS", resource_status_reason=reason)
    # They would refer to what is not there.
    stack.output_map._output_json_map = None
    _delete_parts(stack)
    stack.status, stack.stack_status_reason = "ROLLBACK_COMPLETE", reason
    stack._add_stack_event("ROLLBACK_COMPLETE")
    return stack


def _make_delete(delete: Any) -> Any:
    def patched(self: Any, name_or_stack_id: str) -> None:
        stack = next(
            (one for one in self.stacks.values() if name_or_stack_id in (one.name, one.stack_id)), None
        )
        if stack is None or stack.status == "DELETE_IN_PROGRESS":
            return
        stack.status, stack.stack_status_reason = "DELETE_IN_PROGRESS", "User Initiated"

        def finish() -> None:
            if (failure := _delete_parts(stack)) is None:
                delete(self, stack.stack_id)
                stack.stack_status_reason = None
                return
            stack._add_stack_event("DELETE_FAILED", resource_status_reason=failure)
            stack.status, stack.stack_status_reason = "DELETE_FAILED", failure

        world().schedule.after(world().options.stack_ms, finish)

    return patched


def _delete_parts(stack: Any) -> str | None:
    """Deletes what can be deleted; returns what AWS says about the rest."""
    parts = stack.resource_map
    before = {name: parts._parsed_resources.get(name) for name in parts._resource_json_map}
    parts.failures = {}
    try:
        parts.delete()
    except Exception as error:
        # Told for each part below; an error without a part is none of a resource.
        if not parts.failures:
            return f"The stack failed to delete: {error}"
    left = [name for name in before if name in parts._parsed_resources]
    for name, resource in before.items():
        if resource is not None and name not in left:
            _tell(stack, resource, "DELETE_COMPLETE")
    for name in left:
        error = parts.failures.get(name)
        reason = getattr(error, "message", None) or str(error)
        _tell(stack, before[name], "DELETE_FAILED", reason)
    # moto makes parts that are in the template and not there, whenever somebody asks for them.
    parts._resource_json_map = {name: parts._resource_json_map[name] for name in left}
    if not left:
        return None
    reasons = "; ".join(str(getattr(parts.failures.get(name), "message", "")) for name in left)
    return f"The following resource(s) failed to delete: [{', '.join(left)}]. {reasons}"


def _make_note(delete: Any) -> Any:
    def patched(self: Any, parsed_resource: Any, resource_json: Any) -> None:
        try:
            delete(self, parsed_resource, resource_json)
        except Exception as error:
            if hasattr(self, "failures"):
                self.failures[parsed_resource.logical_resource_id] = error
            raise

    return patched


def _tell(stack: Any, resource: Any, status: str, reason: str | None = None) -> None:
    stack.events.append(
        Event(
            stack_id=stack.stack_id,
            stack_name=stack.name,
            logical_resource_id=getattr(resource, "logical_resource_id", ""),
            physical_resource_id=getattr(resource, "physical_resource_id", ""),
            resource_type=getattr(resource, "cf_resource_type", ""),
            resource_status=status,
            resource_status_reason=reason,
            resource_properties=None,
        )
    )
