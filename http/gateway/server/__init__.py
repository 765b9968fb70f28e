"""The gunicorn worker that serves the gateway, and what it is made of."""
