"""The grader: a folder of adversarial and unlucky submissions, marks by hand, and a grader that is killed."""

import contextlib
import csv
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import numpy
import pytest

import classroom
import grades
import grading
import judging
import reading
import sedyn
from tests.course import submissions, submissions_more
from tests.course.submissions import CASES, FIRST, FULL
from tests.course.submissions_more import MORE, SOURCES

pytestmark = pytest.mark.skipif(os.name == "nt", reason="grading needs Linux or macOS")


def write_case(folder, name):
    case, notebook = CASES[name], submissions.right()
    made = case.make(notebook)
    if made is None:
        made = json.dumps(notebook).replace("FOLDER", json.dumps(repr(str(folder)))[1:-1]).encode()
    (folder / os.fsdecode(case.file or f"{name}.ipynb")).write_bytes(made)


def student_of(name):
    return grading.readable(Path(os.fsdecode(CASES[name].file or f"{name}.ipynb")).stem)


def write_remarkable(folder):
    """Files that are no submissions -> a part of the remark on them."""
    right = json.dumps(submissions.right())
    texts = {
        "empty.ipynb": ("", "is empty"),
        "cut.ipynb": (right[: len(right) // 2], "unreadable"),
        "list.ipynb": ("[1, 2]", "no notebook"),
        "deep.ipynb": ("[" * 100_000, "unreadable"),
        "other.ipynb": ('{"cells": [{"cell_type": "code", "source": "1"}]}', "no cell of any assignment"),
        "strange.ipynb": ('{"cells": {"a": 3}}', "no cell of any assignment"),
        "script.py": ("def gradients(): pass", "no notebook"),
        "notes.txt": ("see my mail", "no notebook"),
        "dora/.ipynb_checkpoints/hw-checkpoint.ipynb": (right, "hidden"),
    }
    for name, (text, _) in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with zipfile.ZipFile(folder / "zipped.zip", "w") as archive:
        archive.writestr("hw.ipynb", right)
    (folder / "nothing").mkdir()
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "link.ipynb").symlink_to("/etc/passwd")
    more = {
        "zipped.zip": "no notebook",
        "nothing": "empty folder",
        "pipe.ipynb": "special file",
        "link.ipynb": "a link",
    }
    return {name: says for name, (_, says) in texts.items()} | more


def read_table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def isolation(tmp_path_factory):
    return judging.cage(judging.make_tree(tmp_path_factory.mktemp("cage")), judging.Options()).kind


def check_case(name, rows):
    """What is wrong with the rows of a case, as a list."""
    case = CASES[name]
    own = [row for row in rows if row["student"].lstrip("'") == student_of(name)]
    points = {row["exercise"]: float(row["points"]) for row in own if row["exercise"] and row["points"]}
    said = "\n".join(row["message"] for row in own)
    wrong = [] if points == FULL | case.loses else [f"{name}: {points}, should be {FULL | case.loses}: {said}"]
    return wrong + [f"{name}: {text!r} is not said in {said!r}" for text in case.says if text not in said]


FEW = ["plain", "metadata_and_ids_lost", "grade_id_a_list", "kills_its_parent", "patched_compare", "never_ends"]


@pytest.mark.seconds
def test_a_few_odd_submissions(tmp_path):
    for name in FEW:
        write_case(tmp_path, name)
    remarks = write_remarkable(tmp_path)
    grading.grade(tmp_path, judging.Options(timeout=5))
    rows = read_table(tmp_path / "grades.csv")
    assert not [text for name in FEW for text in check_case(name, rows)]
    for file, says in remarks.items():
        (row,) = (row for row in rows if row["file"] == file)
        assert says in row["message"] and not row["exercise"], row


@pytest.mark.minutes
def test_every_odd_or_hostile_submission_gets_what_is_stated_and_changes_nothing(tmp_path, isolation):
    assert len(CASES) >= 60
    names = [name for name in CASES if isolation == "bwrap" or not CASES[name].isolated]
    for name in names:
        write_case(tmp_path, name)
    write_remarkable(tmp_path)
    before = judging.hash_of(classroom.HERE, *sorted(tmp_path.glob("*.ipynb")))
    grading.grade(tmp_path, judging.Options(timeout=5))
    assert judging.hash_of(classroom.HERE, *sorted(tmp_path.glob("*.ipynb"))) == before
    rows = read_table(tmp_path / "grades.csv")
    wrong = [text for name in names for text in check_case(name, rows)]
    assert not wrong, "\n".join(wrong)
    assert {row["isolation"] for row in rows if row["exercise"]} == {isolation}
    first = [cell for row in rows for cell in row.values() if cell[:1] in tuple("=+-@")]
    assert not first
    assert "<script>alert" not in (tmp_path / "reports" / "index.html").read_text()
    reports = {path.name for path in (tmp_path / "reports").glob("*.html")}
    assert len(reports) == 1 + len({row["student"] for row in rows if row["student"]})


def wrong_rows(name, rows):
    """What is wrong with the rows of a case of submissions_more.py."""
    case, found, problems = MORE[name], defaultdict(float), []
    own = [row for row in rows if row["student"] == name]
    for row in own:
        if row["exercise"] and row["points"]:
            found[row["exercise"]] += float(row["points"])
    for part in classroom.exercises(SOURCES[case.number]):
        points = sum(p for check, p in part.checks.items() if check not in case.loses)
        if part.checks and found[part.number] != points:
            said = [row["message"] for row in own if row["exercise"] == part.number]
            problems.append(f"{name}, {part.number}: {found[part.number]}, should be {points}: {said}")
    said = "\n".join(row["message"] for row in own)
    return problems + [f"{name}: {text!r} is not said in {said!r}" for text in case.says if text not in said]


@pytest.mark.minutes
def test_all_assignments_in_other_styles_and_gamed_get_what_is_stated(tmp_path):
    for name, case in MORE.items():
        notebook = submissions_more.right(case.number)
        case.make(notebook)
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(notebook))
    grading.grade(tmp_path)
    rows = read_table(tmp_path / "grades.csv")
    wrong = [text for name in MORE for text in wrong_rows(name, rows)]
    assert not wrong, "\n".join(wrong)


