"""MRML: volumes to mammograms, ROI nodes to boxes and back, and results as nodes of the scene.

Pixels are those of `Box`; world is Slicer's, RAS in mm after all parent transforms. Every node
that belongs to MammoTracker has a role (an attribute), and refers to its volumes and to its
lesion by node references, so that saved scenes come back as they were.
"""

from .labels import update_labels
from .lesion import (
    COLORS,
    LESION_TYPES,
    claim_lesion,
    claim_new_rois,
    is_loaded_result,
    lesion_type,
    lesions,
    remove_lesion,
    set_lesion_type,
    unclaimed_rois,
)
from .prediction import (
    candidates_of,
    is_as_tracked,
    lesion_of,
    prediction_of,
    predictions,
    preview_candidate,
    preview_of,
    reason_of,
    restore_prediction,
    review_of,
    score_of,
    set_review,
    show_track,
    status_of,
    use_candidate,
)
from .raster import Raster, right_angled
from .registration import registration_of, show_registration, warped_prior
from .reports import load_lesions, reports_on, tracking_of
from .rois import (
    box_if_placed,
    box_of,
    center_mm,
    is_placed,
    place_roi,
    set_spacing,
    show_only_in,
    unplace,
)
from .segmentation import add_segmented_lesions, boxes_of_segmentation, segmented_volume
from .table import COLUMNS, export, results_table, update_table
from .volumes import (
    INVERTED_GREY,
    apply_window,
    header_of,
    mammogram_of,
    propose_pair,
    source_file,
)

__all__ = [
    "COLORS",
    "COLUMNS",
    "INVERTED_GREY",
    "LESION_TYPES",
    "Raster",
    "add_segmented_lesions",
    "apply_window",
    "box_if_placed",
    "box_of",
    "boxes_of_segmentation",
    "candidates_of",
    "center_mm",
    "claim_lesion",
    "claim_new_rois",
    "export",
    "header_of",
    "is_as_tracked",
    "is_loaded_result",
    "is_placed",
    "lesion_of",
    "lesion_type",
    "lesions",
    "load_lesions",
    "mammogram_of",
    "place_roi",
    "prediction_of",
    "predictions",
    "preview_candidate",
    "preview_of",
    "propose_pair",
    "reason_of",
    "registration_of",
    "remove_lesion",
    "reports_on",
    "restore_prediction",
    "results_table",
    "review_of",
    "right_angled",
    "score_of",
    "segmented_volume",
    "set_lesion_type",
    "set_review",
    "set_spacing",
    "show_only_in",
    "show_registration",
    "show_track",
    "source_file",
    "status_of",
    "tracking_of",
    "unclaimed_rois",
    "unplace",
    "update_labels",
    "update_table",
    "use_candidate",
    "warped_prior",
]
