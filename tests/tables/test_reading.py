"""Reading tables: every kind of file, with the values that come out."""

import bz2
import csv
import gzip
import io
import lzma
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sedyn.tables import read_rows, read_table

PLAIN = "a,b,y\n1.5,x,1\n-2,z,2\n3e1,x,4\n"


@pytest.fixture
def write(tmp_path):
    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def check_plain(table):
    kinds = tuple(kind.split(",")[0] for kind in table.kinds)  # the decimal mark aside
    assert (table.names, kinds, table.target) == (("a", "b"), ("number", "category"), "y")
    assert table.X["a"].tolist() == [1.5, -2, 30] and table.X["b"].tolist() == ["x", "z", "x"]
    assert table.X["a"].dtype == table.y.dtype == np.float64 and table.y.tolist() == [1, 2, 4]


def zipped(content):
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("inside.csv", content)
        archive.writestr("__MACOSX/inside.csv", b"\0")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace(",", "   "),
        PLAIN.replace(",", ", "),
        PLAIN.replace(",", " ,  "),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", "\n\n"),
        PLAIN.replace("\n", ",\n"),
        PLAIN.replace("\n", ",\n").replace("y,", "y"),
        PLAIN.replace("y", "y,"),
        PLAIN.replace("a,b,y", '"a", "b" ,"y"'),
        "sep=;\n" + PLAIN.replace(",", ";"),
        "Sizes of things\n\nmeasured in 2020, by us\n" + PLAIN,
        "# a comment, with 3 cells, 7\n" + PLAIN,
        "3,2,\n" + PLAIN,
        PLAIN.replace("-2", "# a comment\n-2"),
        PLAIN.replace(",", ";").replace("1.5", "1,5"),
        PLAIN + ",,\n",
        PLAIN + "Source: us\n",
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        gzip.compress(PLAIN.encode(), mtime=0),
        bz2.compress(PLAIN.encode()),
        lzma.compress(PLAIN.encode()),
        zipped(PLAIN),
        gzip.compress(PLAIN.replace(",", ";").encode("utf-16"), mtime=0),
    ],
)
def test_one_table_in_many_forms(write, content):
    check_plain(read_table(write(content), "y"))


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(PLAIN.encode(), mtime=0))))
    check_plain(read_table("-", "y"))


def test_windows_letters(write):
    table = read_table(write("Größe;y\n1,5;2\n2,5;3\n0,5;9\n".encode("cp1252")), "y")
    assert table.names == ("Größe",) and table.X["Größe"].tolist() == [1.5, 2.5, 0.5]
    assert table.remarks == ("read as Windows-1252, because it is not UTF-8",)


def column(write, cells, sep=";", rest="7.5"):
    """One column as it is read, its kind and the remarks; the file has decimal points."""
    m = len(cells)
    text = f"c{sep}y{sep}q\n" + "".join(f"{cell}{sep}{k % 5}.5{sep}{k**2}.25\n" for k, cell in enumerate(cells))
    table = read_table(write(text), "y")
    assert table.X.shape[0] == m
    return (table.X["c"].tolist(), table.kinds[0], table.remarks) if "c" in table.names else (None, None, table.remarks)


def test_decimal_and_thousands_marks(write):
    german = "a;b;c;d;y\n1,5;1.234,5;1.234;1.5.2020;1,0\n0,25;-2.000.000;12.000;2.5.2020;2,5\n3;0,5;999;4.5.2020;3,5\n"
    X = read_table(write(german), "y").X
    assert X.to_numpy().tolist() == [
        [1.5, 1234.5, 1234, 18383],
        [0.25, -2e6, 12000, 18384],
        [3, 0.5, 999, 18386],
    ]
    assert column(write, ['"1,234"', '"12"', '"1,234,567.5"'], ",")[0] == [1234, 12, 1234567.5]
    assert column(write, ["1'234", "2 500", "-7"])[0] == [1234, 2500, -7]
    assert column(write, ['"1,2"', '"3,4"', '"5"'], ",")[:2] == (["1,2", "3,4", "5"], "category")  # lists
    assert column(write, ['"1,2,3"', '"3,4"', '"1,3"'], ",")[1] == "category"
    table = read_table(write('a,y\n"1,55",2\n"0,5",3\n"12,25",4\n'), "y")
    assert table.X["a"].tolist() == [1.55, 0.5, 12.25]


