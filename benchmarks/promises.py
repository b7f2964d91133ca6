"""What the estimate promises

Coverage: fresh problems, each a new signal, initialization and data; how often the true error of the trained weights,
known from 3,000 fresh rows, lies within 1.96 standard errors of the estimate at the last step. Violations: the same on
data that break an assumption by degrees: what the estimate then says, and how often it warns. With the argument
``quick`` a tenth of the problems.
"""

import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from common import markdown, wavy

import sedyn

METRICS = ("squared", "absolute", "zero_one")


def independent(m, n, rng, features="gaussian"):
    return sedyn.sample_features(m, n, features=features, rng=rng), None


def grouped(m, n, rng, size=4, kappa=0.8):
    """Rows in groups; two of one group overlap by kappa."""
    labels = np.arange(m) // size
    shared = rng.standard_normal((labels[-1] + 1, n))[labels]
    X = np.sqrt(kappa) * shared + np.sqrt(1 - kappa) * rng.standard_normal((m, n))
    order = rng.permutation(m)
    return X[order], labels[order]


def unnamed(m, n, rng, **options):
    return grouped(m, n, rng, **options)[0], None


def repeated(m, n, rng, share=1.0):
    """A share of the rows occur twice."""
    X = rng.standard_normal((m, n))
    twins = int(share * m) // 2
    X[m - twins :] = X[:twins]
    return X[rng.permutation(m)], None


def neighbouring(m, n, rng, rho=0.3):
    """Features that are an autoregressive series: neighbours correlate by rho."""
    X = rng.standard_normal((m, n))
    for j in range(1, n):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    return X, None


def scaled(m, n, rng, factor=1.2):
    return factor * rng.standard_normal((m, n)), None


def radial(m, n, rng, spread=0.3):
    """Rows of unequal norms: leverage."""
    return rng.standard_normal((m, n)) * np.exp(spread * rng.standard_normal((m, 1)) - spread**2), None


def tails(m, n, rng, freedom=4):
    return sedyn.sample_features(m, n, features=("student_t", freedom), rng=rng), None


def problem(seed, m, n, n_steps, activation="tanh", widths=(3, 1), draw=independent, noise=0.3, step=0.2, binary=False):
    """z = (estimate - truth) / stderr of every metric, log(estimate / truth), and the warnings."""
    rng = np.random.default_rng(seed)
    network = sedyn.Network(widths, (activation,) * (len(widths) - 1) + ("identity",))
    weights, signal = network.init(n, rng=rng), sedyn.random_signal(n, rng=rng)

    def labels(X):
        y = wavy(X @ signal) + noise * rng.standard_normal(len(X))
        return np.sign(y) if binary else y

    X, groups = draw(m + 3000, n, rng)
    if groups is not None or draw.func in (unnamed, repeated):  # fresh rows are of groups of their own
        X, groups = draw(m, n, rng)
        X = np.concatenate([X, rng.standard_normal((3000, n))])
    y = labels(X)
    copies = np.unique(X[:m], axis=0, return_inverse=True)[1]
    y[:m] = y[np.unique(copies, return_index=True)[1]][copies]  # of copies the label, too
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sedyn.AssumptionWarning)
        run = sedyn.augmented_gradient_descent(
            network,
            sedyn.Training(step, n_steps),
            weights,
            X[:m],
            y[:m],
            (X[m:], y[m:]),
            groups=groups,
            metrics=METRICS if binary else METRICS[:2],
            rng=rng,
        )
    gap = run.estimated_metrics - run.generalization_metrics
    ratio = np.log(run.estimated_error[-1] / run.generalization_error[-1])
    return (gap / run.estimated_metrics_stderr)[-1], ratio, run.warnings


def many(pool, count, **options):
    options["draw"] = partial(options.get("draw", independent), **options.pop("data", {}))
    z, ratios, said = zip(*pool.map(partial(problem, **options), range(count), chunksize=5), strict=True)
    return np.array(z), np.array(ratios), said


