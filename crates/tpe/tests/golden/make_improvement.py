"""Writes `log_improvement.json`: `ln(phi(z) + z Phi(z))` at 60 digits, as pairs `[z, value]` (mpmath 1.4.1)."""

import json
from pathlib import Path

from mpmath import mp, mpf

mp.dps = 60
points = [-1e150, -1e8, -1000, -100, -40, -20, -12, -8, -6.5, -6.000001, -6, -5.999, -5, -4, -3, -2, -1, -0.5, -1e-9]
points += [0, 1e-9, 0.25, 1, 2, 5, 10, 40, 1000, 1e8]


def log_improvement(z):
    z = mpf(z)
    if z < -30:
        # The asymptotic series, for the difference cancels all 60 digits.
        total, term = mpf(0), mpf(1)
        for k in range(1, 20):
            total += term
            term *= -(2 * k + 1) / z**2
        return -z * z / 2 - mp.log(2 * mp.pi) / 2 - 2 * mp.log(-z) + mp.log(total)
    return mp.log(mp.npdf(z) + z * mp.ncdf(z))


rows = [[float(z), float(log_improvement(z))] for z in points if z > -1e100]
text = ",\n".join(json.dumps(row) for row in rows)
Path(__file__).with_name("log_improvement.json").write_text(f"[\n{text}\n]\n")
