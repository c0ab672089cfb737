"""The sample pair in Slicer's module Sample Data."""

from __future__ import annotations

import slicer


def test_it_is_registered_also_where_categories_have_no_title(shell, panel, monkeypatch):
    """As in Slicer 5.10."""
    import SampleData
    from MammoTrackerPanel.sample_data import registerSampleData

    monkeypatch.delattr(SampleData.SampleDataLogic, "registerCustomSampleDataCategory")
    slicer.modules.sampleDataSources.pop("MammoTracker")
    registerSampleData()
    assert "MammoTracker" in slicer.modules.sampleDataSources
