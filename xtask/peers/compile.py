"""Lets `cargo xtask bench compile` run DSPy's MIPROv2: `python compile.py`.

One JSON object a line on standard input, one answer a line on standard output:

    {"op": "version"}                                         -> {"version": ".."}
    {"op": "compile", "url": "http://..", "threads": K,
     "seed": N, "train": ROWS, "val": ROWS}                   -> {"seconds": X, "score": Y}

ROWS is a list of {"question": "..", "answer": ".."}. The program has two predictors, `question -> query` and
`question, query -> answer`; nothing is taken from a cache. An answer with "error" says what went wrong.
"""

import contextlib
import json
import logging
import os
import sys
import time
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import dspy  # noqa: E402

logging.disable(logging.CRITICAL)
dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)


class TwoStages(dspy.Module):
    def __init__(self):
        super().__init__()
        self.query = dspy.Predict("question -> query")
        self.answer = dspy.Predict("question, query -> answer")

    def forward(self, question):
        query = self.query(question=question).query
        return self.answer(question=question, query=query)


def right(example, prediction, trace=None):
    return example.answer.strip() == prediction.answer.strip()


def rows_of(rows):
    return [dspy.Example(**row).with_inputs("question") for row in rows]


def compiled(request):
    lm = dspy.LM(
        "openai/stub", api_base=request["url"], api_key="none", cache=False, num_retries=0, temperature=0.0, max_tokens=200
    )
    dspy.configure(lm=lm)
    optimizer = dspy.MIPROv2(metric=right, auto="light", num_threads=request["threads"], seed=request["seed"], max_errors=100)
    train, val = rows_of(request["train"]), rows_of(request["val"])
    begin = time.perf_counter()
    best = optimizer.compile(TwoStages(), trainset=train, valset=val)
    return {"seconds": time.perf_counter() - begin, "score": getattr(best, "score", None)}


def main():
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            # What the library prints is not ours to read.
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                match request["op"]:
                    case "version":
                        answer = {"version": version("dspy")}
                    case "compile":
                        answer = compiled(request)
                    case other:
                        answer = {"error": f"unknown operation {other}"}
        except Exception as error:  # What a peer raises is a result, to be shown.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=out, flush=True)


main()
