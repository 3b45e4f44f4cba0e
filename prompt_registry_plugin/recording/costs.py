"""Costs of model calls, from the public prices in the package genai-prices. Without that package, no price is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec

from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.records import EMPTY, Price, Span, Usage
from prompt_registry_plugin.tracing.trace import Trace, usage_of


def cost_of(model: str, usage: Usage, prices: Mapping[str, Price], plugins: PluginManager) -> float | None:
    """Return what these tokens of a model cost, in US dollars: by `prices`, or else by a plugin. None if neither has a price."""
    if model in prices:
        return prices[model].of(usage)
    cost = plugins.hook.prompt_registry_cost(model=model, usage=usage)
    return None if cost is None else float(cost)


def model_of(span: Span) -> str:
    """Return the name of a model span's model."""
    return str(span.attributes.get("model") or span.name)


def with_costs(trace: Trace, plugins: PluginManager, prices: Mapping[str, Price] = EMPTY) -> Trace:
    """Return the trace with a `cost`, in US dollars, on every model span whose model has a price in `prices` or with a plugin."""
    costs: dict[str, float] = {}
    for span in trace.spans:
        usage = usage_of(span)
        if usage.input_tokens + usage.output_tokens and "cost" not in span.attributes:
            cost = cost_of(model_of(span), usage, prices, plugins)
            if cost is not None:
                costs[span.id] = cost
    if not costs:
        return trace
    spans = [
        replace(span, attributes={**span.attributes, "cost": costs[span.id]}) if span.id in costs else span
        for span in trace.spans
    ]
    return trace.with_spans(spans)


def public_price(model: str, usage: Usage) -> float | None:
    """Return the public price of a call in US dollars, or None if the model is not listed or genai-prices is not installed."""
    if not _is_installed():
        return None
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    try:
        price = calc_price(Tokens(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens), model_ref=model)
    except (LookupError, ValueError):
        return None
    return float(price.total_price)


@cache
def _is_installed() -> bool:
    return find_spec("genai_prices") is not None
