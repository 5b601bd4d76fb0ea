"""Counts the tokens of requests for run.ts. One line of JSON asks, {"renderer": …, "bodies": […]}, and one line answers:
{"tokens": […]}, with null for a request that the renderer refuses, or {"error": …} for a renderer that cannot be opened."""

import json
import sys

from renderers import Counter, open_renderer


def main() -> None:
    packages = json.loads(sys.argv[1])
    # Some templates call themselves without an end for schemas that they do not expect.
    sys.setrecursionlimit(1_500)
    counters: dict[str, Counter] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked["renderer"]
        try:
            if name not in counters:
                counters.clear()
                counters[name] = open_renderer(name, packages)
            answer = {"tokens": counters[name]([json.loads(body) for body in asked["bodies"]])}
        except Exception as error:  # The search goes on with the next renderer.
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), flush=True)


main()
