"""Results on the disk: one run at a time, and never of two different inputs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import (
    COMMAND,
    SPACING,
    assert_refused,
    read_table,
    without_seconds,
    write_table,
)

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.command.batch import results as results_module
from MammoTrackerLib.command.batch.results import Journal, Results, journal_of
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.tables.columns import PAIRS
from MammoTrackerLib.command.tables.fingerprints import _MADE_FROM, fingerprints
from MammoTrackerLib.networks import card

ROOT = Path(__file__).parents[3]


@pytest.fixture
def copied(manifest: Path, results: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A manifest with its images that may be changed, and its finished results."""
    for name in ("prior.png", "current.png", "prior.dcm", "current.dcm", manifest.name):
        shutil.copy(manifest.with_name(name), tmp_path)
    shutil.copy(results, tmp_path / "results.csv")
    return tmp_path / manifest.name, tmp_path / "results.csv"


def resume(manifest: Path, out: Path, *more: str) -> list[str]:
    return ["batch", str(manifest), "--out", str(out), "--resume", *more]


@pytest.mark.parametrize(
    "change",
    [
        {"prior_x0": "400"},
        {"prior_spacing_mm": "0.21"},
        {"current_spacing_mm": ""},
        {"prior": "current.png"},
        {"current": "./current.png"},
    ],
)
def test_results_of_another_row_under_the_same_ids_are_done_anew(copied, results, change):
    manifest, out = copied
    before, old = out.read_bytes(), read_table(out)
    rows = read_table(manifest)
    write_table(manifest, [rows[0], rows[1] | change, *rows[2:]])
    assert main(resume(manifest, out)) == 0
    new = read_table(out)
    assert [new[k] for k in (0, 2, 3, 4)] == [old[k] for k in (0, 2, 3, 4)], "not tracked again"
    assert new[1]["fingerprint"] not in {row["fingerprint"] for row in old}
    assert out.with_name("results.csv.before").read_bytes() == before


def test_results_of_other_images_under_the_same_names_are_refused(copied, capsys):
    manifest, out = copied
    rows, lines = read_table(manifest), out.read_text().splitlines(keepends=True)
    write_table(manifest, rows[:2])
    out.write_text("".join(lines[:3]))
    shutil.copy(manifest.with_name("current.png"), manifest.with_name("prior.png"))
    before = out.read_bytes()
    assert_refused(resume(manifest, out), capsys, "Row 1", "image")
    assert out.read_bytes() == before
    assert not out.with_name("results.csv.before").exists()


def test_results_with_and_without_force_are_not_mixed(copied, capsys):
    assert_refused(resume(*copied, "--force"), capsys, "--force")


def test_what_no_result_depends_on_may_change(copied):
    manifest, out = copied
    before = out.read_bytes()
    rows = [row | {"lesion_type": "other", "current_x0": "7"} for row in read_table(manifest)]
    for row in rows:  # as spreadsheets write numbers
        row |= {"prior_y0": f"{float(row['prior_y0']):.9f}"}
    write_table(manifest, rows)
    for name in ("prior.png", "current.png"):  # a copy of the images is the same images
        os.utime(manifest.with_name(name), (0, 0))
    assert main(resume(manifest, out)) == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize("cut", ["a cell", "most"])
def test_results_with_a_cut_row_are_refused(copied, capsys, cut):
    manifest, out = copied
    lines = out.read_text().splitlines()
    length = {"a cell": lines[2].rindex(","), "most": 9}[cut]
    lines[2] = lines[2][:length]
    out.write_text("\n".join(lines) + "\n")
    before = out.read_bytes()
    assert_refused(resume(manifest, out), capsys)
    assert out.read_bytes() == before


