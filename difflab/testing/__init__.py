"""Checks for other people's rules and backends: the same that difflab's own must pass."""

from .backends import Loss, check_backend
from .faults import CheckError, Report
from .primitives import check_primitive

__all__ = ["CheckError", "Loss", "Report", "check_backend", "check_primitive"]
