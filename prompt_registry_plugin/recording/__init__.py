"""Recording: spans of your functions, the writer that stores traces, costs of model calls, and the export to OpenTelemetry."""