def test_almost_numbers(write):
    values, kind, remarks = column(write, ["$1,200", "€ 3", "7 %", "−4", "5 EUR"])
    assert values == [1200, 3, 7, -4, 5] and kind == "number"
    assert remarks == ("read as numbers: 'c' ('$1,200' as 1200)",)
    cells = ["12", ">100", *map(str, np.arange(20) ** 2)]
    values, kind, remarks = column(write, cells)
    assert np.isnan(values[1]) and values[0] == 12 and values[2:] == [k**2 for k in range(20)]
    assert remarks == ("read as numbers: 'c' (1 cell as missing, such as '>100')",)
    for missing in ("?", "n/a", "-", "unknown", "NA", " "):
        values, kind, remarks = column(write, ["4", missing, "9", missing, "5"])
        assert kind == "number" and np.isnan(values[1]) and np.isnan(values[3]) and values[::2] == [4, 9, 5], missing
    assert column(write, ["4", "many", "9", "few", "5"])[1] == "category"


def test_infinite_cells_are_missing(write):
    values, _, remarks = column(write, ["1", "inf", "-Infinity", "2", "1e200"])
    assert np.isnan(values[1:3]).all() and np.isnan(values[4]) and values[3] == 2
    assert remarks == ("infinite, taken as missing: 3 cells of 'c'",)


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        (["1970-01-02", "2000-01-01", "1969-12-31"], [1, 10957, -1]),
        (["1970/1/2", "2000/1/1", "1969/12/31"], [1, 10957, -1]),
        (["1970-01-02 12:00", "2000-01-01 06:00:00", "1969-12-31T00:00:00Z"], [1.5, 10957.25, -1]),
        (["2/1/1970", "31/12/1969", "1/2/1970"], [1, -1, 31]),
        (["1/2/1970", "12/31/1969", "2/1/1970"], [1, -1, 31]),
        (["02.01.70", "31.12.69", "01.02.1970"], [1, -1, 31]),
        (["2 January 1970", "Thu, 1 Jan 1970", "1-Feb-70"], [1, 0, 31]),
        (["January 2, 1970", "Jan 1 1970", "Feb. 1, 1970"], [1, 0, 31]),
        (["1/2/1970 6:00 PM", "1/1/1970 12:00 AM", "1/13/1970 6:00 am"], [1.75, 0, 12.25]),
        (["1970-02", "1970-01", "1971-01"], [31, 0, 365]),
        (["1970Q2", "1970Q1", "1971-Q1"], [90, 0, 365]),
        (["Feb 1970", "January 1970", "Jan 1971"], [31, 0, 365]),
        (["06:00", "18:30:00", "12:00"], [0.25, 18.5 / 24, 0.5]),
    ],
)
def test_dates(write, cells, days):
    values, kind, remarks = column(write, [f'"{cell}"' for cell in cells])
    np.testing.assert_allclose(values, days, atol=1e-9)
    assert kind == ("date, month first" if "month first" in remarks[0] else "date")
    assert remarks[0].startswith("read as days since 1970") and repr(cells[0]) in remarks[0]


@pytest.mark.parametrize(
    "cells", [["1-10", "5-12", "0-4"], ["a1", "b2", "c3"], ["may", "mar", "jan"], ["v1.2.3", "v1.2.4", "v1.3.0"]]
)
def test_what_is_no_date(write, cells):
    assert column(write, cells)[1] == "category"


def test_text_and_booleans(write):
    values, kind, _ = column(write, [" red ", "blue", "NA", "?", "red"])
    assert kind == "category" and [v for v in values if v == v] == ["red", "blue", "red"]
    assert column(write, ["True", "False", "True"])[:2] == ([1, 0, 1], "number")
    values, kind, _ = column(write, ["TRUE", "", "false"])
    assert kind == "number" and values[::2] == [1, 0] and np.isnan(values[1])
    for cells, y in (
        (["yes", "no", "no"], None),
        (["True", "False", "False"], None),
        (["2", "1", "1"], [2.0, 1.0, 1.0]),
    ):
        table = read_table(write("a,y\n" + "".join(f"{k**2},{cell}\n" for k, cell in enumerate(cells))), "y")
        assert table.y.tolist() == (y or cells)


@pytest.mark.seconds
def test_text_in_a_late_part_of_a_column_keeps_every_cell_as_written(write):
    m = 2**16  # with 16 columns pandas reads so many rows at once
    end = 14 * "," + "\n"
    table = read_table(
        write(f"code,y{end}" + "".join(f"00{k % 7},{k % 2}{end}" for k in range(m)) + f"x,1{end}" * 9000), "y"
    )
    assert set(table.X["code"]) == {f"00{k}" for k in range(7)} | {"x"}


def rows(*columns):
    return "\n".join(",".join(map(str, row)) for row in zip(*columns, strict=True)) + "\n"


