"""The rooms of the package, and which may import which: theory and runs never meet."""

import ast
from pathlib import Path

import sedyn

ROOT = Path(sedyn.__file__).parent
# every room, and the rooms below it that it may see
SEES = {
    "common": set(),
    "model": {"common"},
    "recursion": {"common", "model"},
    "theory": {"common", "model", "recursion"},
    "runs": {"common", "model"},
    "estimate": {"common", "model", "recursion", "runs"},
    "tables": {"common", "model", "runs", "estimate"},
    "sweeps": {"common"},
    "show": {"common", "model", "theory", "runs", "estimate"},
    "command": {"common", "model", "theory", "runs", "estimate", "tables", "show"},
}
TEACHING = {"Teacher", "SingleIndex", "MultiIndex", "Overlaps", "Problem", "population_error", "population_errors"}


def imports(path):
    """(dots, module, name) of every relative import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from ((node.level, node.module or "", alias.name) for alias in node.names)


def test_every_file_is_in_a_room():
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}
    assert {path.parent.name for path in ROOT.glob("*/*.py")} == set(SEES)


def test_rooms_import_downward_and_through_their_doors():
    for room, below in SEES.items():
        for path in (ROOT / room).glob("*.py"):
            for dots, module, name in imports(path):
                if dots == 2:  # another room: its door alone, so that its files may change
                    assert module in below, f"{path}: {module or name}"
                else:
                    assert dots == 1 and "." not in module, path


def test_no_circles_within_a_room():
    for room in SEES:
        files = {path.stem: path for path in (ROOT / room).glob("*.py") if path.stem != "__init__"}
        needs = {
            stem: {module or name for dots, module, name in imports(path) if dots == 1} & set(files)
            for stem, path in files.items()
        }
        while needs:
            free = {stem for stem, others in needs.items() if not others}
            assert free, f"{room}: {needs}"
            needs = {stem: others - free for stem, others in needs.items() if stem not in free}


def test_the_estimate_sees_neither_the_teacher_nor_the_theory():
    for path in (ROOT / "estimate").glob("*.py"):
        assert not TEACHING & {name for _, _, name in imports(path)}, path
