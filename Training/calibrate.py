"""Fit the probability that a lesion was found, on lesions that are there, vanished or foreign.

``python -m Training.calibrate MANIFEST.csv [MANIFEST.csv ...] [--weights DIR]``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table
from scipy.optimize import minimize
from scipy.special import expit

from MammoTrackerLib import LesionTracker, MammoTrackerError
from MammoTrackerLib.command.readers.reviewed import NOT_THERE
from MammoTrackerLib.command.tables.cells import is_present
from MammoTrackerLib.confidence import EVIDENCE, evidence, probability
from MammoTrackerLib.global_search import align
from MammoTrackerLib.memory import keep_freed_memory
from MammoTrackerLib.metrics import center_distance
from MammoTrackerLib.networks.card import WEIGHTS, read_card, write_card

from .manifest import box_of, is_rejected, pairs_of, read_exam, read_manifest
from .methods import wrong_currents
from .trust import RIGHT_MM

RIDGE = 1.0
MAX_FALSE_FOUND, MAX_LOST, MAX_ABSENT_FOUND, MAX_WENT_FOUND = 0.03, 0.05, 0.02, 0.12
"""What is aimed at on the validation data. Of the masses that went there, a third look like
ordinary density on the prior, also by eye."""
MIN_FOUND, WORTH_A_LOOK = 0.8, 0.3
"""Below the first, an answer is never called found; from the second on, never not found."""


def collect(
    manifest: Path, tracker: LesionTracker, wrong_pairs: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Track every row of a manifest that has a true box, or whose lesion is not there.

    So are rows in which a reader rejected the answer, which was wrong: without them, what is left
    would look better than it is. Pairs that cannot be tracked are left out, which is said. With
    `wrong_pairs` every prior gets the current of another patient, where no lesion is.

    Returns
    -------
    values : numpy.ndarray
        (n, 7), each row's evidence.
    right : numpy.ndarray
        (n,) bool: the lesion is there, and the answer is at most 3 mm off.
    there : numpy.ndarray
        (n,) bool: the lesion is there, as far as is known.
    went : numpy.ndarray
        (n,) bool: it is not, but others of its pair are, or a reader looked for it.
    """
    values, right, there, went = [], [], [], []
    pairs = pairs_of(read_manifest(manifest, not wrong_pairs, with_rejected=True))
    both = list(zip(pairs, wrong_currents(pairs) if wrong_pairs else pairs, strict=True))
    for rows, other in progress(both, "Tracking", console=Console(stderr=True)):
        try:
            prior = read_exam(manifest.parent, rows[0], "prior")
            current = read_exam(manifest.parent, other[0], "current")
            alignment = align(prior, current)
            boxes = [box_of(row, "prior") for row in rows]
            tracks = tracker.track(prior, current, boxes, alignment, force=True)
        except MammoTrackerError as error:
            print(f"Pair {rows[0]['pair_id']} is left out: {error}", file=sys.stderr)
            continue
        # A reader who says that a lesion is not there says it of the right pair.
        is_pair = not wrong_pairs and any(
            is_present(row) or row.get("decision") == NOT_THERE for row in rows
        )
        for row, track in zip(rows, tracks, strict=True):
            if not track.candidates:
                continue
            is_there = not wrong_pairs and is_present(row)
            off = np.inf
            if is_there and not is_rejected(row):
                off = center_distance(track.box, box_of(row, "current"), current.spacing)
            values.append(evidence(track.candidates, track.registration_box, alignment))
            right.append(off <= RIGHT_MM)
            there.append(is_there)
            went.append(is_pair and not is_there)
    flags = (np.array(flag, bool) for flag in (right, there, went))
    return np.reshape(values, (-1, len(EVIDENCE))), *flags


def weights_of(there: np.ndarray, went: np.ndarray, share: float | None) -> np.ndarray:
    """Weigh (n,) answers so that lesions that went are this share of those on true pairs.

    Made pairs have more of them than life, lest they be too few to learn from. None leaves them as
    many as they are.
    """
    if share is None or not went.any():
        return np.ones(len(went))
    return np.where(went, share / (1 - share) * there.sum() / went.sum(), 1.0)