def test_results_that_another_program_removes_or_changes_are_not_written_into_the_air(tmp_path):
    out = tmp_path / "out.csv"
    for spoil in (
        out.unlink,
        lambda: (out.rename(tmp_path / "old"), out.write_text("saved by a spreadsheet")),
        lambda: out.write_text(""),
        lambda: out.open("a").write("a row,of another\n"),
    ):
        out.unlink(missing_ok=True)
        with Results(out, resume=False) as table:
            table.append(b"header\n")
            table.append(b"a row\n")
            spoil()
            with pytest.raises(MammoTrackerError, match="removed or changed"):
                table.append(b"another\n")


def test_results_that_went_through_an_editor_of_windows_are_gone_on_with(copied, results):
    manifest, out = copied
    lines = out.read_bytes().splitlines()
    out.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines[:4]) + b"\r\n" + lines[4][:20])
    assert main(resume(manifest, out)) == 0
    text = out.read_text(encoding="utf-8-sig")
    out.write_text(text, encoding="utf-8")
    assert without_seconds(out) == without_seconds(results)


def test_what_is_no_file_is_refused(manifest, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("folder", "pipe", "link"):
        for more in ([], ["--resume"]):
            argv = ["batch", str(manifest), "--out", str(tmp_path / name), *more]
            assert_refused(argv, capsys, "no file")
    for name in (manifest, manifest.with_name("prior.png")):
        before = name.read_bytes()
        assert_refused(resume(manifest, name), capsys, "not a results file")
        assert name.read_bytes() == before


def test_a_second_run_on_one_file_is_refused(copied, capsys, tmp_path):
    manifest, out = copied
    before = out.read_bytes()
    link = tmp_path / "link.csv"
    link.symlink_to(out)
    with Results(out, resume=True):
        for name in (out, link):
            assert_refused(resume(manifest, name), capsys, "Another run")
    assert out.read_bytes() == before
    assert main(resume(manifest, out)) == 0
    new = tmp_path / "new.csv"
    with pytest.raises(ValueError), Results(new, resume=False):
        with pytest.raises(MammoTrackerError, match="exists already"), Results(new, resume=False):
            pass
        with pytest.raises(MammoTrackerError, match="Another run"), Results(new, resume=True):
            pass
        raise ValueError
    assert not new.exists(), "no row came into it"


def test_a_table_without_rows_gives_one_without_rows(manifest, results, tmp_path):
    table, out = tmp_path / "table.csv", tmp_path / "out.csv"
    table.write_text(manifest.read_text().splitlines()[0] + "\n")
    assert main(["batch", str(table), "--out", str(out)]) == 0
    assert out.read_text() == results.read_text().splitlines()[0] + "\n"
    assert main(resume(table, out)) == 0


def test_two_batches_at_once_write_each_row_once(manifest, results, tmp_path):
    out = tmp_path / "out.csv"
    argv = [*COMMAND, "batch", str(manifest), "--out", str(out), "--resume"]
    both = [subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert sorted(process.wait(100) for process in both) == [0, 2]
    assert without_seconds(out) == without_seconds(results)


def test_a_disk_without_locks_is_written_nevertheless(copied, monkeypatch):
    monkeypatch.setattr(results_module, "lock", lambda file: None)
    assert main(resume(*copied)) == 0


def test_a_row_that_does_not_fit_on_the_disk_leaves_no_piece(tmp_path):
    class Full:
        def __init__(self, file):
            self.file, self.room = file, 40

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, line):
            if self.room == 0:
                raise OSError(28, "No space left on device")
            written = self.file.write(line[: self.room])
            self.room -= written
            return written

    out = tmp_path / "out.csv"
    with Results(out, resume=False) as table:
        table.append(b"header\n")
        table.append(b"a row\n")
        before = out.read_bytes()
        table._file = Full(table._file)
        with pytest.raises(MammoTrackerError, match="No space left"):
            table.append(b"long" * 20 + b"\n")
        assert out.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_batch_that_is_ended_leaves_whole_rows_and_nothing_else(manifest, tmp_path, number):
    row = read_table(manifest)[0]
    row |= {name: str(manifest.parent / row[name]) for name in ("prior", "current")}
    table = tmp_path / "table.csv"
    write_table(table, [row | {"pair_id": str(n)} for n in range(5000)])
    out, temporary = tmp_path / "out.csv", tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [*COMMAND, "batch", str(table), "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not out.exists() or out.read_bytes().count(b"\n") < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    try:
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert {path.name for path in tmp_path.iterdir()} == {"table.csv", "out.csv", "temporary"}
    assert not list(temporary.iterdir())
    assert out.read_bytes().endswith(b"\n")


def test_ids_that_a_spreadsheet_would_run_are_written_safely(manifest, tmp_path, capsys):
    rows = read_table(manifest)
    ids = ["=1+1", "-2", "+3", "@x", "\t=cmd|' /C calc'!A0", "a\x1b[31m\nb"]
    rows = [rows[3] | {"pair_id": i, "lesion_id": i} for i in ids[:5]] + [rows[0]]
    rows[5] |= {"pair_id": "plain", "lesion_id": "=0"}
    for row in rows:
        row |= {name: str(manifest.parent / row[name]) for name in ("prior", "current")}
    table, out = tmp_path / "table.csv", tmp_path / "out.csv"
    write_table(table, rows)
    assert main(["batch", str(table), "--out", str(out)]) == 0
    done = read_table(out)
    for row in done:
        for name in ("pair_id", "lesion_id", "status", "message"):
            assert row[name] and row[name][0] not in "=+-@\t\r"
    assert [row["pair_id"] for row in done[:4]] == ["'=1+1", "'-2", "'+3", "'@x"]
    before = out.read_bytes()
    assert main(resume(table, out)) == 0
    assert out.read_bytes() == before
    assert main(["evaluate", str(table), str(out)]) == 0


def test_a_message_that_begins_with_a_files_name_is_no_formula(manifest, tmp_path, monkeypatch):
    row = read_table(manifest)[0] | {"prior": "=1+1.png"}
    monkeypatch.chdir(tmp_path)
    Path("=1+1.png").write_text("no image")
    shutil.copy(manifest.with_name("current.png"), tmp_path)
    write_table(Path("table.csv"), [row])
    assert main(["batch", "table.csv", "--out", "out.csv"]) == 0
    (result,) = read_table(Path("out.csv"))
    assert result["status"] == "failed"
    assert result["message"][0] not in "=+-@"


def test_a_fingerprint_looks_at_every_part_of_a_small_file_and_at_no_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    row = dict.fromkeys(_MADE_FROM, "") | {"prior": "a", "current": "pipe"}
    row |= {"prior_spacing_mm": str(SPACING)}
    seen = {fingerprints(tmp_path, False)(row)}
    content = bytearray(100_000)
    for place in (0, 50_000, 99_999):
        (tmp_path / "a").write_bytes(content)
        seen.add(fingerprints(tmp_path, False)(row))
        content[place] = 1
    (tmp_path / "a").write_bytes(content)
    seen.add(fingerprints(tmp_path, False)(row))
    assert len(seen) == 5
    assert fingerprints(tmp_path, False)(row | {"prior": "\0"})


def test_weights_that_were_calibrated_anew_make_another_fingerprint(tmp_path, monkeypatch):
    """Under one version, too: `--resume` kept the probabilities of before."""
    row = dict.fromkeys(_MADE_FROM, "")
    before = fingerprints(tmp_path, False)(row)
    changed = card.read_card() | {"presence": [0.5, 1.0]}
    monkeypatch.setattr(card, "read_card", lambda: changed)
    assert fingerprints(tmp_path, False)(row) != before


# --- the journal of what was done before its turn


def made_from(row, group):
    return row["prior"]


def answers(*numbers: int) -> list[dict[str, str]]:
    return [
        {"pair_id": f"p{n}", "lesion_id": "Ä, 1", "status": "found", "fingerprint": f"of {n}"}
        for n in numbers
    ]


def asked(*numbers: int) -> list[tuple[int, dict[str, str]]]:
    row = dict.fromkeys(PAIRS.manifest, "")
    return [
        (n, row | {"pair_id": f"p{n}", "lesion_id": "Ä, 1", "prior": f"of {n}"}) for n in numbers
    ]


def ids(out: Path) -> list[str]:
    return [row["pair_id"] for row in read_table(out)]


@pytest.fixture
def killed(tmp_path) -> Path:
    """Results of which the first row is missing, and five others are in the journal."""
    manifest, out = tmp_path / "m.csv", tmp_path / "out.csv"
    write_table(manifest, [row for _, row in asked(*range(8))])
    with pytest.raises(KeyError), Results(out, resume=False) as results:
        results.rows_of(manifest, made_from)
        with Journal(results, out, 0) as journal:
            journal.write(4, answers(4, 5))
            journal.write(1, answers(1, 2))
            journal.write(7, answers(7))
            assert (journal.next_row, journal.written, journal.failed) == (0, 5, 0)
            raise KeyError
    assert ids(out) == [] and journal_of(out).read_bytes().count(b"\n") == 5
    return out


def gone_on(out: Path, *units: tuple[int, ...]) -> tuple[list[tuple[int, ...]], int]:
    """Go on with the units of a manifest; returns those that were done anew, and kept rows."""
    manifest, anew = out.with_name("m.csv"), []
    with Results(out, resume=True) as results:
        with Journal(results, out, results.rows_of(manifest, made_from)) as journal:
            for unit in units:
                if not journal.recalls(asked(*unit), [], made_from):
                    journal.write(unit[0], answers(*unit))
                    anew.append(unit)
            assert journal.next_row == 8
    assert not journal_of(out).exists()
    return anew, journal.kept


def test_rows_come_into_the_results_in_order_and_the_journal_goes(killed):
    anew, kept = gone_on(killed, (0,), (1, 2), (3,), (4, 5), (6,), (7,))
    assert anew == [(0,), (3,), (6,)] and kept == 5
    assert ids(killed) == [f"p{n}" for n in range(8)]
    assert [row["lesion_id"] for row in read_table(killed)] == ["Ä, 1"] * 8


def test_a_unit_of_which_the_journal_has_a_part_is_done_anew(killed):
    path = journal_of(killed)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:12])
    assert gone_on(killed, (0,), (1, 2), (3,), (4, 5), (6,), (7,)) == (
        [(0,), (1, 2), (3,), (6,), (7,)],
        2,
    )
    assert ids(killed) == [f"p{n}" for n in range(8)]


