"""What ops/bare runs: machines that have Python and its venv alone, as containers, and what a newcomer does on them."""
