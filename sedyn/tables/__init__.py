"""Tables of real data: reading and preparing them, and networks that fit them. On top of the core."""

from .models import TableModel, baselines, fit_table
from .preparing import column_preparation, describe_preparation, scale_target
from .reading import DataTable, read_rows, read_table


def __getattr__(name):
    if name in ("NetworkClassifier", "NetworkRegressor"):  # scikit-learn is imported only when one is used
        try:
            from . import estimators
        except ImportError as error:
            raise ImportError(f'{name} needs scikit-learn: pip install "sedyn[data]" ({error})') from error
        return getattr(estimators, name)
    raise AttributeError(f"module 'sedyn.tables' has no attribute {name!r}")
