#!/bin/sh
# litellm 1.110.2 (PyPI), with the price map inside the package.
#
# The map has the higher price of long prompts in fields such as `input_cost_per_token_above_200k_tokens`, the same for every provider.
# The library itself reads that name in two ways: for Gemini the higher price begins with 200,001 tokens of input, and for xAI with
# 200,000. Nothing in the map says so. Who reads the map alone bills xAI's prompts of exactly 200,000 tokens at half their price.
#
# Guess before it was run: one name has one meaning, "above".
# Seen: dollars for 199,999, 200,000 and 200,001 tokens of input, as multiples of the price of short prompts:
#   gemini-2.5-pro 1 1 2
#   grok-4.7 1 2 2
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q litellm==1.110.2
cat > "$folder/edge.py" <<'PY'
import litellm

FIELD = "input_cost_per_token_above_200k_tokens"


def multiple(provider, model, tokens):
    cost, _ = litellm.cost_per_token(model=model, prompt_tokens=tokens, completion_tokens=0, custom_llm_provider=provider)
    return round(cost / tokens / row(provider, model)["input_cost_per_token"])


def row(provider, model):
    return litellm.model_cost.get(model) or litellm.model_cost[f"{provider}/{model}"]


for provider, model in (("gemini", "gemini-2.5-pro"), ("xai", "grok-4.7")):
    assert FIELD in row(provider, model), f"{model} has no field {FIELD}"
    print(model, *(multiple(provider, model, tokens) for tokens in (199_999, 200_000, 200_001)))
PY
seen=$(LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/venv/bin/python" "$folder/edge.py")
expected='gemini-2.5-pro 1 1 2
grok-4.7 1 2 2'
echo "$seen"
test "$seen" = "$expected"
