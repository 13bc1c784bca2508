"""Runs DSPy's MIPROv2 on scripted answers and writes what it did: `python miprov2.py OUT.json`.

Needs the peer `dspy` of xtask/peers/peers.toml. The task: the question `case 17` has the answer `51`; the scripted model knows it for about
half of the cases, whatever the prompt. Written are the calls by kind, the demo sets, and every choice of a combination for a full
evaluation with what it was chosen from. `crates/miprov2/tests/parity.rs` and the tests of its search read the file.
"""

import json
import logging
import re
import sys
import threading
import warnings
from collections import Counter

warnings.filterwarnings("ignore")

import dspy  # noqa: E402
from dspy.teleprompt import mipro_optimizer_v2 as mipro  # noqa: E402
from openai.types.chat import ChatCompletion  # noqa: E402

logging.disable(logging.CRITICAL)
dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)

TRAIN, VAL, TRIALS, MINIBATCH, STEPS, CANDIDATES = 30, 40, 12, 10, 5, 3


def known(case):
    return (case * 7 + 3) % 10 < 5


class Scripted(dspy.BaseLM):
    """Answers by the last question of the prompt; proposals are numbered."""

    def __init__(self):
        super().__init__(model="scripted", cache=False)
        self.kind = "other"
        self.calls = Counter()
        self.lock = threading.Lock()

    def forward(self, prompt=None, messages=None, **kwargs):
        text = messages[-1]["content"] if messages else prompt
        with self.lock:
            self.calls[self.kind] += 1
            number = sum(self.calls.values())
        fields = [name for name in re.findall(r"\[\[ ## (\w+) ## \]\]", text.rpartition("Respond with")[2]) if name != "completed"]
        cases = re.findall(r"case (\d+)", text.rpartition("Respond with")[0])
        values = {}
        for name in fields:
            if name == "answer" and cases:
                case = int(cases[-1])
                values[name] = str(3 * case) if known(case) else "unknown"
            else:
                values[name] = f"Triple the number. Variant {number}."
        content = "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in values.items()) + "\n\n[[ ## completed ## ]]"
        return ChatCompletion.model_validate({
            "id": "scripted", "object": "chat.completion", "created": 0, "model": "scripted",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        })


def rows(cases):
    return [dspy.Example(question=f"case {case}", answer=str(3 * case)).with_inputs("question") for case in cases]


def right(example, prediction, trace=None):
    return example.answer == prediction.answer


def main(path):
    lm = Scripted()
    dspy.configure(lm=lm)
    found = {"dspy": "3.4.1", "train": TRAIN, "val": VAL, "trials": TRIALS, "minibatch": MINIBATCH, "steps": STEPS,
             "candidates": CANDIDATES, "demo_sets": [], "promotions": []}

    def during(kind, call):
        def wrapped(*args, **kwargs):
            before, lm.kind = lm.kind, kind(args) if callable(kind) else kind
            try:
                return call(*args, **kwargs)
            finally:
                lm.kind = before
        return wrapped

    bootstrap = during("bootstrap", mipro.create_n_fewshot_demo_sets)

    def demo_sets(*args, **kwargs):
        made = bootstrap(*args, **kwargs)
        for demos in made[0]:
            found["demo_sets"].append([{"question": demo.question, "bootstrapped": bool(demo.get("augmented"))} for demo in demos])
        return made

    choose = mipro.get_program_with_highest_avg_score

    def promotion(seen, done):
        chosen = choose(seen, done)
        scores = [{"combination": key, "scores": [value[0] for value in values]} for key, values in seen.items()]
        found["promotions"].append({"seen": scores, "done": list(done), "chosen": chosen[2]})
        return chosen

    mipro.create_n_fewshot_demo_sets = demo_sets
    mipro.get_program_with_highest_avg_score = promotion
    mipro.eval_candidate_program = during(lambda args: "minibatch" if args[0] < VAL else "full", mipro.eval_candidate_program)
    optimizer = mipro.MIPROv2(metric=right, auto=None, num_candidates=CANDIDATES, num_threads=1, seed=9)
    propose = optimizer._propose_instructions
    optimizer._propose_instructions = during("propose", propose)
    optimizer.compile(dspy.Predict("question -> answer"), trainset=rows(range(TRAIN)), valset=rows(range(100, 100 + VAL)),
                      num_trials=TRIALS, minibatch_size=MINIBATCH, minibatch_full_eval_steps=STEPS)
    found["calls"] = dict(sorted(lm.calls.items()))
    with open(path, "w") as out:
        json.dump(found, out, indent=1, sort_keys=True)
        out.write("\n")


main(sys.argv[1])
