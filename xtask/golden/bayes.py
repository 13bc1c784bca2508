"""Golden numbers for `teleprompt_tpe::bayes`, with 50 digits and by another road than the library's.

    pip install mpmath==1.3.0
    python xtask/golden/bayes.py > crates/tpe/tests/golden/bayes.json

The library eliminates the rows and never forms a covariance of scores. Here the scores are jointly normal with the points'
values, and the posterior is the textbook's conditional of that joint distribution:

    S = K[obs, obs] + R[obs, obs] [same row] + noise_variance [same score]
    mean = m + K[x, obs] S^-1 (y - m)
    cov = K[x, x'] - K[x, obs] S^-1 K[obs, x']

The logistic fit is found on the log odds of all scores at once, whose prior covariance `C` is that of points and rows together and
may be singular: Newton's method as z = C (I + W C)^-1 (W z + y - p), until 40 digits settle. Then cov = K[x, x'] - K[x, obs] W (I + C W)^-1
K[obs, x'], and the evidence is Laplace's, log p(y | z) - c' C c / 2 - log det (I + W C) / 2 with c = y - p. Expected scores are
integrals over a normal log odds.

The evidence is the logarithm of the scores' density but for the constant. Looks beside others follow from the same joint
distribution: the scores of one point on some rows given the values of all and the scores of others on these rows. Knowledge gradients are integrals of
the maximum over a normal z, computed piece by piece between all crossings of lines.
"""

import json
from itertools import combinations

from mpmath import cholesky, erfc, exp, linspace, log, matrix, mp, mpf, pi, quad, sqrt

mp.dps = 50


class Draw:
    """A linear congruential generator: the cases are the same wherever this runs."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def covariance(kernel, x, y):
    total = mpf(kernel["constant"])
    total += sum(mpf(v) for d, v in enumerate(kernel["main"]) if x[d] == y[d])
    total += sum(mpf(v) for d, e, v in kernel["pairs"] if x[d] == y[d] and x[e] == y[e])
    if x == y:
        total += mpf(kernel["own"])
        if kernel["bump"] is not None and kernel["bump"][0] == x:
            total += mpf(kernel["bump"][1])
    return total


def solve(a, b):
    return mp.lu_solve(a, b)


def log_density(s, residual):
    lower = cholesky(s)
    log_det = 2 * sum(log(lower[i, i]) for i in range(s.rows))
    return -(log_det + (residual.T * solve(s, residual))[0]) / 2


def fit(case):
    kernel, points, scores = case["kernel"], case["points"], case["scores"]
    at, n = case["at"], len(scores)
    s = matrix(n, n)
    for i, (p, row, _) in enumerate(scores):
        for j, (q, other, _) in enumerate(scores):
            common = mpf(case["noise_variance"]) * (i == j)
            if row == other:
                common += covariance(case["rows"], points[p], points[q])
            s[i, j] = covariance(kernel, points[p], points[q]) + common
    residual = matrix([mpf(value) - mpf(case["mean"]) for _, _, value in scores])
    cross = matrix(len(at), n)
    for i, x in enumerate(at):
        for j, (p, _, _) in enumerate(scores):
            cross[i, j] = covariance(kernel, x, points[p])
    weights = solve(s, residual)
    mean = [mpf(case["mean"]) + v for v in cross * weights]
    solved = matrix(n, len(at))
    for i in range(len(at)):
        column = solve(s, cross[i, :].T)
        for j in range(n):
            solved[j, i] = column[j]
    explained = cross * solved
    cov = [[covariance(kernel, x, y) - explained[i, j] for j, y in enumerate(at)] for i, x in enumerate(at)]
    return mean, cov, log_density(s, residual)


def logistic(case):
    """The same of right-or-wrong scores: means and covariances of log odds, Laplace's evidence, expected scores."""
    made = case["logistic"]
    kernel, rows, points, scores = made["kernel"], made["rows"], case["points"], case["scores"]
    at, n, mean = case["at"], len(case["scores"]), mpf(made["mean"])
    c = matrix(n, n)
    for i, (p, row, _) in enumerate(scores):
        for j, (q, other, _) in enumerate(scores):
            common = covariance(rows, points[p], points[q]) if row == other else 0
            c[i, j] = covariance(kernel, points[p], points[q]) + common
    y = matrix([mpf(value) for _, _, value in scores])
    z = matrix(n, 1)
    while True:
        p = matrix([1 / (1 + exp(-(mean + v))) for v in z])
        w = mp.diag([v * (1 - v) for v in p])
        identity = mp.eye(n) + w * c
        new = c * solve(identity, w * z + y - p)
        moved = max(abs(a - b) for a, b in zip(new, z))
        z = new
        if moved < mpf(10) ** -40:
            break
    surplus = y - p
    cross = matrix(len(at), n)
    for i, x in enumerate(at):
        for j, (q, _, _) in enumerate(scores):
            cross[i, j] = covariance(kernel, x, points[q])
    means = [mean + v for v in cross * surplus]
    known = [w * solve(mp.eye(n) + c * w, cross[i, :].T) for i in range(len(at))]
    cov = [
        [covariance(kernel, x, y_) - (cross[j, :] * known[i])[0] for j, y_ in enumerate(at)]
        for i, x in enumerate(at)
    ]
    likely = sum(v * (mean + odds) - log(1 + exp(mean + odds)) for v, odds in zip(y, z))
    evidence = likely - (surplus.T * c * surplus)[0] / 2 - log(mp.det(identity)) / 2

    def expected(i, derivative):
        sd = sqrt(cov[i][i] + covariance(rows, at[i], at[i]))

        def f(t):
            chance = 1 / (1 + exp(-(means[i] + sd * t)))
            return phi(t) * (chance * (1 - chance) if derivative else chance)

        return float(quad(f, linspace(-14, 14, 29)))

    made["posterior_mean"] = [float(v) for v in means]
    made["posterior_covariance"] = [[float(v) for v in row] for row in cov]
    made["log_evidence"] = float(evidence)
    made["scores"] = [[expected(i, False), expected(i, True)] for i in range(len(at))]


