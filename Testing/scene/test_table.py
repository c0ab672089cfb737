"""The table of results, and its export."""

from __future__ import annotations

import datetime

import pytest
from dicom_files import write_dicom
from mrml import SQUARE, add_dicom_volume, add_lesion, add_volume, make_track, rows_of

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")


from MammoTrackerLib import Box, Status  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402
from MammoTrackerLib.scene.series import set_date  # noqa: E402


def test_table(scene, pair):
    prior, current = pair
    assert bridge.results_table(prior, current) is None
    lesion = add_lesion(scene, prior, Box(4, 9, 14, 15), "Tumour, left", "mass")  # 2 x 1.8 mm
    answer = make_track(Box(10, 12, 20, 24), prior_box=Box(4, 9, 14, 15))
    roi = bridge.show_track(lesion, current, answer)
    gone = add_lesion(scene, prior, SQUARE, "Lesion 2")
    bridge.show_track(gone, current, make_track(status=Status.NOT_FOUND, score=0.02))
    table = bridge.update_table(prior, current)
    assert bridge.results_table(prior, current) is table
    assert table.GetLocked()
    first, second = rows_of(table)
    assert tuple(first) == bridge.COLUMNS
    assert first == {
        "Lesion": "Tumour, left", "Type": "mass", "Status": "found", "Review": "",
        "Score": "0.4711", "Centre x (mm)": "3.8", "Centre y (mm)": "4.5", "Width (mm)": "2.5",
        "Height (mm)": "3.0", "Area (mm2)": "5.9", "Longest (mm)": "3.0", "Change (mm)": "+1.0",
        "Change (%)": "+50",
    }  # fmt: skip
    assert (second["Status"], second["Score"]) == ("not found", "0.0200")
    assert {second[name] for name in bridge.COLUMNS[5:]} == {""}

    # The user renames the lesion.
    gone.SetName("Lesion B")
    assert rows_of(bridge.update_table(prior, current))[1]["Lesion"] == "Lesion B"
    assert bridge.prediction_of(gone, current).GetName() == "Lesion B (current)"

    # The user drags the ROI: the table follows its present place.
    bridge.place_roi(roi, current, Box(0, 0, 8, 4))
    bridge.set_review(roi, "corrected")
    assert bridge.update_table(prior, current) is table
    first = rows_of(table)[0]
    assert (first["Review"], first["Width (mm)"], first["Change (mm)"]) == (
        "corrected", "2.0", "+0.0",
    )  # fmt: skip
    bridge.set_review(roi, "rejected")
    first = rows_of(bridge.update_table(prior, current))[0]
    assert (first["Review"], first["Width (mm)"], first["Change (mm)"]) == ("rejected", "", "")


def test_changes_of_a_pair_are_those_in_time(scene, pair):
    """Also where the lesion is marked on the later exam, and looked for on the earlier one."""
    prior, current = pair
    lesion = add_lesion(scene, prior, Box(4, 9, 14, 15))
    bridge.show_track(lesion, current, make_track(Box(10, 12, 20, 24), prior_box=Box(4, 9, 14, 15)))
    for years, changes, percent in (
        ((2020, 2022), ("+1.0", "+50"), 50),
        ((2022, 2020), ("-1.0", "-33"), -33),
    ):
        for volume, year in zip(pair, years, strict=True):
            set_date(volume, datetime.date(year, 3, 1))
        (row,) = rows_of(bridge.update_table(prior, current))
        assert (row["Change (mm)"], row["Change (%)"]) == changes
        overall = bridge.known_of(lesion, pair).growth.overall
        assert (round(overall.percent), round(overall.years)) == (percent, 2)


def test_the_table_is_modified_only_if_something_changed(scene, pair):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    roi = bridge.show_track(lesion, current, make_track())
    table = bridge.update_table(prior, current)
    seen = []
    table.AddObserver("ModifiedEvent", lambda *_: seen.append(1))
    bridge.update_table(prior, current)
    assert not seen
    bridge.set_review(roi, "accepted")
    bridge.update_table(prior, current)
    assert seen
    scene.RemoveNode(lesion)
    assert rows_of(bridge.update_table(prior, current)) == []


def test_measures_are_true_millimetres(scene, tmp_path, values):
    """A magnified view's pixels are smaller in the breast than on the detector."""
    path = write_dicom(
        tmp_path / "a.dcm", values, ImagerPixelSpacing=[0.2, 0.2],
        EstimatedRadiographicMagnificationFactor=2,
    )  # fmt: skip
    prior, current = add_volume(scene), add_dicom_volume(scene, path)
    lesion = add_lesion(scene, prior, SQUARE)
    bridge.show_track(lesion, current, make_track(Box(0, 0, 20, 30)))
    (row,) = rows_of(bridge.update_table(prior, current))
    assert (row["Width (mm)"], row["Height (mm)"]) == ("2.0", "3.0")


