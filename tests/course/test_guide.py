"""The instructor's guide, sentence by sentence: each says what a test shows, or is named here as no matter of tests."""

import os
import re

import pytest

import classroom
import judging
from tests.course import ROOT
from tests.course.submissions import CASES
from tests.course.submissions_more import MORE

TESTS = "".join((ROOT / f"tests/course/test_{name}.py").read_text() for name in ("grader", "assignments", "guide"))
GUIDE = (classroom.HERE / "GUIDE.md").read_text(encoding="utf-8")

# a part of the sentence -> the tests and the submissions that show it
SHOWN = {
    "Made from the notebooks": "student_versions_are_up_to_date_and_so_is_the_guide",
    "It holds model answers": "student_version_leaks_nothing",
    "They need sedyn and nothing else": "student_version_fails_with_not_implemented_only",
    "names typical mistakes, so most": "solutions_pass_and_two_typical_mistakes_of_each_exercise_do_not",
    "which assignment a notebook belongs to": "grading_a_folder plain metadata_and_ids_lost",
    "on Windows: in WSL": "grading_is_refused_on_windows",
    "a line shows the time left": "a_grader_killed_at_any_moment_goes_on_to_the_same_table",
    "Stop it whenever you like": "a_grader_killed_at_any_moment_goes_on_to_the_same_table "
    "what_is_graded_stays_and_what_changes_is_graded_anew",
    "gives a cell 120 seconds instead of 60": "the_guide_names_every_isolation_and_every_output "
    "options_of_the_command_are_those_of_the_guide",
    "more are listed by": "options_of_the_command_are_those_of_the_guide",
    "`grades.csv` | points": "grading_a_folder a_few_odd_submissions",
    "`marks.csv` | a line": "marks_by_hand_are_merged_and_never_erased",
    "`written_answers.md` |": "written_answers_cannot_pass_for_another_students",
    "`reports/` |": "every_odd_or_hostile_submission_gets_what_is_stated_and_changes_nothing",
    "`.grading/` |": "what_is_graded_stays_and_what_changes_is_graded_anew",
    "the next call merges them": "marks_by_hand_are_merged_and_never_erased",
    "replaces the points of its checks": "marks_by_hand_are_merged_and_never_erased",
    "never erases one": "marks_by_hand_are_merged_and_never_erased",
    "A file that it cannot read": "marks_by_hand_are_merged_and_never_erased",
    "is set aside as": "a_table_changed_by_hand_is_set_aside",
    "It puts back every given cell": "edited_checks given_cells_deleted restoring_keeps_answers",
    "given names (`n`, `X`, ..)": "overwrites_names spoils_a_given_array",
    "Lost metadata are found again": "metadata_lost metadata_and_ids_lost answer_above_the_stub answer_below_the_check "
    "all_answers_in_one_cell_at_the_end a_stub_beside_the_answer",
    "end their cell alone": "exit_first quit_in_the_answer answer_that_exits",
    "or does not end, is left out": "kills_the_kernel never_ends ignores_the_alarm segmentation_fault",
    "Of two notebooks of one student": "two_notebooks_of_one_student_count_once",
    "in a process of its own": "too_much_memory never_ends floods_the_output answer_of_a_gigabyte "
    "the_guide_names_every_isolation_and_every_output",
    "outside the student's process": "replies_are_data hidden_tests_draw_other_numbers_and_visible_ones_do_not",
    "gains nothing": "patched_compare patched_numpy patched_assertions patched_network reads_frames forged_replies",
    "environment variables of the instructor": "a_sandbox_knows_nothing_of_the_instructor",
    "the column `isolation`": "every_odd_or_hostile_submission_gets_what_is_stated_and_changes_nothing",
    "- `bwrap` (Linux": "a_sandbox_knows_nothing_of_the_instructor vandal reads_the_sources",
    "- `user` (when": "another_user_cannot_write_what_is_the_instructors",
    "- `bare` (else": "without_isolation_files_are_open_and_a_warning_is_printed",
    "for reading with `user`": "another_user_cannot_write_what_is_the_instructors",
    "A student who patches numpy": "patched_numpy",
    "whatever it calls them by": "functions_of_the_package_fail_by_whatever_name package_by_eval package_by_a_helper",
    "it goes on with the next statement": "magics_within_and_ignored_errors saved_by_colab",
    "commands are left out": "magics saved_by_vs_code",
    "Answers find the packages of your Python": "saved_by_colab numbers_as_arrays_and_texts_of_numpy",
    "Limits of memory hold for a process": "too_much_memory",
    "the same points; there": "nbgrader_reads_the_source_and_makes_the_same_student_version",
    "split over its checks": "every_exercise_has_two_wrong_answers_and_stated_partial_credit",
    "what each is worth": "every_typical_mistake_gets_the_stated_credit",
    "`make test` grades two": "solutions_pass_and_two_typical_mistakes_of_each_exercise_do_not "
    "every_typical_mistake_gets_the_stated_credit",
}
NO_MATTER_OF_TESTS = (
    "# Instructor's guide", "**Hand out**", "this folder is its course directory", "| in the folder |", "|---|---|",
    "How far files are protected", "Checks see what a function returns", "Exercises do not use earlier answers",
    "`make grade ...",
)  # fmt: skip


