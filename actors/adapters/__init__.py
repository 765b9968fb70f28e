"""What actors need of the outside world; library errors become Fiel's own here."""
