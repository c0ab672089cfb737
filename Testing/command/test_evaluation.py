"""Results compared with the truth."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import assert_refused, cells, read_table, write_table

from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.tables.columns import SERIES


def evaluation(tmp_path: Path) -> tuple[Path, Path]:
    """Eight lesions of three patients.

    A hit, one moved by half, a failure, one without truth, one not found; one far off though
    called found; and two that are not there: one called found, one not found.
    """
    image = sitk.GetImageFromArray(np.arange(120_000, dtype=np.float32).reshape(400, 300))
    image.SetSpacing([0.1, 0.1])
    sitk.WriteImage(image, str(tmp_path / "image.mha"))
    blank = dict.fromkeys(("current_x0", "current_y0", "current_x1", "current_y1"), "")
    truth = {"current_x0": 10, "current_y0": 10, "current_x1": 30, "current_y1": 20}
    gone = blank | {"present": "0"}
    base = {
        "prior": "image.mha",
        "current": "image.mha",
        "prior_spacing_mm": "",
        "current_spacing_mm": "",
        "prior_x0": 1,
        "prior_y0": 1,
        "prior_x1": 9,
        "prior_y1": 9,
        "present": "",
    }
    far = {"x0": 100, "y0": 10, "x1": 120, "y1": 20}
    hit = {"x0": 10, "y0": 10, "x1": 30, "y1": 20}
    half = {"x0": 20, "y0": 10, "x1": 40, "y1": 20}
    rows, results = [], []
    for number, (kind, patient, true, status, box, registration, spacing) in enumerate(
        [
            ("mass", "1", truth, "found", hit, half, ""),
            ("mass", "2", truth | {"present": "1"}, "uncertain", half, far, "0.2"),
            ("[calc]", "3", truth, "failed", {}, {}, ""),
            ("mass", "1", blank, "found", hit, hit, ""),
            ("[calc]", "3", truth, "not found", far, hit, ""),
            ("[calc]", "3", truth, "found", far, hit, "0.2"),
            ("mass", "2", gone, "found", hit, hit, ""),
            ("mass", "2", gone | truth, "not found", hit, hit, ""),
        ]
    ):
        identity = {"pair_id": "p", "lesion_id": number}
        rows.append(
            identity
            | base
            | true
            | {"lesion_type": kind, "current_spacing_mm": spacing, "patient": patient}
        )
        placed = {name: box.get(name, "") for name in far}
        placed |= {f"registration_{name}": registration.get(name, "") for name in far}
        results.append(
            identity | placed | {"status": status, "score": "", "seconds": "0.1", "message": ""}
        )
    write_table(tmp_path / "manifest.csv", rows)
    write_table(tmp_path / "results.csv", results)
    return tmp_path / "manifest.csv", tmp_path / "results.csv"


def test_evaluate_counts_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, results = evaluation(tmp_path)
    assert main(["evaluate", str(manifest), str(results)]) == 0
    output = capsys.readouterr().out
    table = cells(output)
    # Half of the box is missed: IoU 1/3; moved by 10 pixels of 0.1 or 0.2 mm; far is 90 pixels.
    # AUC: above 0 to 0.33 for IoU 1/3; above 0 to 0.99 for IoU 1.
    numbers = [row for row in table if row[0] in ("tracker", "registration")]
    assert numbers == [
        ["tracker", "0", "0", "0.667", "0.667", "0.000", "1.00", "1.00", "1.80", "1.000", "0.665"],
        ["registration", "0", "-"]
        + ["0.167", "0.333", "0.500", "9.50", "9.50", "16.30", "0.500", "0.168"],
        ["tracker", "1", "1", "0.000", "-", "1.000", "13.50", "13.50", "17.10", "0.000", "0.000"],
        ["registration", "1", "-"]
        + ["0.667", "1.000", "0.333", "0.00", "0.00", "0.00", "0.667", "0.663"],
        ["tracker", "1", "1", "0.267", "0.667", "0.600", "7.25", "5.50", "15.30", "0.400", "0.266"],
        ["registration", "1", "-"]
        + ["0.467", "0.778", "0.400", "4.75", "0.50", "12.90", "0.600", "0.465"],
    ]
    assert [row[0] for row in table if "patient" in row[0]] == [
        "2 lesions, 2 patients",
        "3 lesions, 1 patient",
        "5 lesions, 3 patients",
    ]
    below = table[table.index(numbers[0]) + 1]
    assert below[3:7] == ["0.333-1.000", "0.333-1.000", "0.000-0.000", "0.00-2.00"]
    assert "1 rows were skipped" in output
    assert "(3 patients)" in output
    assert "no sample" in output


def test_evaluate_says_what_the_statuses_are_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    assert main(["evaluate", str(manifest), str(results)]) == 0
    output = capsys.readouterr().out
    assert cells(output)[-5:] == [
        ["found", "2", "1", "1"],
        ["uncertain", "1", "0", "0"],
        ["not found", "1", "0", "1"],
        ["kept from registration", "0", "0", "0"],
        ["failed", "1", "-", "0"],
    ]
    lines = output.splitlines()
    found = next(line for line in lines if "called found" in line)
    assert found.startswith("Of 3 called found, 2 (66.7 %, interval ")
    assert found.endswith(" are more than 10 mm off or not there.")
    missed = next(line for line in lines if "called not found" in line)
    assert missed.startswith("Of 5 lesions that are there, 1 (20.0 %, interval ")


def test_evaluate_without_patients_draws_pairs_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    rows = [{k: v for k, v in row.items() if k != "patient"} for row in read_table(manifest)]
    write_table(manifest, rows)
    assert main(["evaluate", str(manifest), str(results)]) == 0
    output = capsys.readouterr().out
    assert "5 lesions, 1 pair" in output
    assert "5 rows without a patient" in output


def test_evaluate_of_lesions_that_are_all_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    write_table(manifest, read_table(manifest)[6:])
    write_table(results, read_table(results)[6:])
    assert main(["evaluate", str(manifest), str(results)]) == 0
    output = capsys.readouterr().out
    assert "AO" not in output
    assert "Of 1 called found, 1 (100.0 %) are more than 10 mm off or not there." in output
    argv = ["evaluate", str(manifest), str(results), "--plot", str(tmp_path / "plot.png")]
    assert_refused(argv, capsys, "plot")


def test_evaluate_draws_success_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    manifest, results = evaluation(tmp_path)
    argv = ["evaluate", str(manifest), str(results), "--plot"]
    assert main([*argv, str(tmp_path / "plot.png")]) == 0
    picture = sitk.ReadImage(str(tmp_path / "plot.png"))
    assert picture.GetWidth() > 2.5 * picture.GetHeight(), "three panels"
    capsys.readouterr()
    assert_refused([*argv, str(tmp_path / "none" / "plot.png")], capsys, "Cannot write")
    assert_refused([*argv, str(tmp_path / "plot.docx")], capsys, ".png")


def test_success_plots_need_matplotlib(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, results = evaluation(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    argv = ["evaluate", str(manifest), str(results), "--plot", str(tmp_path / "plot.png")]
    assert_refused(argv, capsys, "pip install matplotlib")


def test_evaluate_refuses_what_does_not_belong_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    rows, answers = read_table(manifest), read_table(results)
    other = tmp_path / "other.csv"

    write_table(other, [row | {"pair_id": "q"} for row in answers])
    assert_refused(["evaluate", str(manifest), str(other)], capsys, "does not belong")
    write_table(other, [{k: v for k, v in row.items() if k != "current_x0"} for row in rows])
    assert_refused(["evaluate", str(other), str(results)], capsys, "current_x0")
    write_table(other, [rows[0] | {"current_x0": "left"}, *rows[1:]])
    assert_refused(["evaluate", str(other), str(results)], capsys, "other.csv, line 2", "a text")
    write_table(other, [rows[0], rows[1] | {"present": "yes"}, *rows[2:]])
    assert_refused(["evaluate", str(other), str(results)], capsys, "line 3", "present", "a text")
    write_table(
        other,
        [
            row
            | dict.fromkeys(("current_x0", "current_y0", "current_x1", "current_y1"), "")
            | {"present": "1"}
            for row in rows
        ],
    )
    assert_refused(["evaluate", str(other), str(results)], capsys, "current_x0", "reviewed.csv")


def test_evaluate_says_what_is_not_done_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    write_table(results, read_table(results)[:2])
    assert main(["evaluate", str(manifest), str(results)]) == 0
    assert "6 rows have no result yet" in capsys.readouterr().out


def test_results_that_nobody_wrote_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    rows, answers = read_table(manifest), read_table(results)
    argv = ["evaluate", str(manifest), str(results)]
    for status in ("", "Found", "found ok", "ok"):
        write_table(results, [answers[0], answers[1] | {"status": status}, *answers[2:]])
        assert_refused(argv, capsys, "line 3", "column status")
    for box in ("nan", "inf", "1e999"):
        write_table(results, [answers[0] | {"x0": box}, *answers[1:]])
        assert_refused(argv, capsys, "results.csv, line 2")
    write_table(results, answers)
    for spacing in ("nan", "inf", "-0.1", "0", "1e9"):
        write_table(manifest, [rows[0] | {"current_spacing_mm": spacing}, *rows[1:]])
        assert_refused(argv, capsys, "manifest.csv, line 2", "spacing")
    write_table(manifest, rows)
    lines = results.read_text().splitlines()
    results.write_text("\n".join([*lines[:3], lines[3][:9], *lines[4:]]) + "\n")
    assert_refused(argv, capsys, "line 4", "cut")


def test_results_with_windows_lines_and_one_that_is_being_written_are_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    argv = ["evaluate", str(manifest), str(results)]
    assert main(argv) == 0
    unix = capsys.readouterr().out
    text = results.read_bytes().replace(b"\r\n", b"\n")
    results.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert main(argv) == 0
    assert capsys.readouterr().out == unix
    results.write_bytes(text[: text.rindex(b",", 0, -9)])
    assert main(argv) == 0
    assert "1 rows have no result yet" in capsys.readouterr().out


def test_ids_that_were_written_safely_still_belong_to_theirs(tmp_path: Path) -> None:
    manifest, results = evaluation(tmp_path)
    write_table(manifest, [row | {"pair_id": "=1"} for row in read_table(manifest)])
    answers = read_table(results)
    for written in ("'=1", "=1"):
        write_table(results, [row | {"pair_id": written} for row in answers])
        assert main(["evaluate", str(manifest), str(results)]) == 0


def test_a_row_that_failed_for_its_image_does_not_need_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    rows = read_table(manifest)
    write_table(manifest, [*rows[:2], rows[2] | {"current": "missing.mha"}, *rows[3:]])
    assert main(["evaluate", str(manifest), str(results)]) == 0
    assert "1 rows were skipped" in capsys.readouterr().out


def test_a_plot_is_not_drawn_beside_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    for name in ("plots", "plots.png"):
        (tmp_path / name).mkdir()
    before = sorted(tmp_path.rglob("*"))
    for name in ("plots", "plots.png", "plots/", "none", "none."):
        argv = ["evaluate", str(manifest), str(results), "--plot", str(tmp_path / name)]
        assert_refused(argv, capsys, ".png")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_type_is_printed_without_commands_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    rows = read_table(manifest)
    write_table(manifest, [row | {"lesion_type": "a\x1b]0;x\x07"} for row in rows])
    assert main(["evaluate", str(manifest), str(results)]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\x07" not in said


def test_results_may_have_more_rows_than_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    rows, answers = read_table(manifest), read_table(results)
    part = tmp_path / "part.csv"
    write_table(part, [rows[k] for k in (1, 4, 7)])
    write_table(tmp_path / "alone.csv", [answers[k] for k in (1, 4, 7)])
    assert main(["evaluate", str(part), str(tmp_path / "alone.csv")]) == 0
    alone = capsys.readouterr().out
    assert main(["evaluate", str(part), str(results)]) == 0
    said = capsys.readouterr().out.splitlines()
    more = [line for line in said if line not in alone.splitlines()]
    assert len(more) == 1 and more[0].startswith("5 rows of the results were skipped")

    write_table(part, [rows[k] for k in (1, 7, 4)])
    write_table(tmp_path / "sorted.csv", answers[::-1])
    assert main(["evaluate", str(part), str(tmp_path / "sorted.csv")]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "interval" in line] == [
        line for line in said if "interval" in line
    ]
    write_table(part, [rows[1], rows[2] | {"lesion_id": "x"}])
    assert main(["evaluate", str(part), str(results)]) == 0
    assert "1 rows have no result yet" in capsys.readouterr().out
    write_table(part, [rows[1] | {"pair_id": "q"}])
    assert_refused(["evaluate", str(part), str(results)], capsys, "does not belong")


def test_what_a_reader_accepted_or_rejected_is_told_from_a_measurement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Accepted boxes made the overlap 1, and wrong answers that were rejected were left out."""
    manifest, results = evaluation(tmp_path)
    decided = zip(read_table(manifest), ("accepted", "corrected", "", "rejected"), strict=False)
    write_table(manifest, [row | {"decision": decision} for row, decision in decided])
    assert main(["evaluate", str(manifest), str(results)]) == 0
    said = capsys.readouterr().out
    assert "1 true boxes are the tracker's own, which a reader accepted" in said
    assert "1 answers were called found, and a reader rejected them" in said


