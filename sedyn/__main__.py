"""``python -m sedyn``: see `sedyn.command`."""

import sys

if __name__ == "__main__":
    import matplotlib

    matplotlib.use("Agg")  # files only, no window
    from .command import main

    sys.exit(main())
