"""Many pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import STATUSES, Pair, assert_refused, read_table, without_seconds, write_table

from MammoTrackerLib.command.cli import main


def test_batch_goes_on_after_failures(results: Path) -> None:
    rows = read_table(results)
    assert list(rows[0]) == (
        "pair_id,lesion_id,status,x0,y0,x1,y1,score,registration_x0,registration_y0,"
        "registration_x1,registration_y1,seconds,message,candidates,fingerprint"
    ).split(",")
    assert [(row["pair_id"], row["lesion_id"]) for row in rows] == [
        ("a", "1"),
        ("a", "1"),
        ("b", "1"),
        ("c", "1"),
        ("d", "Ä, 2"),
    ]
    assert [row["status"] == "failed" for row in rows] == [False, False, True, True, False]
    assert "missing.png" in rows[2]["message"]
    assert "reversed" in rows[3]["message"]
    assert rows[2]["x0"] == rows[2]["score"] == ""
    assert {row["status"] for row in rows if row["score"]} <= STATUSES
    assert float(rows[0]["seconds"]) > 0


def test_batch_gives_what_track_gives(results: Path, pair: Pair, tmp_path: Path) -> None:
    assert main(["track", *pair.arguments, "--out", str(tmp_path / "track")]) == 0
    (track,) = json.loads((tmp_path / "track" / "tracks.json").read_text())["tracks"]
    row = read_table(results)[4]
    assert [float(row[name]) for name in ("x0", "y0", "x1", "y1")] == track["box"]["pixels"]
    assert row["status"] == track["status"]


@pytest.mark.parametrize("keep", ["nothing", "half a header", "rows", "half a row", "everything"])
def test_resume_gives_what_one_run_gives(
    manifest: Path, results: Path, tmp_path: Path, keep: str
) -> None:
    resumed = tmp_path / "resumed.csv"
    lines = results.read_bytes().splitlines(keepends=True)
    resumed.write_bytes(
        {
            "nothing": b"",
            "half a header": lines[0][:30],
            "rows": b"".join(lines[:4]),
            "half a row": b"".join(lines[:5]) + lines[5][:15],
            "everything": b"".join(lines),
        }[keep]
    )
    assert main(["batch", str(manifest), "--out", str(resumed), "--resume"]) == 0
    assert without_seconds(resumed) == without_seconds(results)


def test_batch_keeps_other_results(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.csv"
    header = (
        "pair_id,lesion_id,status,x0,y0,x1,y1,score,registration_x0,registration_y0,"
        "registration_x1,registration_y1,seconds,message,candidates,fingerprint\n"
    )
    for content in ("my notes\n", "my notes", header + "other,1,failed" + 12 * "," + "\n"):
        out.write_text(content)
        assert_refused(["batch", str(manifest), "--out", str(out)], capsys, "--resume")
        assert_refused(["batch", str(manifest), "--out", str(out), "--resume"], capsys)
        assert out.read_text() == content


def test_bad_manifests(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.csv"
    broken = tmp_path / "broken.csv"
    rows = [{k: v for k, v in row.items() if k != "prior_y1"} for row in read_table(manifest)]
    write_table(broken, rows)
    assert_refused(["batch", str(broken), "--out", str(out)], capsys, "prior_y1")
    broken.write_bytes(b"\xff\x00\xfe" * 100)
    assert_refused(["batch", str(broken), "--out", str(out)], capsys)
    broken.write_bytes(b"")
    assert_refused(["batch", str(broken), "--out", str(out)], capsys, "pair_id")
    assert_refused(["batch", str(tmp_path), "--out", str(out)], capsys)
    assert_refused(["batch", str(tmp_path / "none.csv"), "--out", str(out)], capsys)
    assert_refused(["batch", str(manifest), "--out", str(tmp_path / "no" / "x.csv")], capsys)
    assert not out.exists()
