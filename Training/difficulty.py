"""How much changes between the two exams of a synthetic pair."""

from __future__ import annotations

from dataclasses import dataclass, replace

ROLLED_LAYER = 0.4
LANDMARKS = 0.6
"""`Difficulty.landmark` where single calcifications can go: there must be enough of them."""


@dataclass(frozen=True)
class Difficulty:
    """How much changes between two exams; every probability is per patch or lesion.

    Attributes
    ----------
    warp
        Factor on affine and elastic deformations.
    far
        Share of search patches whose centre is 6 mm to 3/8 of their side off, not 5 mm per axis.
    layer, edge
        Probability of a second tissue layer, of an image edge.
    distract
        Probability of up to three new lesions on the current, and half that of one on the prior
        that the current lacks.
    lesion
        Probability that the box holds a pasted mass or cluster; else it is plain tissue.
    absent
        Probability that the template comes from another mammogram.
    vanished
        Probability that a pasted lesion is on the prior only.
    gone
        Share of all that is pasted and marked, single calcifications and faint lesions too, that
        is on the prior only; where it is not 0, it takes the place of `vanished`.
    growth
        Standard deviation of the logarithm of the growth of lesions that stay; 0.2 means factors
        of 0.65 to 1.6 at most.
    landmark
        Probability that a tissue box of less than 20 mm has a single calcification in its middle.
    depth
        Probability that what is pasted lies at another depth than the tissue of the image, so
        that it moves against it by N(0, 3.5) mm: a mammogram is a projection.
    rolled
        Probability that the tissue lies in layers that slide over each other, see `layers.py`.
        The lesion then belongs to one of them, and `depth` is not used; `layer` is then
        `ROLLED_LAYER` at most.
    specks
        Probability of 2 to 8 single calcifications in a patch that both exams show.
    muscle
        Probability of a pectoral muscle; each exam then shows it in 7 of 10 cases.
    fold, marker, clip
        Probability of a skin fold, of a radio-opaque marker, of a biopsy clip. Folds and markers
        belong to one exam; one clip in four was there at the prior already.
    """

    warp: float = 1.0
    far: float = 0.25
    layer: float = 0.6
    edge: float = 0.35
    distract: float = 0.5
    lesion: float = 0.5
    absent: float = 0.08
    vanished: float = 0.15
    gone: float = 0.0
    growth: float = 0.2
    landmark: float = 0.3
    depth: float = 0.35
    rolled: float = 0.0
    specks: float = 0.3
    muscle: float = 0.1
    fold: float = 0.08
    marker: float = 0.08
    clip: float = 0.06


EASY = Difficulty(
    warp=0.6, far=0.1, layer=0.0, edge=0.1, distract=0.0, absent=0.0,
    vanished=0.0, depth=0.0, specks=0.0, muscle=0.0, fold=0.0, marker=0.0, clip=0.0,
)  # fmt: skip
HARD = Difficulty()
WHOLE = replace(
    HARD, lesion=0.6, landmark=0.1, muscle=0.3, fold=0.25, marker=0.6, clip=0.15, vanished=0.1
)
"""Of a whole pair, which shows more than a patch does.

`edge`, `far`, `absent`, `depth`, `rolled` and `specks` are unused.
"""


def losing(difficulty: Difficulty, gone: float) -> Difficulty:
    """Let this share of all that is pasted go, see `Difficulty.gone`; with 0 nothing changes."""
    return replace(difficulty, gone=gone, landmark=LANDMARKS) if gone else difficulty
