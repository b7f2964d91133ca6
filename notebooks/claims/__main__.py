"""``python -m claims figures [NAME ..]`` from notebooks/, or ``python notebooks/claims figures [NAME ..]``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # also where the folder itself was named
    from claims import gallery

    if len(sys.argv) < 2:
        raise SystemExit(
            "name the folder of the figures: python -m claims FOLDER [NAME ..]; --page rewrites the page alone"
        )
    folder, *names = [argument for argument in sys.argv[1:] if argument != "--page"]
    if "--page" in sys.argv:
        gallery.write_page(folder)
    else:
        gallery.write(folder, names or None)