def beside(case, point, others, rows):
    """What `rows` scores of a point say on rows that have a score of each of the others."""
    r = matrix(len(others), len(others))
    cross = matrix(len(others), 1)
    for i, x in enumerate(others):
        cross[i] = covariance(case["rows"], point, x)
        for j, y in enumerate(others):
            r[i, j] = covariance(case["rows"], x, y) + mpf(case["noise_variance"]) * (i == j)
    weights = solve(r, cross)
    left = covariance(case["rows"], point, point) + mpf(case["noise_variance"]) - (cross.T * weights)[0]
    return [float(w) for w in weights], float(rows / left)


def phi(z):
    return exp(-z * z / 2) / sqrt(2 * pi)


def knowledge_gradient(mean, cov, point, information):
    """E max(mean + slope z) - max mean, exactly between the crossings of the lines."""
    den = sqrt(cov[point][point] + 1 / mpf(information))
    lines = [(mean[i], cov[i][point] / den) for i in range(len(mean))]
    cuts = {mpf(-12), mpf(12)}
    for (a, b), (c, d) in combinations(lines, 2):
        if b != d and abs((c - a) / (b - d)) < 12:
            cuts.add((c - a) / (b - d))
    cuts = sorted(cuts)
    total = mpf(0)
    for low, high in zip(cuts, cuts[1:]):
        middle = (low + high) / 2
        a, b = max(lines, key=lambda line: line[0] + line[1] * middle)
        total += a * (erfc(low / sqrt(mpf(2))) - erfc(high / sqrt(mpf(2)))) / 2 + b * (phi(low) - phi(high))
    tails = erfc(12 / sqrt(mpf(2)))
    return total / (1 - tails) - max(mean)


def case(seed, options, n_points, n_rows, n_scores, pairs, continuous):
    draw = Draw(seed)
    points = []
    while len(points) < n_points:
        point = [draw.below(n) for n in options]
        if point not in points:
            points.append(point)
    scores = []
    for _ in range(n_scores):
        value = draw.below(1001) / 1000 if continuous else float(draw.below(2))
        # The last point has no score.
        scores.append([draw.below(n_points - 1), draw.below(n_rows), value])
    unseen = [[(c + 1) % n for c, n in zip(points[0], options)]]
    return {
        "kernel": {
            "constant": 1.5,
            "main": [0.002025 + 0.003 * (d % 2) for d in range(len(options))],
            "pairs": pairs,
            "own": 0.005625,
            "bump": [points[0], 0.0225],
        },
        "mean": 0.5,
        "rows": {
            "constant": 0.1,
            "main": [0.0 if d % 2 == 0 else 0.08 for d in range(len(options))],
            "pairs": [[d - 1, d, 0.02] for d in range(1, len(options), 2)],
            "own": 0.0,
            "bump": None,
        },
        "noise_variance": 0.03,
        "logistic": {
            "kernel": {
                "constant": 4.0,
                "main": [0.25 + 0.5 * (d % 2) for d in range(len(options))],
                "pairs": [[d, e, 100 * variance] for d, e, variance in pairs],
                "own": 0.125,
                "bump": [points[0], 0.5],
            },
            "mean": -0.5,
            "rows": {
                "constant": 2.0,
                "main": [0.0 if d % 2 == 0 else 1.5 for d in range(len(options))],
                "pairs": [],
                "own": 0.25,
                "bump": None,
            },
        },
        "n_rows": n_rows,
        "points": points,
        "scores": scores,
        "at": points + [x for x in unseen if x not in points],
    }


def main():
    cases = [
        case(1, [3, 6], 6, 8, 30, [], False),
        case(2, [3, 4, 3, 4], 9, 12, 60, [[0, 1, 0.0025], [2, 3, 0.0025]], False),
        case(3, [5, 5], 10, 20, 80, [], True),
        case(4, [2], 2, 1, 3, [], False),
    ]
    for made in cases:
        mean, cov, evidence = fit(made)
        made["posterior_mean"] = [float(v) for v in mean]
        made["posterior_covariance"] = [[float(v) for v in row] for row in cov]
        made["log_evidence"] = float(evidence)
        logistic(made)
        made["information"] = [2.0, 20.0, 200.0]
        made["knowledge_gradient"] = [
            [float(knowledge_gradient(mean, cov, point, info)) for info in made["information"]]
            for point in range(len(made["at"]))
        ]
        others = made["points"][:-1]
        weights, information = beside(made, made["at"][-1], others, 3)
        made["beside"] = {"rows": 3, "weights": weights, "information": information}
    print(json.dumps(cases, indent=1))


main()
