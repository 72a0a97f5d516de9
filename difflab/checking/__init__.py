"""Checking a hand-written gradient: how many digits are right, and what is wrong where they are not."""

from .check import check as check
from .record import Check as Check
from .record import Finding as Finding