def test_a_review_of_a_series_is_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, _ = evaluation(tmp_path)
    answer = dict.fromkeys(SERIES.results, "") | {"exam_group": "g: 1", "lesion_id": "1"}
    answer |= {"status": "found", "x0": 10, "y0": 10, "x1": 30, "y1": 20}
    # The image tells which exam it is, in whatever order the rows are.
    results = [answer | {"number": number, "exam": f"{number}.dcm"} for number in (2, 1, 3)]
    results[2]["x0"] = 20
    write_table(tmp_path / "series.csv", results)
    row = read_table(manifest)[0] | {"lesion_id": "1", "pair_id": "g: 1: 2>3"}
    row |= {"current": "3.dcm", "current_spacing_mm": "0.1"}
    write_table(tmp_path / "reviewed.csv", [row])
    argv = ["evaluate", str(tmp_path / "reviewed.csv"), str(tmp_path / "series.csv")]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "2 rows of the results were skipped" in said
    numbers = [line for line in cells(said) if line[0] in ("tracker", "registration")]
    assert [line[:4] for line in numbers] == [["tracker", "0", "0", "0.500"]] * 2
    write_table(tmp_path / "series.csv", [results[k] for k in (2, 0, 1)])
    assert main(argv) == 0
    assert [line for line in cells(capsys.readouterr().out) if line in numbers] == numbers
    write_table(tmp_path / "reviewed.csv", [row | {"current": "4.dcm"}])
    assert_refused(argv, capsys, "does not belong")


def test_a_manifest_of_series_has_no_truth(tmp_path: Path, capsys) -> None:
    table = tmp_path / "series.csv"
    table.write_text(",".join(SERIES.manifest) + "\n")
    assert_refused(["evaluate", str(table), str(table)], capsys, "manifest of series")
