"""The pair of mammograms that ships with the extension, as Slicer's sample data."""

from __future__ import annotations

from pathlib import Path

import slicer

RESOURCES = Path(__file__).parent.parent / "Resources"
SAMPLE_FILES = (
    "MammoTrackerPrior.nrrd",
    "MammoTrackerCurrent.nrrd",
    "MammoTrackerLesion.mrk.json",
)


def registerSampleData() -> None:
    """Add the pair that ships with the extension to the Sample Data module."""
    import SampleData

    files = [RESOURCES / "SampleData" / name for name in SAMPLE_FILES]
    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):
        logic.registerCustomSampleDataCategory("MammoTracker", title="MammoTracker")
    logic.registerCustomSampleDataSource(
        category="MammoTracker",
        sampleName="MammoTrackerPair",
        thumbnailFileName=str(RESOURCES / "Icons" / "MammoTrackerPair.png"),
        uris=[file.as_uri() for file in files],
        fileNames=list(SAMPLE_FILES),
        nodeNames=[name.split(".")[0] for name in SAMPLE_FILES],
        customDownloader=loadSamplePair,
    )


def loadSamplePair(source=None) -> list:
    """Load the prior, the current and the lesion that ship with the extension.

    Returns
    -------
    list of nodes
        Prior volume, current volume, the lesion's ROI.
    """
    from MammoTrackerLib import scene

    paths = [str(RESOURCES / "SampleData" / name) for name in SAMPLE_FILES]
    prior, current = slicer.util.loadVolume(paths[0]), slicer.util.loadVolume(paths[1])
    lesion = slicer.util.loadMarkups(paths[2])
    scene.claim_lesion(lesion, prior, "mass")
    return [prior, current, lesion]