def test_columns_left_out(write):
    k = np.arange(30)
    z = k**2 % 13
    frame = {
        "": k,
        "nr": k + 1,
        "year": k + 1950,
        "id": (7 * k) % 30,
        "who": [f"name {i}" for i in k],
        "void": [""] * 30,
    }
    text = ",".join([*frame, "z", "again", "same as y", "y"]) + "\n" + rows(*frame.values(), z, z, k % 4, k % 4)
    table = read_table(write(text), "y")
    assert table.names == ("z",) and table.X["z"].tolist() == z.tolist() and len(table.y) == 30
    assert table.remarks == (
        "left out, a nameless first column that only tells the rows apart",
        "left out, only counting the rows: 'nr', 'year'",
        "'year': rows of other times than these may be predicted far worse than the estimate says",
        "left out, an identifier that differs in every row: 'id'",
        "left out, texts that nearly all differ: 'who' ('name 0', ..)",
        "left out, empty: 'void'",
        "left out, the same as another column: 'again' ('z'), 'same as y' ('y')",
    )


@pytest.mark.parametrize("sep", [",", " ", "\t"])
def test_row_names_without_a_header(write, sep):
    text = '"mpg" "cyl" "wt"\n"Mazda RX4" 21 6 2.6\n"Fiat 128" 32.4 4 2.2\n"Volvo" 21.4 4 2.8\n'
    cells = csv.reader(io.StringIO(text), delimiter=" ")
    csv.writer(file := io.StringIO(), delimiter=sep).writerows(cells)
    table = read_table(write(file.getvalue()), "mpg")
    assert (
        table.names == ("cyl", "wt")
        and table.y.tolist() == [21, 32.4, 21.4]
        and table.X["wt"].tolist() == [2.6, 2.2, 2.8]
    )


def test_header_that_is_a_comment_or_longer_than_the_rows(write):
    table = read_table(write("# made by numpy\n# a b y\n1 2 3\n2 5 4\n4 7 6\n"), "y")
    assert table.names == ("a", "b") and table.X["b"].tolist() == [2, 5, 7]
    table = read_table(write("a,b,end,y\n1,2,3,4\n" + "5,6\n7,9\n8,1\n"), "b")
    assert table.names[:1] == ("a",) and table.y.tolist() == [2, 6, 9, 1]


def test_names_given_twice(write):
    table = read_table(write("a,a,y\n1,1,2\n4,4,3\n"), "y")
    assert table.names == ("a",) and table.remarks == ("named and given twice, read once: 'a'",)
    with pytest.raises(ValueError, match="different columns of one name: 'a'; rename"):
        read_table(write("a,a,y\n1,1,2\n4,5,3\n"), "y")


def test_rows_without_target_and_groups(write):
    table = read_table(write("g,a,y\n01,4,1\n1,5,\n01,7,3\n b ,8,?\nb,9,4\n"), "y", groups="g")
    assert table.groups.tolist() == ["01", "01", "b"] and table.X["a"].tolist() == [4, 7, 9]
    assert table.y.tolist() == [1, 3, 4] and table.names == ("a",)
    assert "2 of 5 rows left out: without a value of the target 'y'" in table.remarks
    with pytest.raises(ValueError, match=r"row 2 below the header of .* has no group: .*'g' .*\(1 such rows"):
        read_table(write("g,a,y\n1,4,1\nNA,5,2\n2,7,3\n"), "y", groups="g")


