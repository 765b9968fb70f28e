"""The ids that a replica has seen lately, so that a repeated post is answered without asking Postgres."""

from array import array
from uuid import UUID

FIRST_CAPACITY = 65_536
"""Ids for which room is made at first; it doubles when they are more."""
FINGERPRINT_MASK = 2**64 - 1
BUCKETS_PER_ID = 2
"""Hash buckets for each id, so that at most every second one is taken."""


class KnownIds:
    """Remembers a value for each of the last `size_max` ids, in flat arrays of 24 bytes an id.

    An id is known by a fingerprint of 64 bits: Python's hash of its bytes, which is keyed anew in each process, so that
    no client can choose ids that collide. Two ids that share a fingerprint are taken for one: an id that was never seen
    is mistaken for one of `n` known ids with a probability of n / 2^64. With 65,536 known ids that is 3.6e-15, or one
    payment in 2.8e14.

    The ids stand in a ring in the order in which they came. An open-addressing index with linear probing finds an id's
    place in the ring by its fingerprint.
    """

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._capacity = 0
        self._fingerprints = array("Q")
        self._values = array("Q")
        self._index = array("I")
        """For each hash bucket, one more than a place in the ring; 0 where it is empty."""
        self._oldest = 0
        """The place in the ring of the oldest id."""
        self._span = 0
        """Places in use, from the oldest on; some of them may belong to forgotten ids."""
        self._known = 0
        self._grow()

    def __len__(self) -> int:
        """Count the ids that are known."""
        return self._known

    def get(self, correlation_id: UUID) -> int | None:
        """Give the value of an id; None where it is not known."""
        entry = self._index[self._find(_fingerprint(correlation_id))]
        return self._values[entry - 1] if entry else None

    def remember(self, correlation_id: UUID, value: int) -> None:
        """Keep an unsigned number of 64 bits for an id; a known id keeps its place. The oldest id may be forgotten."""
        fingerprint = _fingerprint(correlation_id)
        entry = self._index[self._find(fingerprint)]
        if entry:
            self._values[entry - 1] = value
            return
        if self._span == self._capacity:
            self._make_room()
        place = (self._oldest + self._span) % self._capacity
        self._fingerprints[place] = fingerprint
        self._values[place] = value
        self._index[self._find(fingerprint)] = place + 1
        self._span += 1
        self._known += 1

    def forget(self, correlation_id: UUID) -> None:
        """Drop an id that was not kept after all. Its place is free again once no later id is known."""
        bucket = self._find(_fingerprint(correlation_id))
        if self._index[bucket]:
            self._remove(bucket)
        while self._span and self._bucket_of((self._oldest + self._span - 1) % self._capacity) is None:
            self._span -= 1

    def _find(self, fingerprint: int) -> int:
        """Find the bucket of a fingerprint, or the empty one where it would be put."""
        index, fingerprints = self._index, self._fingerprints
        bucket = fingerprint % len(index)
        while (entry := index[bucket]) and fingerprints[entry - 1] != fingerprint:
            bucket = (bucket + 1) % len(index)
        return bucket

    def _bucket_of(self, place: int) -> int | None:
        """Find the bucket that leads to a place in the ring; None where its id was forgotten."""
        bucket = self._find(self._fingerprints[place])
        return bucket if self._index[bucket] == place + 1 else None

    def _make_room(self) -> None:
        if self._capacity < self._size_max:
            self._grow()
            return
        bucket = self._bucket_of(self._oldest)
        if bucket is not None:
            self._remove(bucket)
        self._oldest = (self._oldest + 1) % self._capacity
        self._span -= 1

    def _remove(self, hole: int) -> None:
        """Empty a bucket, moving back those behind it that would not be found any more."""
        index, fingerprints = self._index, self._fingerprints
        buckets = len(index)
        bucket = (hole + 1) % buckets
        while entry := index[bucket]:
            home = fingerprints[entry - 1] % buckets
            if (bucket - home) % buckets >= (bucket - hole) % buckets:
                index[hole] = entry
                hole = bucket
            bucket = (bucket + 1) % buckets
        index[hole] = 0
        self._known -= 1

    def _grow(self) -> None:
        """Double the room. The oldest id stands at the beginning until the room is as large as it may become."""
        old_fingerprints, old_values, old_index = self._fingerprints, self._values, self._index
        self._capacity = min(self._size_max, max(FIRST_CAPACITY, 2 * self._capacity))
        # An array that is multiplied is as long as it must be; one that grows keeps a reserve of a sixteenth.
        self._fingerprints = array("Q", [0]) * self._capacity
        self._values = array("Q", [0]) * self._capacity
        self._index = array("I", [0]) * (BUCKETS_PER_ID * self._capacity)
        self._fingerprints[: self._span] = old_fingerprints
        self._values[: self._span] = old_values
        for entry in old_index:
            if entry:
                self._index[self._find(self._fingerprints[entry - 1])] = entry


def _fingerprint(correlation_id: UUID) -> int:
    return hash(correlation_id.bytes) & FINGERPRINT_MASK
