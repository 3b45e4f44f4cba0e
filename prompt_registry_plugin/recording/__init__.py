"""What becomes of a trace: steps of your own, costs, the way to the database and to OpenTelemetry."""
