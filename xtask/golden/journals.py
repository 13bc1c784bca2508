"""Golden journals of `crates/tpe`, by Optuna 5.0.0: `python journals.py make|compare FOLDER OURS`.

`make` writes into FOLDER

- `optuna.journal`: what real files have: two studies, a NaN report, trials pruned, failed, waiting, running and added;
- `define_by_run.journal`: a study whose parameters come and go and whose ranges change from trial to trial;
- `continued.journal`: OURS, a journal of ours, as Optuna goes on with it.

`compare` makes them anew elsewhere and compares: the same records, but for times, workers and drawn numbers."""

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

optuna.logging.set_verbosity(optuna.logging.ERROR)
NAMES = ["optuna.journal", "define_by_run.journal", "continued.journal"]


def storage(path):
    return JournalStorage(JournalFileBackend(str(path)))


def sampler():
    return optuna.samplers.TPESampler(seed=1)


def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    kind = trial.suggest_categorical("kind", ["a", None, True, 2.5])
    k = trial.suggest_int("k", 1, 9, log=True)
    if trial.number >= 4:
        trial.suggest_float("later", -1, 1)
    if trial.number == 1:
        raise optuna.TrialPruned()
    if trial.number == 2:
        trial.report(float("nan"), 1)
    if trial.number == 3:
        raise ValueError("a failed evaluation")
    return x + k + (kind is None)


def write_optuna(path):
    other = optuna.create_study(storage=storage(path), study_name="other", sampler=sampler(), direction="maximize")
    study = optuna.create_study(storage=storage(path), study_name="s", sampler=sampler())
    study.optimize(objective, n_trials=4, catch=(ValueError,))
    other.optimize(lambda trial: trial.suggest_float("y", 0, 1), n_trials=2)
    study.optimize(objective, n_trials=2)
    study.enqueue_trial({"x": 0.5})
    study.enqueue_trial({"x": 0.75})
    study.add_trial(optuna.trial.create_trial(value=1.0, params={"x": 0.25}, distributions={"x": FloatDistribution(0, 1)}))
    objective(study.ask())


def define_by_run(trial):
    """Ranges that grow, a parameter that comes late, one that goes, and one that is asked for under a choice only."""
    rate = trial.suggest_float("rate", 1e-4, 1e-2 if trial.number < 8 else 1.0, log=True)
    model = trial.suggest_categorical("model", ["linear", "trees"])
    loss = abs(rate - 0.003)
    if model == "trees":
        loss += 0.1 * trial.suggest_int("depth", 1, 4 if trial.number < 8 else 8)
    if trial.number < 6:
        loss += trial.suggest_float("gone", 0, 1)
    if trial.number >= 12:
        loss += trial.suggest_float("late", 0, 1, step=0.25)
    return loss


def write_define_by_run(path):
    study = optuna.create_study(storage=storage(path), study_name="s", sampler=sampler())
    # Both models in each stage, whatever the sampler would draw.
    for number in range(18):
        study.enqueue_trial({"model": ["linear", "trees"][number % 2]})
        study.optimize(define_by_run, n_trials=1)


def go_on(path):
    """Takes our study up as any user of Optuna would: looks at it, asks, prunes, fails, and leaves one to wait."""
    study = optuna.load_study(storage=storage(path), study_name="ours", sampler=sampler())
    states = [trial.state for trial in study.trials]
    count = {state: states.count(state) for state in TrialState}
    assert len(states) == 24 and count[TrialState.RUNNING] == 1 and count[TrialState.WAITING] == 1, count
    assert count[TrialState.FAIL] > 0 and count[TrialState.PRUNED] > 0, count
    infeasible = [trial for trial in study.trials if any(value > 0 for value in trial.constraints.values())]
    assert infeasible and study.best_trial.number not in [trial.number for trial in infeasible]
    assert all(trial.datetime_complete is not None for trial in study.trials if trial.state.is_finished())

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        kind = trial.suggest_categorical("kind", ["a", None, True, 2.5])
        k = trial.suggest_int("k", 1, 9, log=True) if kind == "a" else 5
        grid = trial.suggest_float("grid", 0, 1, step=0.25)
        if len(study.trials) == 28:
            raise optuna.TrialPruned()
        if len(study.trials) == 29:
            raise ValueError("a failed evaluation")
        return x + abs(k - 5) + grid

    # The first of these is the trial that we left waiting.
    study.optimize(objective, n_trials=12, catch=(ValueError,))
    assert len(study.trials) == 35 and study.trials[23].state == TrialState.COMPLETE
    study.enqueue_trial({"x": 0.5, "kind": True, "grid": 0.25})


def write(folder, ours):
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)
    write_optuna(folder / NAMES[0])
    write_define_by_run(folder / NAMES[1])
    shutil.copy(ours, folder / NAMES[2])
    go_on(folder / NAMES[2])
    for name in NAMES:
        text = (folder / name).read_text()
        # Who wrote it and when says nothing.
        text = re.sub(r'("worker_id":)"[^"]*"', r'\1"w"', text)
        text = re.sub(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00"', '"2026-01-01T00:00:00.000000+00:00"', text)
        (folder / name).write_text(text)


def masked(value):
    if isinstance(value, dict):
        return {key: masked(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return "number" if isinstance(value, float) else value


def records(path):
    return [masked(json.loads(line)) for line in path.read_text().splitlines()]


task, folder, ours = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
if task == "make":
    write(folder, ours)
else:
    with tempfile.TemporaryDirectory() as made:
        write(Path(made), ours)
        for name in NAMES:
            old, new = records(folder / name), records(Path(made) / name)
            # Which choice is drawn decides which parameters follow: only the kinds of records are compared.
            kinds = lambda lines: sorted({(line["op_code"], *line) for line in lines})
            assert kinds(old) == kinds(new), f"{name} is not what Optuna writes now: run `cargo xtask golden`"
    print("journals: as Optuna writes them, and it goes on with ours")
