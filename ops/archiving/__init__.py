"""The parts of `ops/archive`, which moves old settlements from their table to files, partition by partition."""