# ---- the sandbox


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """A sandbox, and a function that runs code in it and returns what its function ``f`` returns."""
    options = judging.Options(timeout=20)
    chosen = judging.cage(judging.make_tree(tmp_path_factory.mktemp("box")), options)
    sandbox = judging.Sandbox(chosen, 1, options)

    def result(code):
        sandbox.ask("run", 20, code=code, where="", given=False)
        return judging.decoded(sandbox.ask("call", 20, function="f", arguments=pickle.dumps(((), {})))["value"])

    result.kind, result.sandbox = chosen.kind, sandbox
    yield result
    sandbox.close()


@pytest.mark.seconds
def test_a_sandbox_knows_nothing_of_the_instructor(box, monkeypatch):
    names = set(box("import os\ndef f(): return sorted(os.environ)"))
    assert not names & {"USER", "VIRTUAL_ENV", "PYTHONPATH", "SSH_AUTH_SOCK", "PYTEST_CURRENT_TEST"}
    assert os.path.basename(os.path.dirname(box("import sedyn\ndef f(): return sedyn.__file__"))) == "sedyn"
    assert box("import sedyn\ndef f(): return sedyn.__file__") != sedyn.__file__  # a copy
    if box.kind != "bwrap":
        pytest.skip("the rest needs bubblewrap")
    look = "import os\ndef f(): return [os.path.exists(p) for p in {}]"
    assert not any(box(look.format([str(classroom.HERE), __file__, "/etc/passwd"])))
    assert box("import os\ndef f(): return [p for p in os.listdir('/proc') if p.isdigit()]") in (
        ["1", "2"],
        ["1", "2", "3"],
    )
    places = ["/", "/usr", os.path.dirname(numpy.__file__), "HERE"]
    write = (
        "import os, sedyn\ndef f():\n    found = []\n    for p in PLACES:\n        p = os.path.dirname(sedyn.__file__) if p == 'HERE' else p\n"  # noqa: E501
        "        try: open(p + '/x', 'w'); found.append(p)\n        except OSError: pass\n    return found"
    )
    assert set(box(write.replace("PLACES", repr(places)))) <= {"/"}  # the root of the sandbox is its own
    network = "import socket\ndef f():\n    try: socket.create_connection(('1.1.1.1', 53), 2)\n    except OSError as e: return str(e)"  # noqa: E501
    assert "unreachable" in box(network)


