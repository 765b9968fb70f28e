"""Monitoring of the gateway: configuration, alerts and a dashboard for Prometheus and Grafana."""
