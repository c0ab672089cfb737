"""The three template inputs of the paper's figure 2."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from MammoTrackerLib import Box, MammoTrackerError
from MammoTrackerLib.patches import BLANK, network_input, normalise
from MammoTrackerLib.settings import TEMPLATE_INPUTS, Settings


def textured(side: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    raw = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype("f4"), (0, 0), 2) + 1
    breast = np.ones((side, side), np.float32)
    breast[:, : side // 8] = 0
    return raw, breast


def test_three_template_inputs():
    """Figure 2 of the paper."""
    raw, breast = textured(128)
    box = Box(40, 56, 72, 104)
    inside = np.s_[56:104, 40:72]
    guided, masked, cropped = (
        network_input(raw, breast, box, kind)
        for kind in ("mask-guided", "masked", "crop-and-resize")
    )
    plain = normalise(raw, breast)
    np.testing.assert_array_equal(guided[..., :2], plain)
    assert guided[..., 2].sum() == guided[inside][..., 2].sum() == box.area

    np.testing.assert_array_equal(masked[inside][..., :2], plain[inside])
    outside = np.ones((128, 128), bool)
    outside[inside] = False
    assert (masked[outside] == np.array([*BLANK, 0], np.float32)).all()

    # All of the box and nothing else, stretched 4 times across and 2 2/3 down.
    stretched = cv2.resize(raw[inside], (128, 128), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(
        cropped[8:-8, 8:-8], network_input(stretched, np.ones_like(stretched))[8:-8, 8:-8], atol=0.1
    )
    assert not cropped[..., 2].any()
    for kind in TEMPLATE_INPUTS:
        np.testing.assert_array_equal(network_input(raw, breast, None, kind)[..., :2], plain)


def test_unknown_template_inputs_are_refused():
    with pytest.raises(MammoTrackerError, match="template input"):
        Settings(template_input="whole")
