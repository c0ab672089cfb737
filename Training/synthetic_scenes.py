"""Synthetic scenes, for training: patches of two independently deformed and exposed mammograms.

A scene is one search patch with several templates, so that its features are computed once. All
fields map a patch's millimetres to the source's, so that a lesion pasted at a source point lands
where the tissue goes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from MammoTrackerLib.box import Box
from MammoTrackerLib.patches import network_input
from MammoTrackerLib.settings import Settings

from .changes import (
    Field,
    add_layer,
    cut_edges,
    muscle_near,
    random_elastic,
    random_linear,
    random_tilt,
    sample,
)
from .difficulty import HARD, ROLLED_LAYER, Difficulty
from .exposure import EARLY_CLIP, add_muscle, leave_clip, take
from .layers import Layers, of_strongest, random_layers, shown_tissue, went
from .lesions import Lesion, add_lesion, lone_speck, random_lesion, random_size, shown_box
from .pasted import Pasted, paste
from .sources import Source

DEPTH_MM = 3.5
"""How far a lesion at another depth moves against the tissue under it, per axis."""


def breast_point(rng: np.random.Generator, source: Source) -> np.ndarray:
    """Return a random point of the breast, in source mm."""
    width = round(5 / source.spacing_mm)
    inner = cv2.erode(source.breast, np.ones((width, width), np.uint8), borderValue=1)
    rows, columns = np.nonzero(inner if inner.any() else source.breast)
    k = rng.integers(len(rows))
    return (np.array([columns[k], rows[k]]) + 0.5) * source.spacing_mm


@dataclass(frozen=True, eq=False)
class Scene:
    """One search patch and its templates.

    Attributes
    ----------
    search_raw, templates_raw
        Intensity and breast: (search_px, search_px, 2) and (t, template_px, template_px, 2).
    sizes
        (t, 2) width and height of the lesion on the prior, in template pixels.
    centers, boxes
        (t, 2) and (t, 4) of the lesion in search pixels.
    present
        (t,) 1 where the lesion is in the search patch, else 0.
    kinds
        (t,) 0 for plain tissue, 1 for a pasted lesion.
    decoys
        (t, 2) in search pixels, where tissue of another layer is that lay over the lesion on the
        prior; NaN where there are no layers.
    template_input
        As `Settings.template_input` says.
    """

    search_raw: np.ndarray
    templates_raw: np.ndarray
    sizes: np.ndarray
    centers: np.ndarray
    boxes: np.ndarray
    present: np.ndarray
    kinds: np.ndarray
    decoys: np.ndarray
    template_input: str

    @cached_property
    def search(self) -> np.ndarray:
        """(search_px, search_px, 3), ready for the tracking network."""
        return network_input(self.search_raw[..., 0], self.search_raw[..., 1])

    @cached_property
    def templates(self) -> np.ndarray:
        """(t, template_px, template_px, 3), ready for the tracking network."""
        middle = self.templates_raw.shape[1] / 2
        boxes = [Box.from_center(middle, middle, *map(float, size)) for size in self.sizes]
        return np.stack(
            [
                network_input(raw[..., 0], raw[..., 1], box, self.template_input)
                for raw, box in zip(self.templates_raw, boxes, strict=True)
            ]
        )


def make_scene(
    rng: np.random.Generator,
    source: Source,
    others: list[Source],
    settings: Settings,
    difficulty: Difficulty = HARD,
    templates: int = 3,
) -> Scene:
    """Make a scene from one mammogram; `others` lend second layers and absent lesions."""
    d = difficulty
    side, side_mm = settings.search_px, settings.search_mm
    pixel = side_mm / side
    flip = np.diag(rng.choice([-1.0, 1.0], 2))
    common = flip @ random_linear(rng, 1.0) * np.exp(rng.normal(0, 0.10))

    field = Field(
        breast_point(rng, source),
        common @ random_linear(rng, d.warp),
        random_elastic(rng, side, side_mm, d.warp),
        side_mm,
        random_tilt(rng, d.warp),
    )
    layers = random_layers(rng, source) if d.rolled and rng.random() < d.rolled else None
    grid, fields, grids, image, breast = shown_tissue(source, field, layers, current=True)

    layer = None
    if rng.random() < (min(d.layer, ROLLED_LAYER) if layers else d.layer):
        other = others[rng.integers(len(others))]
        layer = (
            other,
            rng.uniform(0.1, 0.5),
            Field(
                breast_point(rng, other),
                random_linear(rng, 3),
                random_elastic(rng, side, side_mm, d.warp),
                side_mm,
            ),
        )
        image = add_layer(image, *layer)
    muscle = muscle_near(rng, field.base) if rng.random() < d.muscle else None
    add_muscle(image, grid, rng, muscle, d)

    inside = cv2.erode(breast, np.ones((9, 9), np.uint8))
    specks = scatter(rng, fields) if rng.random() < d.specks else []
    for at, speck, k in specks:
        add_lesion(image, grids[k], at, speck)
    lesions: list[tuple[np.ndarray, Pasted, np.ndarray]] = []
    far, reach = rng.random() < d.far, 0.375 * side_mm
    for _ in range(templates):
        for _ in range(30):
            if far:
                angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(6, reach)
                q = distance * np.array([np.cos(angle), np.sin(angle)])
            else:
                q = rng.normal(0, 5, 2).clip(-reach, reach)
            column, row = np.round(q / pixel + side / 2 - 0.5).astype(int)
            if inside[row, column] > 0.5:
                break
        k = int(rng.integers(len(fields))) if layers else 0
        pasted = replace(paste(rng, source, fields[k].at(q)[0], d), layer=k)
        if layers and pasted.lesion is None:
            pasted = of_strongest(pasted, layers, fields, field.at(q)[0], q)
        field_of, grid_of = fields[pasted.layer], grids[pasted.layer]
        pasted.add(image, grid_of, current=True)
        lesions.append((q, pasted, pasted.box(field_of, grid_of, q, current=True)))
    if rng.random() < d.distract:
        for _ in range(rng.integers(1, 4)):
            q = rng.uniform(-0.5, 0.5, 2) * side_mm
            size = random_size(rng)
            if min(np.hypot(*(q - lesion[0])) for lesion in lesions) > max(size) / 2 + 6:
                new = lone_speck(rng) if rng.random() < 0.3 else random_lesion(rng, *size)
                add_lesion(image, grid, field.at(q)[0], new)
    if rng.random() < d.edge:
        edge = cut_edges(rng, side, np.array([q / pixel + side / 2 for q, _, _ in lesions]))
        image, breast = image * edge, breast * edge
    clip = None
    if rng.random() < d.clip:
        clip = leave_clip(rng, [pasted for _, pasted, _ in lesions])
    exposed = take(rng, image, breast, d, pixel, clip and clip.shown(field))

    if rng.random() > EARLY_CLIP:
        clip = None
    arrays = [
        make_template(
            rng, source, others, settings, d, common, lesion, layers, fields, layer, muscle, clip,
            specks,
        )
        for lesion in lesions
    ]  # fmt: skip
    stacked = [np.stack(values).astype(np.float32) for values in zip(*arrays, strict=True)]
    search = np.stack([exposed, breast], axis=-1)
    return Scene(search, *stacked, settings.template_input)


def scatter(rng: np.random.Generator, fields: list[Field]) -> list[tuple[np.ndarray, Lesion, int]]:
    """Scatter 2 to 8 single calcifications in a patch: where in source mm, what, in which layer."""
    places = rng.uniform(-0.5, 0.5, (rng.integers(2, 9), 2)) * fields[0].patch_mm
    found = []
    for place in places:
        k = int(rng.integers(len(fields))) if len(fields) > 1 else 0
        found.append((fields[k].at(place)[0], lone_speck(rng), k))
    return found


def centred_on(field: Field, pasted: Pasted, layers: Layers | None = None) -> Field:
    """Move a prior's patch so that the box around what it shows of a lesion is in its middle.

    A warped box is not centred where the source's box is.
    """
    near = np.zeros(2)
    for _ in range(3):
        shown = layers.fields(field, current=False)[pasted.layer] if layers else field
        x0, y0, x1, y1 = shown_box(shown, near, pasted.at, pasted.lesion)
        middle = np.array([x0 + x1, y0 + y1]) / 2
        field = replace(field, base=field.base + field.matrix @ middle)
        near = near - middle
    return field


def decoy(
    rng: np.random.Generator,
    number: int,
    prior: list[Field],
    near: np.ndarray,
    current: list[Field],
    q: np.ndarray,
) -> np.ndarray:
    """Return where one of the other layers is now that lay over a lesion on the prior.

    Parameters
    ----------
    rng
        Chooses the layer.
    number
        Which layer the lesion is in.
    prior, current
        The layers' fields.
    near, q
        (2,) mm of the patches, where the prior and the current show the lesion.

    Returns
    -------
    numpy.ndarray
        (2,) mm of the current's patch; NaN where there is one layer, or it is not found.
    """
    if len(prior) == 1:
        return np.full(2, np.nan)
    k = int(rng.choice([k for k in range(len(prior)) if k != number]))
    place = went(prior[k], current[k], near, q)
    off = current[k].at(place)[0] - prior[k].at(near)[0]
    return place if np.hypot(*off) < 0.1 else np.full(2, np.nan)


def make_template(rng, source, others, settings, d, common, lesion, layers, current_fields, layer,
                  muscle, clip, specks):  # fmt: skip
    """Make the template of one lesion of a scene; returns `Scene`'s arrays without their axis t."""
    q, pasted, found = lesion
    side, side_mm = settings.template_px, settings.template_mm
    pixel, search_pixel = side_mm / side, settings.search_mm / settings.search_px
    absent = rng.random() < d.absent
    if absent:
        source = others[rng.integers(len(others))]
        layers, layer, muscle, clip, specks = None, None, None, None, []
        pasted = paste(rng, source, breast_point(rng, source), d)
    elif layers is None and pasted.lesion is not None and rng.random() < d.depth:
        at = pasted.at + rng.normal(0, DEPTH_MM, 2)
        if sample(source.breast, at[None, None].astype("f4"), source.spacing_mm)[0, 0] > 0.5:
            pasted = replace(pasted, at=at)
    field = Field(
        pasted.at,
        common @ random_linear(rng, d.warp),
        random_elastic(rng, side, side_mm, d.warp),
        side_mm,
        random_tilt(rng, d.warp),
    )
    if layers is not None:
        field = layers.centred(field, pasted.layer, current=False)
    if pasted.lesion is not None:
        field = centred_on(field, pasted, layers)
    grid, fields, grids, image, breast = shown_tissue(source, field, layers, current=False)
    field_of, grid_of = fields[pasted.layer], grids[pasted.layer]
    if layer is not None:
        other, share, at_current = layer
        moved = Field(
            at_current.at(q)[0] + rng.normal(0, 4, 2) * d.warp,
            at_current.matrix @ random_linear(rng, d.warp),
            random_elastic(rng, side, side_mm, d.warp),
            side_mm,
        )
        image = add_layer(image, other, share, moved)
    add_muscle(image, grid, rng, muscle, d)
    for at, speck, k in specks:
        add_lesion(image, grids[k], at, speck)
    pasted.add(image, grid_of, current=False)
    if rng.random() < d.distract / 2:
        point = rng.uniform(-0.5, 0.5, 2) * side_mm
        size = random_size(rng)
        if np.hypot(*point) > (max(size) + max(pasted.width, pasted.height)) / 2 + 3:
            gone = random_lesion(rng, *size)
            add_lesion(image, grid, field.at(point)[0], gone)
    if rng.random() < d.edge:
        edge = cut_edges(rng, side, np.full((1, 2), side / 2))
        image, breast = image * edge, breast * edge
    near = field_of.inverse(pasted.at[None], np.zeros(2))[0]
    x0, y0, x1, y1 = pasted.box(field_of, grid_of, near, current=False) / pixel
    size = np.array([x1 - x0, y1 - y0])
    exposed = take(rng, image, breast, d, pixel, clip and clip.shown(field))
    raw = np.stack([exposed, breast], axis=-1)

    found = found / search_pixel + settings.search_px / 2
    present = float(pasted.there and not absent)
    kind = float(pasted.kind != "tissue" and not absent)
    misled = decoy(rng, pasted.layer, fields, near, current_fields, q)
    misled = misled / search_pixel + settings.search_px / 2
    return raw, size, (found[:2] + found[2:]) / 2, found, present, kind, misled
