"""Buckets of stacks: moto forgets their lifecycle and who may read them, and passes over full ones."""

from __future__ import annotations

from typing import Any

from moto.core.common_models import CloudFormationModel
from moto.s3.exceptions import BucketNotEmpty
from moto.s3.models import FakeBucket, S3Backend, s3_backends
from moto.utilities.utils import get_partition

from . import existing, replace


class BucketPolicy(CloudFormationModel):
    """A resource of a stack that has no effect: moto ignores conditions, and would deny everything to everybody.

    moto finds it by itself, among the classes that are derived from its own.
    """

    def __init__(self, bucket: str) -> None:
        self.physical_resource_id = bucket

    @staticmethod
    def cloudformation_name_type() -> str:
        """It has no name of its own."""
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        """As templates call it."""
        return "AWS::S3::BucketPolicy"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """It has no attributes."""
        return False

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **more: Any
    ) -> BucketPolicy:
        """The bucket must be there, as on AWS."""
        bucket = cloudformation_json["Properties"]["Bucket"]
        s3_backends[account_id][get_partition(region_name)].get_bucket(bucket)
        return cls(bucket)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource: Any, *more: Any, **keywords: Any) -> Any:
        """Nothing changes, since nothing had an effect."""
        return original_resource

    def delete(self, account_id: str, region_name: str) -> None:
        """It goes with its bucket."""


def install() -> None:
    """Changes how a stack creates and deletes a bucket."""
    for operation in ("put_public_access_block", "put_bucket_lifecycle_configuration", "get_bucket"):
        existing(S3Backend, operation)
    create = existing(FakeBucket, "create_from_cloudformation_json")
    delete = existing(FakeBucket, "delete_from_cloudformation_json")

    def patched_create(
        cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **more: Any
    ) -> Any:
        bucket = create(resource_name, cloudformation_json, account_id, region_name, **more)
        properties = cloudformation_json.get("Properties", {})
        backend = s3_backends[account_id][get_partition(region_name)]
        if block := properties.get("PublicAccessBlockConfiguration"):
            backend.put_public_access_block(bucket.name, block)
        if lifecycle := properties.get("LifecycleConfiguration"):
            rules = [_rule(rule) for rule in lifecycle["Rules"]]
            backend.put_bucket_lifecycle_configuration(bucket.name, rules)
        return bucket

    def patched_delete(
        cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        if s3_backends[account_id][get_partition(region_name)].get_bucket(resource_name).keys:
            raise BucketNotEmpty(resource_name)
        delete(resource_name, cloudformation_json, account_id, region_name)

    replace(FakeBucket, "create_from_cloudformation_json", classmethod(patched_create))
    replace(FakeBucket, "delete_from_cloudformation_json", classmethod(patched_delete))


def _rule(given: dict[str, Any]) -> dict[str, Any]:
    """A rule of a template as S3 itself writes it."""
    rule: dict[str, Any] = {"Status": given["Status"], "Filter": {"Prefix": given.get("Prefix", "")}}
    if "Id" in given:
        rule["ID"] = given["Id"]
    if "ExpirationInDays" in given:
        rule["Expiration"] = {"Days": int(given["ExpirationInDays"])}
    for name in ("AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration"):
        if name in given:
            rule[name] = given[name]
    return rule