def test_likely_groups_and_sentinels_are_only_remarked_on(write):
    rng = np.random.default_rng(0)
    patient, code = np.repeat(np.arange(20), 6), np.repeat(rng.permutation(10**4)[:24], 5)
    age, a, y = rng.integers(20, 60, 120), rng.normal(size=120), rng.normal(size=120)
    level = np.where(np.arange(120) % 9 == 0, -999, rng.integers(1, 40, 120))
    level[5:7] = 40
    flag = np.where(np.arange(120) % 3 == 0, -1, 1)
    head = "patient,code,age,a,level,flag,y\n"
    table = read_table(write(head + rows(patient, code, age, a, level, flag, y)), "y")
    assert table.remarks == (
        "'patient', 'code' may tell which rows belong together; if so, pass groups=..",
        "a lone extreme value that may mean missing: -999 in 'level' (14 times)",
    )
    assert table.X["level"].tolist() == level.tolist()
    assert "belong" not in str(
        read_table(write(head + rows(patient, code, age, a, level, flag, y)), "y", groups="code").remarks
    )


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        ("", "y", "is empty; the first line must name"),
        ("\n \n", "y", "is empty"),
        ("y\n1\n2\n", "y", "one column only, 'y'; expected several"),
        ("a,y\n", "y", "has a header but no rows; add data"),
        ("1,2\n3,4\n", "y", "no header: its first line holds only numbers, '1', '2'; put a line"),
        (PLAIN, "Y", r"has no column 'Y' \(did you mean 'y'\?\); choose the target among 'a', 'b', 'y'"),
        (PLAIN.replace("a,", "price,"), "prize", "did you mean 'price'"),
        (PLAIN + "1,2,3,4\n", "y", "row 5 has 4 values; the header names 3 columns"),
        ("a,y\n1,2\n3,2\n", "y", "target 'y' is constant"),
        ("a,y\n1,x\n3,x\n", "y", "target 'y' is constant"),
        ("a,y\n1,\n3,NA\n", "y", "target 'y' .* has no values; choose another"),
        ("a,y\n1,2\n1,3\n", "y", "no feature is left .* left out, constant: 'a'"),
        ("a,y\n" + "".join(f"{k},{k**2}\n" for k in range(12)), "y", "no feature is left .*only counting"),
        ("a,y\n" + "".join(f"{k**2},name {k}\n" for k in range(12)), "y", "holds 12 texts in 12 rows"),
        (b"PAR1abc", "y", "a Parquet file, .*export it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1abc", "y", "an Excel workbook"),
        (bytes(range(256)) * 9, "y", "is binary"),
        ('[{"a": 1, "y": 2}]', "y", "is JSON, HTML or XML"),
        ("<!doctype html><table></table>", "y", "is JSON, HTML or XML"),
        (gzip.compress(PLAIN.encode() * 99, mtime=0)[:-40], "y", "is damaged, export it again"),
        (zipped(PLAIN).replace(b"inside.csv", b".nside.csv"), "y", "holds 0 files"),
    ],
)  # fmt: skip
def test_what_is_refused(write, content, target, message):
    with pytest.raises(ValueError, match=message):
        read_table(write(content), target)


