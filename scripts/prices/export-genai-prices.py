"""Prints the price list of the installed genai-prices as JSON. Runs in the environment that update.ts makes; changes nothing."""

import json
import sys

from genai_prices.data import providers

CLAUSES = {
    'ClauseEquals': 'equals',
    'ClauseStartsWith': 'starts_with',
    'ClauseEndsWith': 'ends_with',
    'ClauseContains': 'contains',
    'ClauseRegex': 'regex',
    'ClauseOr': 'or_',
    'ClauseAnd': 'and_',
}


def clause(match):
    name = CLAUSES[type(match).__name__]
    value = getattr(match, name)
    return {name: value if isinstance(value, str) else [clause(part) for part in value]}


def price(value):
    if not hasattr(value, 'tiers'):
        return float(value)
    return {'base': float(value.base), 'over': {str(tier.start): float(tier.price) for tier in value.tiers}}


def prices(model_price):
    return {key: price(value) for key, value in vars(model_price).items() if value is not None}


def constraint(value):
    if value is None:
        return None
    if hasattr(value, 'start_date'):
        return {'from': value.start_date.isoformat()}
    return {'utc': [value.start_time.isoformat('minutes')[:5], value.end_time.isoformat('minutes')[:5]]}


def model(info):
    dated = info.prices if isinstance(info.prices, list) else None
    return {
        'id': info.id,
        'match': clause(info.match),
        'context_window': info.context_window,
        'deprecated': bool(info.deprecated),
        'prices': [
            {'constraint': constraint(entry.constraint), 'prices': prices(entry.prices)} for entry in dated
        ]
        if dated is not None
        else [{'constraint': None, 'prices': prices(info.prices)}],
        'variants': [
            {'when': entry.when, 'constraint': constraint(entry.constraint), 'prices': prices(entry.prices)}
            for entry in info.price_variants or []
        ],
    }


json.dump(
    [
        {
            'id': provider.id,
            'fallbacks': provider.fallback_model_providers or [],
            'models': [model(info) for info in provider.models],
        }
        for provider in providers
    ],
    sys.stdout,
)
