"""The built-in parts of recording: public prices, and OpenTelemetry. Imports them on first use, as every `plugin` module does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Adapter
    from prompt_registry_plugin.records import Usage
    from prompt_registry_plugin.tracing.trace import Trace


class OpenTelemetryAdapter:
    """Writes attributes to the current span, and exports recordings as separate traces to the configured provider."""

    name = "otel"
    requires: tuple[str, ...] = ()
    waits_for = "opentelemetry.trace"

    def enable(self) -> None:
        """Start to write and export. Raises `PluginError` if opentelemetry-api is missing."""
        try:
            import opentelemetry.trace  # noqa: F401
        except ImportError as error:
            raise PluginError("OpenTelemetry is not installed: pip install 'prompt-registry-plugin[otel]'") from error
        from prompt_registry_plugin.recording import otel

        otel.start()

    def disable(self) -> None:
        """Stop writing and exporting."""
        from prompt_registry_plugin.recording import otel

        otel.stop()


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """Return the adapter of OpenTelemetry."""
    return [OpenTelemetryAdapter()]


@hookimpl
def prompt_registry_trace_finished(trace: Trace) -> None:
    """Export a recording as it was stored, if the adapter is enabled."""
    from prompt_registry_plugin.recording import otel

    otel.export(trace)


@hookimpl
def prompt_registry_cost(model: str, usage: Usage) -> float | None:
    """Return the public price, or None for a model that is not listed."""
    from prompt_registry_plugin.recording.costs import public_price

    return public_price(model, usage)