def coverage(pool, count):
    rows = []
    cases = [
        (activation, widths, m, T, data)
        for activation in ("tanh", "relu")
        for widths, m, T in (((3, 1), 100, 40), ((3, 1), 200, 150), ((3, 1), 400, 60), ((3, 3, 1), 200, 60))
        for data in ("independent", "groups of 4")
        if (activation, T, data) != ("relu", 150, "groups of 4")  # 47 reruns along 450 directions: an hour
    ]
    for activation, widths, m, T, data in cases:
        draw, n = (grouped if data.startswith("groups") else independent), round(m / 1.5)
        shared = {"m": m, "n": n, "n_steps": T, "activation": activation, "widths": widths, "draw": draw}
        z, ratios, said = many(pool, count, **shared)
        classes, _, _ = many(pool, count, **shared, binary=True)
        covered = [f"{100 * np.mean(np.abs(x) < 1.96):.1f}" for x in (*z.T, classes[:, 2])]
        bias = f"{100 * ratios.mean():+.1f} ± {100 * ratios.std() / np.sqrt(count):.1f}"
        warned = f"{100 * np.mean([len(s) > 0 for s in said]):.0f}"
        rows.append([activation, len(widths), m, T, data, *covered, f"{z[:, 0].std():.2f}", bias, warned])
        print("|", *rows[-1], sep=" | ", file=sys.stderr, flush=True)
    head = "activation,L,m,T,rows,squared,absolute,0/1,sd of z,bias (%),warned (%)".split(",")
    return markdown(head, rows)


VIOLATIONS = [
    ("none", "clean", independent, [{}], 300),
    ("none", "rademacher", independent, [{"features": "rademacher"}], 300),
    ("none", "laplace", independent, [{"features": "laplace"}], 300),
    (
        "rows in unnamed groups of 2, overlap",
        "linked",
        unnamed,
        [{"size": 2, "kappa": k} for k in (0.2, 0.4, 0.6, 0.9)],
        300,
    ),
    (
        "rows in unnamed groups of 8, overlap",
        "linked",
        unnamed,
        [{"size": 8, "kappa": k} for k in (0.2, 0.4, 0.6, 0.9)],
        300,
    ),
    ("rows that occur twice, share", "repeat", repeated, [{"share": s} for s in (0.1, 0.5, 1.0)], 300),
    ("neighbouring features, rho", "covariance", neighbouring, [{"rho": r} for r in (0.1, 0.2, 0.3, 0.5)], 300),
    ("the same, m = 1000", "covariance", neighbouring, [{"rho": r} for r in (0.1, 0.2, 0.3, 0.5)], 1000),
    ("features too large by", "mean square", scaled, [{"factor": f} for f in (1.02, 1.05, 1.1, 1.3)], 300),
    ("norms of rows vary, sd of the log", "leverage", radial, [{"spread": s} for s in (0.1, 0.3, 0.5)], 300),
    ("Student t, degrees of freedom", "heavy tails|leverage", tails, [{"freedom": f} for f in (3, 5, 8)], 300),
    ("few rows", "only", independent, [{}], 60),
]


def violations(pool, count):
    rows = []
    for name, word, draw, degrees, m in VIOLATIONS:
        for data in degrees:
            z, ratios, said = many(pool, count, m=m, n=m // 2, n_steps=40, draw=draw, data=data)
            warned = np.mean([any(w in text for w in word.split("|") for text in s) for s in said])
            other = np.mean([any(not any(w in text for w in word.split("|")) for text in s) for s in said])
            bias = f"{100 * ratios.mean():+.1f} ± {100 * ratios.std() / np.sqrt(count):.1f}"
            degree = ", ".join(str(v) for k, v in data.items() if k != "size")
            rows.append(
                [name, degree, m, bias, f"{z[:, 0].mean():+.2f}", f"{100 * np.mean(np.abs(z[:, 0]) < 1.96):.0f}"]
                + [f"{100 * warned:.0f}", f"{100 * other:.0f}"]
            )
            print("|", *rows[-1], sep=" | ", file=sys.stderr, flush=True)
    head = "violation,degree,m,bias (%),mean z,coverage (%),warned of it (%),of something else (%)".split(",")
    return markdown(head, rows)


def main():
    few = 10 if "quick" in sys.argv else 1
    with ProcessPoolExecutor() as pool:
        print(coverage(pool, 200 // few), violations(pool, 60 // few), sep="\n\n")


if __name__ == "__main__":
    main()