@pytest.mark.parametrize("damage", ["another row", "another box", "cut", "no text", "a number"])
def test_what_the_journal_has_of_another_row_or_damaged_is_done_anew(killed, damage):
    path = journal_of(killed)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[-1] = {
        "another row": lines[-1].replace(b"p7", b"p8"),
        "another box": lines[-1].replace(b"of 7", b"of 8"),
        "cut": lines[-1][:10] + b"\n",
        "no text": b"7,\xff\xfe\n",
        "a number": b"x" + lines[-1],
    }[damage]
    path.write_bytes(b"".join(lines))
    anew, _ = gone_on(killed, (0,), (1, 2), (3,), (4, 5), (6,), (7,))
    assert anew == [(0,), (3,), (6,), (7,)]
    assert ids(killed) == [f"p{n}" for n in range(8)]


def test_one_process_goes_on_beside_a_journal_which_then_goes(copied, results):
    manifest, out = copied
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:2]))
    journal_of(out).write_bytes(b"3," + lines[4])
    assert main(resume(manifest, out)) == 0
    marks = [[row["fingerprint"] for row in read_table(path)] for path in (out, results)]
    assert marks[0] == marks[1]
    assert not journal_of(out).exists()


def test_a_journal_of_results_that_are_gone_does_not_count(killed):
    killed.unlink()
    with Results(killed, resume=False) as results:
        done = results.rows_of(killed.with_name("m.csv"), made_from)
        with Journal(results, killed, done) as journal:
            assert not journal.recalls(asked(7), [], made_from)
