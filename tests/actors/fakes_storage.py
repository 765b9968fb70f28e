"""Postgres in memory, under the name by which the tests of storage know it."""

from ops.simulation.stores import MemoryLeases, MemoryPayments, MemoryPurge
from ops.simulation.tables import Lease, MemoryFence, MemoryTables

__all__ = ["Lease", "MemoryFence", "MemoryLeases", "MemoryPayments", "MemoryPurge", "MemoryTables"]
