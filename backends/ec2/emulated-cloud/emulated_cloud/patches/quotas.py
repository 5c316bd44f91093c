"""The quota of vCPUs of standard on-demand instances, which moto does not know."""

from __future__ import annotations

from typing import Any

from moto.servicequotas.models import ServiceQuotasBackend

from ..world import world
from . import existing, replace

STANDARD_ON_DEMAND = "L-1216C47A"


def install() -> None:
    """Answers for one code more."""
    get = existing(ServiceQuotasBackend, "get_service_quota")

    def get_service_quota(self: Any, service_code: str, quota_code: str) -> dict[str, Any]:
        if (service_code, quota_code) != ("ec2", STANDARD_ON_DEMAND):
            return get(self, service_code, quota_code)
        arn = f"arn:aws:servicequotas:{self.region_name}:{self.account_id}:ec2/{STANDARD_ON_DEMAND}"
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": arn,
            "QuotaCode": STANDARD_ON_DEMAND,
            "QuotaName": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
            "Value": world().options.vcpu_quota,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }

    replace(ServiceQuotasBackend, "get_service_quota", get_service_quota)
