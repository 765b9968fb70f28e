"""What ops/archive does: settlements that are old enough leave their table, partition by partition, for files."""
