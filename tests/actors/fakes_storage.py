"""Postgres in memory, under the name by which the tests of storage know it."""

from ops.simulation.stores import (
    Lease,
    MemoryFence,
    MemoryLeases,
    MemoryPayments,
    MemoryPurge,
    MemoryStore,
    MemoryTables,
    OwnedClaim,
)

__all__ = [
    "Lease",
    "MemoryFence",
    "MemoryLeases",
    "MemoryPayments",
    "MemoryPurge",
    "MemoryStore",
    "MemoryTables",
    "OwnedClaim",
]
