"""Writes `optuna.journal`, a journal by Optuna itself with what real ones have: two studies, parameters that come and
go, a NaN report, trials pruned, failed, waiting, running and added from outside; and checks a journal of this crate.

    venv/bin/python make_journal.py                 # writes optuna.journal
    venv/bin/python make_journal.py check FILE NAME # reads FILE, goes on with study NAME"""

import sys
from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.ERROR)


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


def write():
    path = Path(__file__).parent / "optuna.journal"
    path.unlink(missing_ok=True)
    storage = JournalStorage(JournalFileBackend(str(path)))
    sampler = lambda: optuna.samplers.TPESampler(seed=1)
    other = optuna.create_study(storage=storage, study_name="other", sampler=sampler(), direction="maximize")
    study = optuna.create_study(storage=storage, study_name="s", sampler=sampler())
    study.optimize(objective, n_trials=4, catch=(ValueError,))
    other.optimize(lambda trial: trial.suggest_float("y", 0, 1), n_trials=2)
    study.optimize(objective, n_trials=2)
    study.enqueue_trial({"x": 0.5})
    study.enqueue_trial({"x": 0.75})
    study.add_trial(optuna.trial.create_trial(value=1.0, params={"x": 0.25}, distributions={"x": FloatDistribution(0, 1)}))
    objective(study.ask())


def check(path, name):
    storage = JournalStorage(JournalFileBackend(path))
    study = optuna.load_study(storage=storage, study_name=name, sampler=optuna.samplers.TPESampler(seed=1))
    for trial in study.trials:
        print(trial.number, trial.state.name, trial.values, trial.params, trial.user_attrs, trial.datetime_start)
    distributions = next(trial.distributions for trial in study.trials if trial.distributions)
    print(distributions)
    print("best", study.best_trial.number, study.best_value)
    for _ in range(12):
        trial = study.ask(distributions)
        study.tell(trial, float(trial.number))
    print("went on to", len(study.trials), "trials")


check(*sys.argv[2:]) if sys.argv[1:2] == ["check"] else write()
