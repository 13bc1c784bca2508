"""Lets `cargo xtask bench` drive Optuna, or a library with its interface: `python study.py MODULE`.

One JSON object a line on standard input, one answer a line on standard output:

    {"op": "version"}                                      -> {"version": ".."}
    {"op": "start", "space": SPACE, "seed": N}             -> {}
    {"op": "ask"}                                          -> {"values": [..]}  (categorical: the index)
    {"op": "tell", "value": X}                             -> {}  (null: the trial failed)
    {"op": "add", "values": [..], "value": X}              -> {}  (a trial that was not asked for)
    {"op": "time", "space": SPACE, "seed": N,
     "history": H, "rounds": R, "journal": B}                            -> {"milliseconds": X}  (mean of one ask and tell)

SPACE is a list of {"kind": "float" or "int", "low": .., "high": .., "log": ..} and {"kind": "choice", "n": ..}; with
"when": [I, C] a parameter is only asked for, and else null, where parameter I has choice C. With "journal": true the
study is timed in a file. Values are minimized. An answer with "error" says what went wrong.
"""

import importlib
import json
import os
import random
import sys
import tempfile
import time
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")
module = sys.argv[1]
library = importlib.import_module(module)
importlib.import_module(module + ".samplers")
if hasattr(library, "logging"):
    library.logging.set_verbosity(library.logging.WARNING)


def study_of(seed, storage=None):
    sampler = library.samplers.TPESampler(multivariate=True, seed=seed)
    return library.create_study(sampler=sampler, direction="minimize", storage=storage)


def tell(study, trial, value):
    if value is None:
        study.tell(trial, state=library.trial.TrialState.FAIL)
        return
    # Optuna takes either and is faster with the trial; its port takes the number only.
    study.tell(trial if module == "optuna" else trial.number, value)


def suggest(trial, space):
    values = []
    for index, parameter in enumerate(space):
        name = f"p{index}"
        when = parameter.get("when")
        if when and values[when[0]] != when[1]:
            values.append(None)
        elif parameter["kind"] == "choice":
            values.append(trial.suggest_categorical(name, list(range(parameter["n"]))))
        else:
            ask = trial.suggest_float if parameter["kind"] == "float" else trial.suggest_int
            values.append(ask(name, parameter["low"], parameter["high"], log=parameter["log"]))
    return values


def distribution(parameter):
    distributions = library.distributions
    if parameter["kind"] == "choice":
        return distributions.CategoricalDistribution(list(range(parameter["n"])))
    kind = distributions.FloatDistribution if parameter["kind"] == "float" else distributions.IntDistribution
    return kind(parameter["low"], parameter["high"], log=parameter["log"])


def draw(parameter, rng):
    if parameter["kind"] == "float":
        return rng.uniform(parameter["low"], parameter["high"])
    return rng.randrange(parameter["n"])


def add(study, space, values, value):
    create_trial = (library if hasattr(library, "create_trial") else library.trial).create_trial
    params = {f"p{index}": value for index, value in enumerate(values)}
    distributions = {f"p{index}": distribution(parameter) for index, parameter in enumerate(space)}
    study.add_trial(create_trial(params=params, distributions=distributions, value=value))


def storage_in(folder):
    path = os.path.join(folder, "journal")
    if module == "optuna":
        journal = importlib.import_module("optuna.storages.journal")
        return library.storages.JournalStorage(journal.JournalFileBackend(path))
    return library.storages.JournalFileStorage(path)


def timed(space, seed, history, rounds, journal):
    if journal:
        with tempfile.TemporaryDirectory() as folder:
            return timed_in(space, seed, history, rounds, storage_in(folder))
    return timed_in(space, seed, history, rounds, None)


def timed_in(space, seed, history, rounds, storage):
    rng = random.Random(seed)
    study = study_of(seed, storage)
    for _ in range(history):
        add(study, space, [draw(parameter, rng) for parameter in space], rng.random())
    for round in range(rounds + 1):
        # The first one is not timed: it may take the history in.
        if round == 1:
            start = time.perf_counter()
        trial = study.ask()
        suggest(trial, space)
        tell(study, trial, rng.random())
    return 1000 * (time.perf_counter() - start) / rounds


def main():
    study = space = trial = None
    for line in sys.stdin:
        request = json.loads(line)
        answer = {}
        try:
            match request["op"]:
                case "version":
                    answer["version"] = version(module)
                case "start":
                    study, space = study_of(request["seed"]), request["space"]
                case "ask":
                    trial = study.ask()
                    answer["values"] = suggest(trial, space)
                case "tell":
                    tell(study, trial, request["value"])
                case "add":
                    add(study, space, request["values"], request["value"])
                case "time":
                    answer["milliseconds"] = timed(
                        request["space"],
                        request["seed"],
                        request["history"],
                        request["rounds"],
                        request["journal"],
                    )
                case other:
                    answer["error"] = f"unknown operation {other}"
        except Exception as error:  # What a peer raises is a result, to be shown.
            answer["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


main()
