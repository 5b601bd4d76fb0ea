#!/bin/sh
# tokencur 0.11.1 (PyPI), which writes the logs of coding agents as FOCUS cost data.
#
# FOCUS: ListUnitPrice × PricingQuantity MUST produce the ListCost. tokencur computes both with doubles and writes all their digits, so that
# the rule holds for no class of tokens whose price is no short binary fraction. A cache read of Claude Sonnet 4.5, $0.30 for a million, has
# the unit price 3.0000000000000004e-07. Who reads the columns as decimals, or checks the rule, gets a difference in three rows of five.
#
# Guess before it was run: tokens read from the cache would be counted in the row of input as well. They are not.
# Seen: one call with 1,000 + 777 + 300 + 33 tokens in and 101 out is five rows; for each, whether the product is the cost:
#   input True, output True, cache-read False, cache-write-5m False, cache-write-1h False
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tokencur==0.11.1
mkdir -p "$folder/home/.claude/projects/-tmp-x"
cat > "$folder/home/.claude/projects/-tmp-x/s1.jsonl" <<'LOG'
{"type":"assistant","timestamp":"2026-10-10T10:00:00.000Z","sessionId":"s1","cwd":"/tmp/x","version":"2.1.0","requestId":"req_1","uuid":"u1","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[{"type":"text","text":"hi"}],"usage":{"input_tokens":1000,"cache_creation_input_tokens":333,"cache_read_input_tokens":777,"output_tokens":101,"cache_creation":{"ephemeral_5m_input_tokens":300,"ephemeral_1h_input_tokens":33}}}}
LOG
HOME="$folder/home" XDG_DATA_HOME="$folder/data" "$folder/venv/bin/tokencur" export "$folder/focus.csv" > /dev/null
seen=$(python3 - "$folder/focus.csv" <<'PY'
import csv
import sys
from decimal import Decimal

for row in csv.DictReader(open(sys.argv[1])):
    product = Decimal(row["ListUnitPrice"]) * Decimal(row["PricingQuantity"])
    print(row["SkuId"].split("/")[1], row["ListUnitPrice"], product == Decimal(row["ListCost"]))
PY
)
expected='input 3e-06 True
output 1.5e-05 True
cache-read 3.0000000000000004e-07 False
cache-write-5m 3.75e-06 False
cache-write-1h 6e-06 False'
echo "$seen"
test "$seen" = "$expected"
