"""Whether traces are exported. The exporter reads the standard variables of OpenTelemetry by itself."""

from collections.abc import Mapping

from actors.errors import SettingsError

PROTOCOL = "http/protobuf"


def exports_traces(environment: Mapping[str, str]) -> bool:
    """Tell from `OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_TRACES_EXPORTER` whether traces are exported.

    Raises:
        SettingsError: another exporter or protocol is asked for than there is.
    """
    exporter, protocol = environment.get("OTEL_TRACES_EXPORTER", ""), environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
    endpoint, disabled = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""), environment.get("OTEL_SDK_DISABLED", "")
    if exporter not in {"", "none", "otlp"}:
        raise SettingsError(f"OTEL_TRACES_EXPORTER={exporter!r} is neither otlp nor none")
    is_wanted = exporter == "otlp" or (exporter != "none" and bool(endpoint))
    if is_wanted and protocol not in {"", PROTOCOL}:
        raise SettingsError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r} is not {PROTOCOL}")
    return is_wanted and disabled.lower() != "true"
