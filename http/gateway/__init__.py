"""The HTTP side: Falcon resources and the gunicorn worker that serves them."""
