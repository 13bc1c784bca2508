"""Lets `cargo xtask bench overhead` drive DSPy's `Evaluate`: `python evaluate.py`.

One JSON object a line on standard input, one answer a line on standard output:

    {"op": "version"}                       -> {"version": ".."}
    {"op": "run", "url": U, "rows": N, "in_flight": K,
     "seconds": S, "answer": A}             -> {"calls", "seconds", "cpu", "peak_mib"}

A run evaluates N rows of `question -> answer` against the server at U with K threads, pass by pass until S seconds have
gone by (once at least), after a pass of 2 K rows (at most N) that opens connections. The cache is off. Each run has a
process of its own, forked after the import; processor time and peak memory are that process's. An answer with "error" says
what went wrong.
"""

import json
import logging
import os
import resource
import sys
import time
from importlib.metadata import version

# Standard output is for answers: whatever a library prints goes to standard error.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import dspy  # noqa: E402

logging.disable(logging.WARNING)
dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def reset_peak():
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def peak_mib():
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def rows(n, answer):
    question = "Question {}: what is the capital of France?"
    return [dspy.Example(question=question.format(i), answer=answer).with_inputs("question") for i in range(n)]


def exact(example, prediction, trace=None):
    return example.answer.lower() == prediction.answer.strip().lower()


def run(request):
    lm = dspy.LM("openai/stub", api_base=request["url"], api_key="none", cache=False, num_retries=0)
    program = dspy.Predict("question -> answer")

    n = request["rows"]
    devset = rows(n, request["answer"])

    def over(n):
        evaluate = dspy.Evaluate(
            devset=devset[:n],
            metric=exact,
            num_threads=request["in_flight"],
            display_progress=False,
            display_table=False,
        )
        with dspy.context(lm=lm):
            score = evaluate(program).score
        if score != 100.0:
            raise RuntimeError(f"a score of {score}, not 100")

    over(min(n, 2 * request["in_flight"]))
    reset_peak()
    start, before, calls = time.perf_counter(), cpu(), 0
    while calls == 0 or time.perf_counter() - start < request["seconds"]:
        over(n)
        calls += n
    seconds = time.perf_counter() - start
    return {"calls": calls, "seconds": seconds, "cpu": cpu() - before, "peak_mib": peak_mib()}


def in_a_child(request):
    """Runs in a forked process, which gives its answer through a pipe."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        try:
            answer = run(request)
        except Exception as error:  # What a peer raises is a result, to be shown.
            answer = {"error": f"{type(error).__name__}: {error}"}
        with os.fdopen(sink, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(sink)
    with os.fdopen(source) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else {"error": "the run ended without an answer"}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            match request["op"]:
                case "version":
                    answer = {"version": version("dspy")}
                case "run":
                    answer = in_a_child(request)
                case other:
                    answer = {"error": f"unknown operation {other}"}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


main()
