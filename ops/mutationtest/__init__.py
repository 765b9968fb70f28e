"""Changes `actors/domain` in small ways, one at a time, and finds those that no test notices; see docs/checks.md."""
