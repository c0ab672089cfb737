"""Tracks lesions from one mammogram to another, or through more exams, in Slicer without a window.

Slicer --no-main-window --python-script track_pair.py
    --prior PRIOR --current CURRENT --roi LESION.mrk.json --out FOLDER
Slicer --no-main-window --python-script track_pair.py
    --exams EXAM EXAM EXAM --on EXAM --roi LESION.mrk.json --out FOLDER
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import slicer


def main(arguments: Sequence[str]) -> int:
    """Return the exit code: 0; 2 for input that cannot be used; 1 for what should not happen."""
    from MammoTrackerLib import MammoTrackerError

    try:
        run(_parser().parse_args(arguments))
    except SystemExit as end:  # of the parser, for --help or wrong arguments
        return int(end.code or 0)
    except MammoTrackerError as error:
        print(f"track_pair: {error}", file=sys.stderr)
        return 2
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="track_pair.py",
        description="Find the lesions of a prior mammogram again on the current one, or those of "
        "one of several exams on all others. Writes results.csv, each ROI as .mrk.json, and "
        "overlay.png, or strip.png and growth.png. For research only: not a medical device.",
    )
    parser.add_argument("--prior", type=Path, help="DICOM, NRRD, PNG, ...")
    parser.add_argument("--current", type=Path)
    parser.add_argument(
        "--exams", type=Path, nargs="+", metavar="EXAM",
        help="in place of a pair: 2 to 30 exams, followed in the order of their dates, if known",
    )  # fmt: skip
    parser.add_argument(
        "--on", type=Path, metavar="EXAM",
        help="the one of the exams on which the lesions are marked; the last, if not given",
    )  # fmt: skip
    parser.add_argument(
        "--roi",
        dest="rois",
        metavar="ROI",
        type=Path,
        action="append",
        required=True,
        help="a lesion of the prior, or of the exam given by --on, as Slicer saves it (.mrk.json); "
        "repeat for more",
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    for exam in ("prior", "current", "exams"):
        parser.add_argument(
            f"--{exam}-spacing",
            metavar="MM",
            type=float,
            help="size of a pixel; where the file has none, ROIs count in these millimetres too",
        )
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Track the pair, or follow through the exams, and write the results.

    Raises
    ------
    MammoTrackerError
        If something given cannot be used, or Python packages are missing.
    """
    from MammoTrackerPanel import installer

    from MammoTrackerLib import MammoTrackerError

    if installer.missing():
        raise MammoTrackerError(
            "Python packages are missing: start Slicer, and install them under Setup in the "
            "module MammoTracker."
        )
    isPair = None not in (arguments.prior, arguments.current)
    isSeries = arguments.exams is not None
    if isPair == isSeries or (isSeries and (arguments.prior or arguments.current)):
        raise MammoTrackerError("Give --prior and --current, or --exams.")
    (runSeries if isSeries else runPair)(arguments)
    print(f"Written to {arguments.out}")


def runPair(arguments: argparse.Namespace) -> None:
    """Track from the prior to the current mammogram."""
    from MammoTracker import MammoTrackerLogic
    from MammoTrackerLib import scene

    prior = loadMammogram(arguments.prior, arguments.prior_spacing, "--prior-spacing")
    current = loadMammogram(arguments.current, arguments.current_spacing, "--current-spacing")
    rois = [roi for path in arguments.rois for roi in loadROIs(path)]
    logic = MammoTrackerLogic()
    predictions = logic.track(prior, current, rois)
    logic.export(prior, current, arguments.out)
    drawOverlay(prior, current, predictions, arguments.out / "overlay.png")
    for roi, prediction in zip(rois, predictions, strict=True):
        print(f"{roi.GetName()}: {scene.status_of(prediction)}. {scene.reason_of(prediction)}")