@pytest.mark.seconds
def test_replies_are_data(box):
    assert box("def f(): return {'a': (1, [2.5, None], 'x')}") == {"a": (1, [2.5, None], "x")}
    assert box("import numpy as np\ndef f(): return np.float32(2)").dtype == numpy.float32
    with pytest.raises(judging.StudentError, match="which the grader cannot read"):
        box("def f(): return object()")
    for reply in (
        {"array": ["|O8", [1], ""]},
        {"network": [["x"], [], 0]},
        {"array": ["<f8", [2], "AAAA"]},
        {"what": 3},
    ):
        with pytest.raises(Exception):  # noqa: B017 -- whatever is wrong with it, Remote says that it cannot be read
            judging.decoded(reply)


@pytest.mark.seconds
def test_requests_from_several_threads_do_not_mix(box):
    box("import numpy as np\ndef g(k): return np.full(10**5, k)\ndef f(): return 0")

    def ask(k):
        reply = box.sandbox.ask("call", 20, function="g", arguments=pickle.dumps(((k,), {})))
        return judging.decoded(reply["value"]).tolist() == [k] * 10**5

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(40)))


@pytest.mark.seconds
def test_functions_of_the_package_fail_by_whatever_name(box):
    box("import sedyn\nkept = sedyn.Network((2, 1), ('erf', 'identity')).init\ndef f(): return kept(3, rng=0).first")
    request = {"function": "f", "arguments": pickle.dumps(((), {}))}
    for modules, fails in (([], False), (["sedyn.runs"], False), (["sedyn"], True), ([], False)):
        if fails:
            with pytest.raises(judging.StudentError, match="write it yourself"):
                box.sandbox.ask("call", 20, **request, without=modules)
        else:
            assert box.sandbox.ask("call", 20, **request, without=modules)["value"]


@pytest.mark.seconds
def test_a_cell_goes_on_after_a_statement_that_fails(box):
    for first in ("import not_there\nnot_there.go()", "await not_there()", "assert False", "x = !ls\n%cd /\n?f"):
        with contextlib.suppress(judging.StudentError):
            box("def f(): return 'old'")
            box(first + f"\ndef f(): return {len(first)}")
        assert box("pass") == len(first)
    with contextlib.suppress(judging.StudentError):
        box("raise SystemExit\ndef f(): return 'not reached'")
    assert box("pass") != "not reached"


def test_names_that_a_cell_defines():
    code = "%time 1\nf = g = lambda: 0\n(a, b), c = (1, 2), 3\nd: int = 4\nif a:\n    def h(): pass\nclass K: pass"
    code += "\nfor k in []: l = 1"
    assert set(reading.functions(code)) >= {"f", "g", "d", "h", "K", "c"}
    assert not set(reading.functions(code)) & {"k", "l"}


def test_the_guide_names_every_isolation_and_every_output():
    text = (classroom.HERE / "GUIDE.md").read_text(encoding="utf-8")
    for name in (*grading.OUTPUTS, grading.STATE, "bwrap", "user", "bare"):
        assert f"`{name}" in text
    options = judging.Options()
    assert f"instead of {options.timeout:g}" in text and f"{options.total:g} seconds in all" in text
    assert f"{options.memory >> 30} GB in a process" in text and "up to three times" in text
    assert judging.Judge.most_lost == 3


# ---- reading, without grading


def test_every_odd_notebook_is_read_as_the_right_one():
    plain = None
    for name in ("plain", "byte_order_mark", "utf_16", "metadata_lost", "metadata_and_ids_lost", "older_format"):
        notebook = submissions.right()
        made = CASES[name].make(notebook) or json.dumps(notebook).encode()
        cells, _ = reading.read(made)
        steps, problems = reading.restore(submissions.SOURCE, cells)
        plain = plain or steps
        assert steps == plain, name
        assert all("recognized" in problem for problem in problems), problems


