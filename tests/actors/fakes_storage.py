"""Postgres in memory, under the name by which the tests of storage know it."""

from ops.simulation.stores import Lease as Lease
from ops.simulation.stores import MemoryFence as MemoryFence
from ops.simulation.stores import MemoryLeases as MemoryLeases
from ops.simulation.stores import MemoryPayments as MemoryPayments
from ops.simulation.stores import MemoryPurge as MemoryPurge
from ops.simulation.stores import MemoryTables as MemoryTables
