"""What `make lite` publishes beside the package: `python docs/lite_contents.py FOLDER` copies the course there.

Notebooks, what they import, and the assignments as students get them; no model answers, hidden tests, grader or guide.
"""

import shutil
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PUBLISHED = ("*.ipynb", "topics/*.ipynb", "course/*.py", "claims*.py", "claims/**/*.py", "assignments/student/*.ipynb")


def copy_course(folder: Path) -> None:
    """Copy into a folder, which is emptied before."""
    shutil.rmtree(folder, ignore_errors=True)
    for pattern in PUBLISHED:
        for path in NOTEBOOKS.glob(pattern):
            if path.name.startswith(("test_", "conftest")):
                continue
            target = folder / path.relative_to(NOTEBOOKS)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


if __name__ == "__main__":
    copy_course(Path(sys.argv[1]))
