"""EMBED becomes the right pairs, split by patient."""

from __future__ import annotations

from collections import Counter

import pytest

from MammoTrackerLib.command.tables.columns import MANIFEST_COLUMNS, TRUTH_COLUMNS
from Training.embed import split_place


def test_manifests_are_what_batch_reads_and_name_no_patient(embed):
    embed.case("a", exams=2)
    embed.run()
    for name in ("train.csv", "test.csv"):
        header = (embed.out / name).read_text().splitlines()[0].split(",")
        assert header == [*MANIFEST_COLUMNS, *TRUTH_COLUMNS, "patient"]
    for pair in embed.pairs():
        assert pair["patient"] == "p0001"
        assert pair["lesion_type"] == "mass"
        assert (embed.out / pair["prior"]).is_file()
        assert "10000001" not in "".join(pair.values())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_nothing_of_a_patient_is_printed(embed, capfd, workers):
    keys = embed.case("case-77", exams=3)
    embed.case("case-78", patient=10000002, exams=1)
    embed.annotate("case-79", "cohort_9/10000003/1.2.3/4.dcm")
    (embed.root / keys[0]).write_bytes(b"no mammogram")
    assert embed.run("--workers", workers) == 0
    output = "".join(capfd.readouterr())
    for word in ("1000000", "8899", "2013", "2014", "case-7", "1.2."):
        assert word not in output
    assert len(embed.pairs()) == 2


def test_all_ordered_pairs_of_different_exams(embed):
    embed.case("a", exams=3)
    embed.case("a", exams=2, view="MLO")
    embed.annotate("a", embed.image(exam=3, copy=1))  # a second image of one exam
    embed.run()
    pairs = embed.pairs()
    by_view = Counter(pair["pair_id"].split("-")[1] for pair in pairs)
    # CC: exams of 1, 1 and 2 images: 4 * 3 ordered pairs less the 2 within an exam.
    assert by_view == {"CC": 10, "MLO": 2}
    assert len({(pair["prior"], pair["current"]) for pair in pairs}) == 12
    assert {pair["pair_id"] for pair in pairs} >= {"a-CC-1-2", "a-CC-2-1", "a-MLO-1-2"}


def test_table_1_counts_cases_views_and_pairs(embed, capsys):
    train, test = [], []
    for patient in range(10000001, 10000100):
        (test if split_place(str(patient), 0) < 0.29 else train).append(patient)
    embed.case("a", exams=3, patient=train[0])
    embed.case("a", exams=2, patient=train[0], view="MLO")
    embed.case("b", exams=2, patient=train[1], side="R")
    embed.case("c", exams=2, patient=train[1], kind="calcification")
    embed.case("d", exams=4, patient=test[0], kind="calcification")
    embed.run()
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    names = ("Mass", "Calc.", "Total")
    rows = {line[0]: line[1:] for line in lines if line and line[0] in names}
    assert rows == {
        "Mass": "2 3 10 0 0 0 2 3 10".split(),
        "Calc.": "1 1 2 1 1 12 2 2 14".split(),
        "Total": "3 4 12 1 1 12 4 5 24".split(),
    }
    assert len(embed.table("train.csv")) == 12
    assert len(embed.table("test.csv")) == 12


def test_split_is_by_patient_and_keeps_to_its_seed(embed):
    def parts(*flags: str) -> dict[str, set[str]]:
        embed.run(*flags)
        tables = {name: embed.table(f"{name}.csv") for name in ("train", "test")}
        assert not {r["patient"] for r in tables["train"]} & {r["patient"] for r in tables["test"]}
        return {name: {row["lesion_id"] for row in rows} for name, rows in tables.items()}

    for patient in range(10000001, 10000013):
        embed.case(f"{patient}-l", patient=patient)
        embed.case(f"{patient}-r", patient=patient, side="R")
    first = parts("--test-share", "0.4")
    assert len(first["train"] | first["test"]) == 24
    assert {name[:8] for name in first["train"]}.isdisjoint(name[:8] for name in first["test"])
    assert first["test"]
    assert parts("--test-share", "0.4", "--seed", "1") != first

    embed.case("new", patient=10000099)
    again = parts("--test-share", "0.4")
    assert again["train"] - {"new"} == first["train"]
    assert again["test"] - {"new"} == first["test"]


def test_about_as_many_are_tested_as_in_the_paper():
    test = sum(split_place(str(patient), 0) < 0.29 for patient in range(20000))
    assert test == pytest.approx(0.29 * 20000, rel=0.03)


def test_without_a_pair_the_reasons_are_written_all_the_same(embed, capsys):
    embed.case("a", exams=1)
    assert embed.run() == 2
    assert "no pair" in capsys.readouterr().err
    assert embed.reasons() == {("annotations", "its case has one exam only in this view"): 1}