def test_formulas_are_escaped():
    assert [grades.safe(x) for x in ("=1+2", "@x", "-1", "+1", "a=1", -1, None)] == [
        "'=1+2",
        "'@x",
        "'-1",
        "'+1",
        "a=1",
        -1,
        "",
    ]


def test_hidden_tests_draw_other_numbers_and_visible_ones_do_not():
    seen = judging.fresh(submissions.MODEL["gradients-1"] + "\nrng = np.random.default_rng(1)")
    assert "fresh_rng(11 + q)" in seen and "np.random.default_rng(1)" in seen


# ---- marks, repeated notebooks


@pytest.fixture
def graded(tmp_path, monkeypatch):
    """A folder that is graded without running anything: a notebook's points stand in its first cell."""

    def instead(todo, *_):
        for one in todo:
            points = json.loads(one.data)["points"]
            rows = [
                grades.Row(one.student, FIRST, "1.1", points, 5, "", one.path, "bare"),
                grades.Row(one.student, FIRST, "1.7", None, 3, "reading-1: to be marked by hand", one.path, "bare"),
            ]
            yield one, {"rows": rows, "written": {"reading-1": f"My answer\n### {one.student}"}}

    monkeypatch.setattr(grading, "run_all", instead)
    monkeypatch.setattr(grading, "cage", lambda *_: judging.Cage("bare", tmp_path))
    monkeypatch.setattr(grading, "make_tree", lambda folder: folder)

    def run(files, **options):
        for name, points in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(json.dumps({"points": points}))
        grading.grade(tmp_path, judging.Options(**options))
        return read_table(tmp_path / "grades.csv")

    run.folder = tmp_path
    return run


def test_marks_by_hand_are_merged_and_never_erased(graded):
    graded({"ada.ipynb": 3, "=bob.ipynb": 4})
    path = graded.folder / "marks.csv"
    marks = read_table(path)
    assert [(m["student"], m["exercise"], m["cell"], m["points"]) for m in marks] == [
        ("'=bob", "1.7", "reading-1", ""),
        ("ada", "1.7", "reading-1", ""),
    ]
    text = path.read_text().replace("reading-1,,", "reading-1,2.5,")
    path.write_text("\ufeff" + text.replace(",", ";") + f"ada;{FIRST};1.1;;5;;seen in class\ngone;{FIRST};1.1;;1;;\n")
    for _ in range(2):  # the file is written anew, and read again
        rows = graded({"carl.ipynb": 0})
        points = {(row["student"], row["exercise"]): row["points"] for row in rows if row["exercise"]}
        assert points["'=bob", "1.7"] == points["ada", "1.7"] == "2.5" and points["ada", "1.1"] == "5.0"
        assert points["carl", "1.7"] == ""
        assert any("seen in class (was 3" in row["message"] for row in rows)
        assert any(mark["student"] == "gone" for mark in read_table(path))
    again = path.read_text() + f"ada,{FIRST},1.1,,many,,\n"
    path.write_text(again)
    rows = graded({})
    assert any("'many' is no number of points" in row["message"] for row in rows)
    assert path.read_text() == again  # left as it is, for the instructor to repair
    path.write_text("something else\n")
    assert any("has not the columns" in row["message"] for row in graded({}))
    assert path.read_text() == "something else\n"


def test_a_table_changed_by_hand_is_set_aside(graded, capsys):
    graded({"ada.ipynb": 3})
    graded({"bob.ipynb": 4})
    grading.grade(graded.folder, again=True)
    assert "by hand" not in capsys.readouterr().err
    table = graded.folder / "grades.csv"
    edited = table.read_text().replace(",3,5", ",5,5")
    table.write_text(edited)
    assert [row["points"] for row in graded({}) if row["exercise"] == "1.1"] == ["3", "4"]
    assert "by hand" in capsys.readouterr().err
    assert (graded.folder / "grades edited 1.csv").read_text() == edited != table.read_text()
    assert not any("edited" in row["file"] for row in graded({}))  # and is no submission