def runSeries(arguments: argparse.Namespace) -> None:
    """Follow the lesions of one exam through all."""
    from MammoTracker import MammoTrackerLogic
    from MammoTrackerLib import MammoTrackerError, scene

    if arguments.on is not None and arguments.on not in arguments.exams:
        raise MammoTrackerError("The exam given by --on must be one of --exams.")
    volumes = [
        loadMammogram(path, arguments.exams_spacing, "--exams-spacing", isOnlyIfUnknown=True)
        for path in arguments.exams
    ]
    on = arguments.exams.index(arguments.on) if arguments.on else len(volumes) - 1
    rois = [roi for path in arguments.rois for roi in loadROIs(path)]
    logic = MammoTrackerLogic()
    found = logic.follow(volumes, rois, volumes[on])
    logic.exportSeries(volumes, rois, arguments.out)
    for roi, answers in zip(rois, found, strict=True):
        for path, answer in zip(arguments.exams, answers, strict=True):
            if answer is not roi:
                print(
                    f"{roi.GetName()} on {path.name}: {scene.status_of(answer)}. "
                    f"{scene.reason_of(answer)}"
                )


def loadMammogram(path: Path, spacing: float | None, option: str, isOnlyIfUnknown: bool = False):
    """Load one image file, of DICOM too, as a volume whose pixel size is known.

    What is given for it counts more than what the file says, unless it is for those files only
    that do not say it.

    Raises
    ------
    MammoTrackerError
        If the file cannot be read, or nobody says how large its pixels are.
    """
    from MammoTrackerLib import MammoTrackerError, scene

    # Else Slicer stacks it with all other images of its series that lie in the same folder.
    volume = _load(slicer.util.loadVolume, path, {"singleFile": True, "show": False})
    isKnown = scene.header_of(volume).spacing is not None
    if spacing is not None and not (isKnown and isOnlyIfUnknown):
        scene.set_spacing(volume, spacing)
    elif not isKnown:
        raise MammoTrackerError(
            f"{path} does not say how large its pixels are: give {option} in mm."
        )
    return volume


def loadROIs(path: Path) -> list:
    """Load the ROI nodes of a markups file.

    Raises
    ------
    MammoTrackerError
        If the file cannot be read, or holds no ROI.
    """
    from MammoTrackerLib import MammoTrackerError

    # A file may hold several; loadMarkups returns one.
    before = slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")
    _load(slicer.util.loadMarkups, path)
    rois = [
        roi for roi in slicer.util.getNodesByClass("vtkMRMLMarkupsROINode") if roi not in before
    ]
    if not rois:
        raise MammoTrackerError(f"{path} holds no ROI: give a box that was drawn around a lesion.")
    return rois


def _load(load, path: Path, *options):
    from MammoTrackerLib import MammoTrackerError

    if not path.is_file():
        raise MammoTrackerError(f"There is no file {path}: check the path.")
    try:
        return load(str(path), *options)
    except RuntimeError:
        raise MammoTrackerError(
            f"Slicer cannot read {path}: check that it is a file of the right kind, and whole."
        ) from None


def drawOverlay(priorVolume, currentVolume, predictions: Sequence, path: Path) -> None:
    """Draw both mammograms with the tracker's boxes, and registration's, into one PNG."""
    from MammoTrackerLib import Status, Track, scene
    from MammoTrackerLib.command.drawings.overlay import draw_overlay
    from MammoTrackerLib.global_search import align

    prior, current = scene.mammogram_of(priorVolume), scene.mammogram_of(currentVolume)
    alignment = align(prior, current)
    tracks = []
    for prediction in predictions:
        box = scene.box_of(scene.lesion_of(prediction), priorVolume)
        registered = alignment.map_box(box)
        candidates = tuple(scene.candidates_of(prediction))
        tracks.append(
            Track(
                box,
                candidates[0].box if candidates else registered,
                scene.score_of(prediction),
                Status(scene.status_of(prediction)),
                scene.reason_of(prediction),
                candidates,
                registered,
            )
        )
    draw_overlay(prior, current, tracks, path)


if __name__ == "__main__":
    slicer.util.exit(main(sys.argv[1:]))
