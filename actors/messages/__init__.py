"""What actors say to each other: one closed union of messages for each receiver."""
