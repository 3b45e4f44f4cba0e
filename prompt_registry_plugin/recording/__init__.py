"""Recording: spans of your own functions, the writer that stores traces, costs of model calls, and the export to OpenTelemetry."""
