"""Writes the golden numbers of this folder: `optuna.json` with Optuna's own TPE densities, `log_mass.json` with
normal masses in high precision.

    python3 -m venv venv && venv/bin/pip install optuna==5.0.0 mpmath && venv/bin/python make_optuna.py

Each case of `optuna.json` holds a search space and trials in this crate's own JSON, and at some points the logarithms of
l(x) and g(x) as Optuna's sampler builds them from those trials (running ones join g)."""

import json
import math
import random
from pathlib import Path

import mpmath
import numpy
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers._tpe.sampler import _split_trials
from optuna.trial import TrialState

HERE = Path(__file__).parent
optuna.logging.set_verbosity(optuna.logging.ERROR)

# Which of several equal observations gets which neighbour's gap depends on NumPy's unstable sort, and so on the
# processor. A stable sort (ties by trial number) is what this crate defines.
_argsort = numpy.argsort
numpy.argsort = lambda a, *args, **kwargs: _argsort(a, *args, **{**kwargs, "kind": "stable"})


def categorical(n):
    return CategoricalDistribution(list(range(n)))


def our_distribution(d):
    if isinstance(d, CategoricalDistribution):
        return {"categorical": {"choices": list(d.choices)}}
    kind = "float" if isinstance(d, FloatDistribution) else "int"
    return {kind: {"low": d.low, "high": d.high, "log": d.log, "step": d.step}}


def our_value(d, x):
    if isinstance(d, CategoricalDistribution):
        return {"choice": d.choices.index(x)}
    return {"float" if isinstance(d, FloatDistribution) else "int": x}


def our_parameter(name, d, parent, values, space):
    parameter = {"name": name, "distribution": our_distribution(d)}
    if parent is not None:
        choices = [space[parent].choices.index(x) for x in values]
        parameter["condition"] = {"parent": parent, "choices": choices}
    return parameter


def draw(d, rng):
    if isinstance(d, CategoricalDistribution):
        return rng.choice(d.choices)
    if d.step is not None and not d.log:
        steps = round((d.high - d.low) / d.step)
        return min(d.high, d.low + rng.randint(0, steps) * d.step)
    if d.log:
        x = math.exp(rng.uniform(math.log(d.low), math.log(d.high)))
        x = min(max(x, d.low), d.high)
        return round(x) if isinstance(d, IntDistribution) else x
    return rng.uniform(d.low, d.high)


def complete(space, conditions, rng):
    """Random values of the parameters whose conditions hold."""
    params = {}
    for k, d in space.items():
        parent, values = conditions.get(k, (None, None))
        if parent is None or params.get(parent) in values:
            params[k] = draw(d, rng)
    return params


def parts_of(space, conditions, params, multivariate):
    """The subspaces with a density of their own: with `group=True` the parameters that occur together."""
    if not multivariate:
        return [{k: d} for k, d in space.items() if k in params]
    kinds = {json.dumps(conditions.get(k)) for k in space}
    parts = [{k: d for k, d in space.items() if json.dumps(conditions.get(k)) == kind} for kind in sorted(kinds)]
    return [part for part in parts if part.keys() <= params.keys()]


def case(
    name, space, n_finished, n_running=0, direction="minimize", distinct=None, multivariate=True, conditions={}, constrained=False, n_points=6
):
    rng = random.Random(name)
    pool = [complete(space, conditions, rng) for _ in range(distinct or n_finished + n_running)]
    study = optuna.create_study(direction=direction)
    finished, pending = [], []
    for number in range(n_finished + n_running):
        params = pool[number % len(pool)]
        ours = {k: our_value(space[k], x) for k, x in params.items()}
        running = number % (n_finished + n_running) >= n_finished
        # Few different values, so that ranks are decided by number too.
        value = None if running else rng.randint(0, 40) / 8
        violation = max(0.0, rng.randint(-30, 4) / 2) if constrained and not running else 0.0
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING if running else TrialState.COMPLETE,
                value=value,
                params=params,
                distributions={k: space[k] for k in params},
                constraints={"c": violation, "d": -1.0} if constrained and not running else None,
            )
        )
        if running:
            pending.append({"number": number, "values": ours})
        else:
            finished.append({"number": number, "values": ours, "value": value, "violation": violation})
    sampler = optuna.samplers.TPESampler(seed=0)
    trials = study.get_trials(deepcopy=False)
    below, above = _split_trials(study, trials, min(math.ceil(0.1 * n_finished), 25))
    points = []
    for index in range(n_points):
        x = rng.choice(pool) if index % 2 else complete(space, conditions, rng)
        log_l = log_g = 0.0
        for part in parts_of(space, conditions, x, multivariate):
            at = {k: [d.to_internal_repr(x[k])] for k, d in part.items()}
            arrays = {k: numpy.asarray(v) for k, v in at.items()}
            log_l += float(sampler._build_parzen_estimator(study, part, below, handle_below=True).log_pdf(arrays)[0])
            log_g += float(sampler._build_parzen_estimator(study, part, above, handle_below=False).log_pdf(arrays)[0])
        values = {k: our_value(space[k], v) for k, v in x.items()}
        points.append({"values": values, "log_l": log_l, "log_g": log_g})
    return {
        "name": name,
        "direction": direction,
        "multivariate": multivariate,
        "space": [our_parameter(k, d, *conditions.get(k, (None, None)), space) for k, d in space.items()],
        "finished": finished,
        "pending": pending,
        "points": points,
    }


