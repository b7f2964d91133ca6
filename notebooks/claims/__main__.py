"""``python -m claims figures [NAME ..]`` from notebooks/, or ``python notebooks/claims figures [NAME ..]``."""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # also where the folder itself was named
    from claims import CLAIMS, gallery

    parser = argparse.ArgumentParser(prog="claims", description="Make the figures of the claims and their gallery.")
    parser.add_argument("folder", help="where the figures are written")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"claims to make; all without: {', '.join(CLAIMS)}")
    parser.add_argument("--page", action="store_true", help="write the page anew, from what is stored")
    options = parser.parse_args()
    if options.page:
        gallery.write_page(options.folder)
    else:
        gallery.write(options.folder, options.names or None)
