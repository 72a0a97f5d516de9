"""Independent values of primitives: products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

REFERENCES: dict[str, Callable[..., Any]] = {}