def cases():
    choices = {f"c{i}": categorical(n) for i, n in enumerate([2, 12, 5, 3])}
    floats = {"x": FloatDistribution(-3, 8), "y": FloatDistribution(0, 1), "z": FloatDistribution(1e-6, 1e2, log=True)}
    grids = {
        "tenth": FloatDistribution(0, 1, step=0.1),
        "int": IntDistribution(-4, 9),
        "even": IntDistribution(0, 20, step=2),
        "log_int": IntDistribution(1, 200, log=True),
    }
    mixed = {**choices, **floats, **grids}
    wide = {
        "log": FloatDistribution(1e-300, 1e300, log=True),
        "tiny": FloatDistribution(1e-300, 3e-300),
        "huge": FloatDistribution(-2e299, 7e299),
    }
    tree = {
        "kind": categorical(3),
        "rate": FloatDistribution(0, 1),
        "depth": IntDistribution(1, 9),
        "layers": categorical(3),
        "width": IntDistribution(8, 512, log=True),
        "dropout": FloatDistribution(0, 0.5),
    }
    conditions = {"depth": ("kind", [1]), "layers": ("kind", [2]), "width": ("layers", [1, 2]), "dropout": ("layers", [1, 2])}
    yield case("choices, 1 trial", choices, 1)
    yield case("choices, 12 trials", choices, 12)
    yield case("choices, 150 trials of 60 kinds", choices, 150, distinct=60)
    yield case("floats, 1 trial", floats, 1)
    yield case("floats, 2 trials", floats, 2)
    yield case("floats, 3 trials, maximize", floats, 3, direction="maximize")
    yield case("floats, 40 trials", floats, 40)
    yield case("floats, 150 trials", floats, 150)
    yield case("floats, 60 trials of 7 kinds", floats, 60, distinct=7)
    yield case("grids, 4 trials", grids, 4)
    yield case("grids, 50 trials", grids, 50)
    yield case("grids, 120 trials", grids, 120)
    yield case("mixed, 30 trials and 5 running", mixed, 30, n_running=5)
    yield case("mixed, 45 trials and 9 running, maximize", mixed, 45, n_running=9, direction="maximize")
    yield case("mixed, 60 trials and 3 running, univariate", mixed, 60, n_running=3, multivariate=False)
    yield case("only running", mixed, 0, n_running=4)
    yield case("constraints, 60 trials", choices | floats, 60, constrained=True)
    yield case("wide, 30 trials", wide, 30)
    yield case("conditions, 90 trials and 5 running", tree, 90, n_running=5, conditions=conditions, n_points=12)


def masses():
    mpmath.mp.dps = 80
    pairs = [(-1, 1), (0, 1), (-0.5, 8), (-40, 50), (2, 3), (5, 9), (8, 8.5), (19.5, 20.5), (20, 60), (37, 38), (90, 91)]
    pairs += [(300, 301), (1e4, 1e4 + 1), (-1e3, 1e3), (-100, 0), (0, 100), (-30, 0.25), (-1e-3, 2e-3), (-7, -6.99)]
    pairs += [(x, x + w) for x in [0, 0.5, 3, 12, 25, 80] for w in [2.0**-40, 1e-6, 0.003, 0.03, 0.09, 0.11, 0.5]]
    for a, b in pairs:
        a, b = float(a), float(b)
        tail = lambda x: mpmath.erfc(mpmath.mpf(x) / mpmath.sqrt(2)) / 2
        mass = tail(a) - tail(b) if a >= 0 else (tail(-b) - tail(-a) if b <= 0 else 1 - tail(-a) - tail(b))
        yield [a, b, float(mpmath.log(mass))]


def write(name, rows):
    (HERE / name).write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


write("optuna.json", cases())
write("log_mass.json", masses())
