"""The fixtures of all tests serve those of the claims, too."""

import matplotlib

from tests.conftest import close_figures, one_core_for_each_process, rng  # noqa: F401

matplotlib.use("Agg")