def test_wrong_places_and_choices(write, tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        read_table(tmp_path, "y")
    with pytest.raises(FileNotFoundError, match="no file .*none.csv"):
        read_table(tmp_path / "none.csv", "y")
    with pytest.raises(ValueError, match="target and groups are both 'y'"):
        read_table(write(PLAIN), "y", groups="y")
    with pytest.raises(ValueError, match="choose the column of groups among"):
        read_table(write(PLAIN), "y", groups="subject")
    with pytest.raises(ValueError, match="leave no feature"):
        read_table(write("a,y\n1,2\n3,4\n"), "y", groups="a")
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as book:
        book.writestr("[Content_Types].xml", "")
    with pytest.raises(ValueError, match="is a workbook; export its sheet as CSV"):
        read_table(tmp_path / "book.xlsx", "y")


def test_without_pandas(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r'pip install "sedyn\[data\]"'):
        read_table(write(PLAIN), "y")


def test_rows_to_predict_come_by_name_and_in_kind(write):
    first = "n,code,day,us,b,y\n" + "".join(
        f'"{k},500.5",{k % 3}{"x" if k < 9 else ""},{k}.3.2020,4/{k}/2020,{k % 2 == 0},{k % 4}\n' for k in range(1, 21)
    )
    table = read_table(write(first), "y")
    assert table.kinds == ("number", "category", "date", "date, month first", "number")
    like = list(zip(table.names, table.kinds, strict=True))
    X, remarks = read_rows(write("extra,b,us,day,code,n\n?,True,3/4/2020,5.3.2020,01,$7\n?,,,,,\n"), like)
    assert list(X) == list(table.names)
    assert X.iloc[0].tolist() == [7, "01", 18326, 18325, 1] and X.iloc[1].isna().all()
    assert "read as numbers: 'n' ('$7' as 7)" in remarks
    with pytest.raises(ValueError, match="lacks 'code', 'us'; it needs every column"):
        read_rows(write("b,day,n\n1,2,3\n"), like)
    with pytest.raises(ValueError, match="column 'n' of .* should hold a number; got 'many'"):
        read_rows(write("n,z\nmany,1\n"), [("n", "number")])
    with pytest.raises(ValueError, match="column 'day' of .* should hold a date; got '2020"):
        read_rows(write("day,z\n2020,1\n"), [("day", "date")])


WORDS = st.text("abcdefghijklmnopqrstuvwäöü", min_size=4, max_size=8).map(lambda word: "w" + word)


@pytest.mark.seconds
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_pandas_writes_is_read_back(tmp_path, data):
    m = data.draw(st.integers(3, 30))
    number = st.floats(-1e9, 1e9, allow_subnormal=False).map(lambda x: round(x, 6)) | st.just(np.nan)
    cells = {"number": number, "text": st.sampled_from(data.draw(st.lists(WORDS, min_size=2, max_size=4, unique=True)))}
    kinds = ["number", *data.draw(st.lists(st.sampled_from(["number", "text"]), max_size=4))]
    frame = pd.DataFrame(
        {f"{kind} {k}": data.draw(st.lists(cells[kind], min_size=m, max_size=m)) for k, kind in enumerate(kinds)}
    )
    frame["y"] = np.arange(m) % 3 + 0.5
    sep, decimal = data.draw(
        st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", ","), ("\t", "."), ("|", ".")])
    )
    index, encoding = (
        data.draw(st.booleans()),
        data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le", "cp1252"])),
    )
    ending = data.draw(st.sampled_from(["", ".gz", ".bz2", ".xz", ".zip"]))
    path = tmp_path / f"data.csv{ending}"
    frame.to_csv(path, sep=sep, decimal=decimal, index=index, encoding=encoding)
    numbers = [name for name in frame if name.startswith("number") and frame[name].nunique() > 1]
    if not numbers:
        return
    table = read_table(path, "y")
    np.testing.assert_array_equal(table.y, frame["y"])
    left_out = " ".join(table.remarks)
    for name in frame.columns[:-1]:
        if name in table.names and name.startswith("number"):
            np.testing.assert_allclose(table.X[name], frame[name], rtol=1e-14)
        elif name in table.names:
            assert table.X[name].tolist() == frame[name].tolist()
        else:
            assert repr(name) in left_out


def test_new_rows_are_read_with_the_marks_of_those_that_were_fitted(write):
    """ "4.173" alone may be four thousand or four; the table that was fitted has told."""
    german = read_table(write("umsatz;x;y\n9.189;1,2;92,5\n4.173;0,5;41\n1.250;2,5;13,1\n"), "y")
    assert german.X["umsatz"].tolist() == [9189.0, 4173.0, 1250.0]
    new, _ = read_rows(write("umsatz;x\n4.173;1\n2.000;2\n"), zip(german.names, german.kinds, strict=True))
    assert new["umsatz"].tolist() == [4173.0, 2000.0] and new["x"].tolist() == [1.0, 2.0]
    english = read_table(write("turnover,x,y\n9.189,1.2,92.5\n4.173,0.5,41\n"), "y")
    new, _ = read_rows(write("turnover,x\n4.173,1\n"), zip(english.names, english.kinds, strict=True))
    assert new["turnover"].tolist() == [4.173]


def test_what_gives_the_target_away_is_pointed_out(tmp_path):
    rng = np.random.default_rng(0)
    wage = rng.lognormal(size=60)
    other = wage * np.exp(0.3 * rng.standard_normal(60))
    lines = [f"{w:.6f},{np.log(w):.6f},{o:.6f},7" for w, o in zip(wage, other, strict=True)]
    (tmp_path / "wages.csv").write_text("wage,lwage,other,one\n" + "\n".join(lines))
    table = read_table(tmp_path / "wages.csv", "wage")
    assert table.names == ("lwage", "other")
    assert "left out, constant: 'one'" in table.remarks
    assert [r for r in table.remarks if r.startswith("in the order of the target") and r.endswith("'lwage'")]
    assert not any("'other'" in r for r in table.remarks)
    answers = ["yes" if w > 1 else "no" for w in wage]
    lines = [f"{a},{int(a == 'yes')},{o:.3f}" for a, o in zip(answers, other, strict=True)]
    (tmp_path / "answers.csv").write_text("answer,code,other\n" + "\n".join(lines))
    remarks = read_table(tmp_path / "answers.csv", "answer").remarks
    assert [r for r in remarks if r.startswith("the target in other words") and r.endswith("'code'")]


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (["03/04/2024", "05/06/2024", "07/08/2024"], "day first; month first would fit as well"),
        (["13/04/2024", "05/06/2024", "07/08/2024"], "1970: "),
        (["03/14/2024", "05/06/2024", "07/08/2024"], "month first)"),
        (["2024-03-04", "2024-05-06", "2024-07-08"], "1970: "),
    ],
)
def test_dates_of_unknown_order_are_said(tmp_path, days, said):
    (tmp_path / "d.csv").write_text("day,y\n" + "\n".join(f"{d},{k}" for k, d in enumerate(days * 5)))
    (remark,) = [r for r in read_table(tmp_path / "d.csv", "y").remarks if "since 1970" in r] or ["1970: "]
    assert said in remark
