"""Lets `cargo xtask bench task` run one of DSPy's optimizers on a task: `python task.py`.

One JSON object a line on standard input, one answer a line on standard output:

    {"op": "version"}                             -> {"version": ".."}
    {"op": "optimize", "optimizer": NAME, ..}     -> {}
    {"op": "test", "rows": ROWS}                  -> {"answers": [".." or null, ..]}

NAME is `dspy-unoptimized`, `dspy-miprov2` or `dspy-random-search`; what else an optimization is told is in `work.rs` of the family.
ROWS is a list of objects with the inputs and the answer as texts. The program is one Predict, its answers are JSON that the server
holds to a schema, and nothing is taken from a cache. An answer with "error" says what went wrong.
"""

import contextlib
import json
import logging
import os
import sys
import warnings
from importlib.metadata import version
from typing import Literal

warnings.filterwarnings("ignore")
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import dspy  # noqa: E402
import litellm  # noqa: E402, F401  (else the first call would be charged with it)
from dspy.teleprompt import BootstrapFewShotWithRandomSearch, MIPROv2  # noqa: E402

logging.disable(logging.CRITICAL)
dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)

# A row that fails has the score 0 and ends nothing.
PATIENT = 1_000_000


class Session:
    def __init__(self, request):
        self.work = request
        # LiteLLM takes it that a server of this name honours JSON schemas, which of an unknown OpenAI-like one it does not.
        self.lm = dspy.LM(
            "lm_studio/" + request["model"],
            api_base=request["url"],
            api_key="none",
            cache=False,
            num_retries=0,
            temperature=request["temperature"],
            max_tokens=request["max_tokens"],
        )
        if not self.lm.supports_response_schema:
            raise RuntimeError("DSPy would not send the JSON schema")
        dspy.configure(lm=self.lm, adapter=dspy.JSONAdapter())
        self.inputs, self.answer = request["inputs"], request["answer"]
        signature = dspy.Signature(", ".join(self.inputs) + " -> " + self.answer, request["instruction"])
        if request["labels"]:
            signature = signature.with_updated_fields(self.answer, type_=Literal[tuple(request["labels"])])
        self.program = dspy.Predict(signature)

    def rows(self, rows):
        return [dspy.Example(**row).with_inputs(*self.inputs) for row in rows]

    def right(self, example, prediction, trace=None):
        return str(example[self.answer]).strip() == str(getattr(prediction, self.answer, "")).strip()

    def optimize(self):
        work = self.work
        train, val = self.rows(work["train"]), self.rows(work["validation"])
        demos = {"max_bootstrapped_demos": work["demos"], "max_labeled_demos": work["demos"]}
        match work["optimizer"]:
            case "dspy-unoptimized":
                return
            case "dspy-miprov2":
                optimizer = MIPROv2(
                    metric=self.right,
                    auto=None,
                    num_candidates=work["candidates"],
                    num_threads=work["in_flight"],
                    max_errors=PATIENT,
                    seed=work["seed"],
                    **demos,
                )
                self.program = optimizer.compile(
                    self.program,
                    trainset=train,
                    valset=val,
                    num_trials=work["trials"],
                    minibatch=True,
                    minibatch_size=work["minibatch"],
                    minibatch_full_eval_steps=work["full_eval_steps"],
                )
            case "dspy-random-search":
                optimizer = BootstrapFewShotWithRandomSearch(
                    metric=self.right,
                    num_candidate_programs=work["random_programs"],
                    num_threads=work["in_flight"],
                    max_errors=PATIENT,
                    **demos,
                )
                self.program = optimizer.compile(self.program, trainset=train, valset=val)
            case other:
                raise ValueError(f"unknown optimizer {other}")

    def test(self, rows):
        evaluate = dspy.Evaluate(
            devset=self.rows(rows),
            metric=self.right,
            num_threads=self.work["in_flight"],
            max_errors=PATIENT,
            display_progress=False,
        )
        answers = [getattr(prediction, self.answer, None) for _, prediction, _ in evaluate(self.program).results]
        return [None if answer is None else str(answer) for answer in answers]


def answer_to(session, request):
    match request["op"]:
        case "version":
            return session, {"version": version("dspy")}
        case "optimize":
            session = Session(request)
            session.optimize()
            return session, {}
        case "test":
            return session, {"answers": session.test(request["rows"])}
        case other:
            raise ValueError(f"unknown operation {other}")


def main():
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    session = None
    for line in sys.stdin:
        try:
            # What the library prints is not ours to read.
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                session, answer = answer_to(session, json.loads(line))
        except Exception as error:  # What a peer raises is a result, to be shown.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=out, flush=True)


main()