def test_the_index_leads_to_the_page_of_every_student(graded):
    graded({"ada.ipynb": 3, "B\u00f6b & co.ipynb": 4, "index.ipynb": 1})
    reports = graded.folder / "reports"
    targets = re.findall(r'<a href="(.*?)">', (reports / "index.html").read_text(encoding="utf-8"))
    assert sorted(unquote(name) for name in targets) == sorted(
        path.name for path in reports.iterdir() if path.name != "index.html"
    )
    assert len(targets) == 3


def test_two_notebooks_of_one_student_count_once(graded):
    files = {"ada/hw.ipynb": 4, "ada/hw (1).ipynb": 2, "bob.ipynb": 1, "bob (1).ipynb": 3, "bob-Copy1.ipynb": 2}
    for keep, expected in (("better", {"ada": "4", "bob": "3"}), ("newer", {"ada": "2", "bob": "2"})):
        for k, name in enumerate(files):
            graded({name: files[name]}, keep=keep)
            os.utime(graded.folder / name, (k, k))
        rows = graded({}, keep=keep)
        assert {row["student"]: row["points"] for row in rows if row["exercise"] == "1.1"} == expected
        said = [row["message"] for row in rows if not row["exercise"]]
        assert len(said) == 3 and all(f"the {keep} counts" in text for text in said)


def test_written_answers_cannot_pass_for_another_students(graded):
    graded({"ada.ipynb": 1})
    lines = (graded.folder / "written_answers.md").read_text().splitlines()
    assert lines.count("### ada") == 1 and "> ### ada" in lines


def test_the_table_of_a_class_shows_remarks_on_files_alone():
    rows = [grades.Row(f"s{k}", FIRST, "1.1", 0, 5, "gradients-1: not answered") for k in range(60)]
    assert grades.table(rows).count("not answered") == 60
    rows += [grades.Row(f"s{k}", FIRST, "", 0, 0, "cell memory-1 is missing") for k in range(60)]
    text = grades.table(rows)
    assert "not answered" not in text and text.count("is missing") == 60 and "see grades.csv" in text


def test_what_is_graded_stays_and_what_changes_is_graded_anew(graded):
    graded({"ada.ipynb": 1, "bob.ipynb": 1})
    salt = (graded.folder / ".grading" / "salt").read_text()
    assert {row["points"] for row in graded({"ada.ipynb": 5}) if row["exercise"] == "1.1"} == {"5", "1"}
    assert (graded.folder / ".grading" / "salt").read_text() == salt
    grading.grade(graded.folder, again=True)
    assert (graded.folder / ".grading" / "salt").read_text() != salt


# ---- a grader that is killed


def grader(folder):
    command = [sys.executable, str(classroom.HERE / "classroom.py"), "grade", str(folder), "--timeout", "5"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


@pytest.mark.minutes
def test_a_grader_killed_at_any_moment_goes_on_to_the_same_table(tmp_path):
    names = [name for name in CASES if not CASES[name].isolated][:10] + FEW[3:5]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
        for name in names:
            write_case(folder, name)
    moments = random.Random(0)
    for k in range(10):
        process = grader(killed)
        time.sleep(moments.uniform(0.2, 9))
        (os.killpg if k % 2 else os.kill)(process.pid, signal.SIGKILL if k % 3 else signal.SIGINT)
        process.wait()
        for path in (killed / "grades.csv", killed / "marks.csv"):
            if path.exists():
                read_table(path)  # whole at every moment
    (whole / ".grading").mkdir()
    shutil.copy(killed / ".grading" / "salt", whole / ".grading")
    tables = defaultdict(list)
    for folder in (killed, whole):
        process = grader(folder)
        _, errors = process.communicate(timeout=400)
        assert process.returncode == 0, errors
        for name in ("grades.csv", "marks.csv", "written_answers.md"):
            tables[name].append((folder / name).read_bytes())
    assert all(one == other for one, other in tables.values())
