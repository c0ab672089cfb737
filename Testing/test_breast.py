"""Where the breast is in an image."""

from __future__ import annotations

import numpy as np

from MammoTrackerLib.breast import wall_is_left


def test_wall_is_where_the_breast_is() -> None:
    y, x = np.mgrid[:100, :75] * 4
    image = np.where((x / 130) ** 2 + ((y - 190) / 170) ** 2 < 1, 400.0, 0.0)
    assert wall_is_left(image)
    assert not wall_is_left(image[:, ::-1])
    label = image.copy()
    label[5:15, 60:74] = 5000
    assert wall_is_left(label), "a bright label at the other side is no breast"
    assert wall_is_left(np.zeros((10, 10))), "left, if one cannot say"