def sentences():
    head = GUIDE[: GUIDE.index("\n## Assignment 1")]
    for paragraph in re.split(r"\n\n|\n(?=- )|\n(?=\|)", head):
        yield from re.split(r"(?<=[.;])\s+(?=[A-Z`*])", paragraph.replace("\n", " ").strip())


def test_every_sentence_of_the_guide_is_shown_by_a_test():
    found = list(sentences())
    assert len(found) > 40
    for sentence in found:
        known = [part for part in (*SHOWN, *NO_MATTER_OF_TESTS) if part in sentence]
        assert known, f"no test shows: {sentence}"
    for part, shown in SHOWN.items():
        assert any(part in sentence for sentence in found), f"not in the guide any more: {part}"
        for name in shown.split():
            assert name in CASES or name in MORE or f"def test_{name}" in TESTS, name


def test_grading_is_refused_on_windows(tmp_path, monkeypatch):
    import grading

    monkeypatch.setattr(grading.os, "name", "nt")
    with pytest.raises(SystemExit, match="WSL"):
        grading.grade(tmp_path)


def test_options_of_the_command_are_those_of_the_guide(capsys):
    with pytest.raises(SystemExit):
        classroom.main(["grade", "--help"])
    said = capsys.readouterr().out
    for option in ("--keep", "--again", "--timeout"):
        assert option in said
    assert "--timeout $(TIMEOUT)" in (ROOT / "Makefile").read_text()


def sandbox(kind, folder):
    """A sandbox of this isolation, or skip the test."""
    options, tree = judging.Options(timeout=20), judging.make_tree(folder)
    cage = judging.Cage(kind, tree)
    if not judging.works(cage, options):
        pytest.skip(f"isolation {kind!r} does not work here")
    return judging.Sandbox(cage, 0, options)


WRITE = """
def f(path):
    try:
        open(path, "a").write(" ")
        return True
    except OSError:
        return False
"""


def call(box, code, *arguments):
    import pickle

    box.ask("run", 20, code=code, where="", given=False)
    return box.ask("call", 20, function="f", arguments=pickle.dumps((arguments, {})))["value"]


@pytest.mark.seconds
@pytest.mark.skipif(os.name == "nt", reason="grading needs Linux or macOS")
def test_another_user_cannot_write_what_is_the_instructors(tmp_path):
    mine, public = tmp_path / "mine.txt", tmp_path / "public.txt"
    mine.write_text("")
    public.write_text("read me")
    mine.chmod(0o600)
    public.chmod(0o644)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    box = sandbox("user", tmp_path)
    try:
        assert not call(box, WRITE, str(mine)) and not call(box, WRITE, str(public))
        assert not call(box, "import os\ndef f(path): return os.access(path, os.R_OK)", str(mine))
        assert call(box, "def f(path): return open(path).read()", str(public)) == "read me"
        assert call(box, "import os\ndef f(): return os.getuid()") >= judging.USER
    finally:
        box.close()


@pytest.mark.seconds
@pytest.mark.skipif(os.name == "nt", reason="grading needs Linux or macOS")
def test_without_isolation_files_are_open_and_a_warning_is_printed(tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("")
    box = sandbox("bare", tmp_path)
    try:
        assert call(box, WRITE, str(mine)) and mine.read_text() == " "
    finally:
        box.close()
    assert "warning: no isolation" in (classroom.HERE / "grading.py").read_text()