def test_the_table_of_a_series_has_a_row_for_each_lesion_and_exam(scene):
    exams = [add_volume(scene, name=name, spacing=(0.2, 0.2, 2)) for name in "abc"]
    lesion = add_lesion(scene, exams[2], SQUARE, "Tumour", "mass")
    table = bridge.update_series_table(exams, [lesion])
    assert [row["Status"] for row in rows_of(table)] == ["marked"]
    roi = bridge.show_track(lesion, exams[0], make_track(Box(10, 12, 20, 24)))
    bridge.show_track(lesion, exams[1], make_track(status=Status.NOT_FOUND))
    assert bridge.update_series_table(exams, [lesion]) is table
    assert bridge.series_table(scene) is table and table.GetLocked()
    first, second, last = rows_of(table)
    assert tuple(first) == bridge.SERIES_COLUMNS
    assert [row["Exam"] for row in (first, second, last)] == ["Exam 1", "Exam 2", "Exam 3"]
    assert [row["Years"] for row in (first, second, last)] == [""] * 3
    assert (first["Longest (mm)"], first["Change (mm)"], second["Longest (mm)"]) == ("2.4", "", "")
    assert (last["Longest (mm)"], last["Change (mm)"], last["Change (%)"]) == ("1.8", "-0.6", "-25")
    assert roi.GetName() == "Tumour (exam 1)"
    assert [row["Type"] for row in (first, second, last)] == ["mass"] * 3


def test_where_a_pixel_size_is_unknown_there_are_no_measures(scene):
    """As in a scene of a version that did not keep what the files, which are gone, had said."""
    spacings = {"a": (1, 1, 1), "b": (1, 1, 1), "c": (0.2, 0.2, 2)}
    exams = [add_volume(scene, name=name, spacing=mm) for name, mm in spacings.items()]
    lesions = [add_lesion(scene, exam, SQUARE, exam.GetName()) for exam in exams]
    for exam in exams[1:]:
        bridge.show_track(lesions[0], exam, make_track())
    (row,) = rows_of(bridge.update_table(*exams[:2]))
    assert (row["Status"], row["Width (mm)"], row["Longest (mm)"]) == ("found", "", "")
    (row,) = rows_of(bridge.update_table(exams[0], exams[2]))
    assert (row["Width (mm)"], row["Change (mm)"]) == ("1.6", "")
    rows = rows_of(bridge.update_series_table(exams, lesions))
    assert [row["Width (mm)"] for row in rows] == ["", "", "1.6", "", "1.8"]
    assert bridge.center_mm(SQUARE, exams[0]) is None


def test_a_box_kept_from_the_registration_has_no_change(scene):
    exams = [add_volume(scene, name=name, spacing=(0.2, 0.2, 2)) for name in "abc"]
    lesion = add_lesion(scene, exams[2], SQUARE)
    kept = bridge.show_track(lesion, exams[0], make_track(SQUARE, status=Status.REGISTRATION))
    bridge.show_track(lesion, exams[1], make_track(Box(10, 12, 20, 24)))

    def changes() -> list[str]:
        rows = rows_of(bridge.update_series_table(exams, [lesion]))
        return [row["Change (%)"] for row in rows]

    assert changes() == ["", "", "-25"]
    bridge.set_review(kept, "accepted")
    assert changes() == ["", "+33", "+0"]
    (row,) = rows_of(bridge.update_table(exams[2], exams[0]))
    assert row["Change (%)"] == "+0"
    bridge.set_review(kept, "cannot tell")
    (row,) = rows_of(bridge.update_table(exams[2], exams[0]))
    assert (row["Change (%)"], row["Width (mm)"]) == ("", "1.8")


def test_the_table_of_a_pair_goes_when_its_exams_become_a_series(scene, pair):
    prior, current = pair
    third, apart = add_volume(scene, name="third"), add_volume(scene, name="apart")
    lesion = add_lesion(scene, prior, SQUARE)
    for volume in (current, apart):
        bridge.show_track(lesion, volume, make_track())
        bridge.update_table(prior, volume)
    bridge.update_series_table([prior, current, third], [lesion])
    assert bridge.results_table(prior, current) is None
    assert bridge.results_table(prior, apart) is not None