def fit(values: np.ndarray, right: np.ndarray, went: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fit how likely a place is right, and that the lesion is there, on (n,) answers.

    Returns
    -------
    numpy.ndarray
        (2, 7), as `confidence.probability` takes it. The first is fitted on all but the lesions
        that went, the second on them and right answers; (1, 7) where none went.
    """
    parts = [~went, right | went] if went.any() else [~went]
    return np.stack([regression(values[part], right[part], weights[part]) for part in parts])


def regression(values: np.ndarray, true: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fit a weighted logistic regression with a small ridge on all but the bias; returns (7,)."""
    scale = np.concatenate([[1.0], np.maximum(values[:, 1:].std(axis=0), 1e-6)])
    scaled, sign = values / scale, np.where(true, 1.0, -1.0)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (scaled @ w)
        penalty = RIDGE * np.concatenate([[0.0], w[1:]])
        slope = -(weights * sign * expit(-margin)) @ scaled
        return weights @ np.logaddexp(0, -margin) + penalty @ w / 2, slope + penalty

    return minimize(loss, np.zeros(len(EVIDENCE)), jac=True).x / scale


def thresholds(
    chance: np.ndarray,
    right: np.ndarray,
    there: np.ndarray,
    went: np.ndarray,
    weights: np.ndarray,
) -> tuple[float, float]:
    """Choose from which probability on a lesion is called found, and below which not found.

    Found: the lowest, from 0.8 on, at which at most 3 % of the tracks called found are wrong, and
    at most 2 % of the lesions on pairs that are none and 12 % of those that went are called found.
    Not found: the highest, up to 0.3, at which at most 5 % of the lesions that are there get lost.

    Raises
    ------
    MammoTrackerError
        If no lesion is there.
    """
    if not there.any():
        raise MammoTrackerError("The manifests have no lesion that is there: none can be found.")
    order = np.argsort(-chance)
    wrong = np.cumsum((~right * weights)[order]) / np.cumsum(weights[order])
    absent, gone = (
        np.cumsum(which[order]) / max(1, which.sum()) for which in (~there & ~went, went)
    )
    good = np.flatnonzero(
        (wrong <= MAX_FALSE_FOUND) & (absent <= MAX_ABSENT_FOUND) & (gone <= MAX_WENT_FOUND)
    )
    found = chance[order][good[-1]] if good.size else 1.0
    lost = np.quantile(chance[there], MAX_LOST, method="lower")
    found, lost = max(found, MIN_FOUND), min(lost, found, WORTH_A_LOOK)
    return float(np.ceil(found * 100) / 100), float(np.floor(lost * 100) / 100)


def print_reliability(chance: np.ndarray, right: np.ndarray) -> None:
    """Print how often the answer was right where the probability was in each range."""
    table = Table(title="Reliability", header_style="bold")
    for name in ("probability", "lesions", "mean", "right"):
        table.add_column(name, justify="right")
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.01)):
        chosen = (chance >= low) & (chance < high)
        if chosen.any():
            table.add_row(
                f"{low:g} to {min(high, 1):g}", str(chosen.sum()),
                f"{chance[chosen].mean():.2f}", f"{right[chosen].mean():.2f}",
            )  # fmt: skip
    Console().print(table)


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError("give a share between 0 and 1, such as 0.1")
    return share


def main(argv: Sequence[str] | None = None) -> int:
    """Fit, print, and write the calibration into the folder's ``weights.json``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifests", metavar="MANIFEST.csv", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="else those that ship")
    parser.add_argument("--went", type=_share, metavar="SHARE", help="of the lesions on true "
                        "pairs, how many are to be reckoned to be gone; else as many as are in the "
                        "manifests")  # fmt: skip
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    try:
        tracker = LesionTracker(weights=arguments.weights)
        if not tracker.load().has_similarity:
            raise MammoTrackerError(
                f"The weights in {arguments.weights} have no similarity network, which the "
                "probability rests on: release them with one, or use them without a probability."
            )
        parts = [collect(manifest, tracker) for manifest in arguments.manifests]
        if not any(len(right) for _, right, _, _ in parts):
            raise MammoTrackerError("Nothing was looked for in the manifests: check their boxes.")
        if all(
            (there | went).all() for _, _, there, went in parts
        ):  # else many pairs that are none would be called found
            print("There is no pair of two women: each prior gets another woman's current, too.")
            parts += [collect(manifest, tracker, True) for manifest in arguments.manifests]
        values, right, there, went = (np.concatenate(part) for part in zip(*parts, strict=True))
        weights = weights_of(there, went, arguments.went)
        coefficients = fit(values, right, went, weights)
        chance = probability(values, coefficients)
        found, uncertain = thresholds(chance, right, there, went, weights)
    except MammoTrackerError as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 2
    print_reliability(chance, right)
    for name, *numbers in zip(EVIDENCE, *coefficients, strict=True):
        print(f"{name}:", *(f"{value:.4f}" for value in numbers))
    print(
        f"{len(right)} lesions, {there.sum()} there. Found from {found:.2f} on: "
        f"{(chance >= found).sum()}, of them wrong {(~right[chance >= found]).sum()}. Not found "
        f"below {uncertain:.2f}: {(chance < uncertain).sum()}, of them there "
        f"{there[chance < uncertain].sum()}."
    )
    card = read_card(arguments.weights)
    card["calibration"] = {
        "coefficients": coefficients.round(5).tolist(),
        "found_score": found,
        "uncertain_score": uncertain,
    }
    write_card(arguments.weights, card)
    return 0


if __name__ == "__main__":
    sys.exit(main())
