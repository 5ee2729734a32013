"""The trivial prediction's losses, beside the definition written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from driftloop.statistics.naive import NaiveLosses

NAN = math.nan


def by_hand(loss: str, labels: list[float], classes: int) -> list[float]:
    """Label by label, as the class says it."""
    out, last, seen, stayed = [], NAN, 0, 0
    for y in labels:
        if math.isnan(y):
            out.append(NAN)
            continue
        if math.isnan(last):
            out.append(NAN)
        elif loss == "log_loss":
            stays = (stayed + 1) / (seen + classes)
            out.append(-math.log(stays if y == last else (1 - stays) / (classes - 1)))
            seen += 1
            stayed += y == last
        else:
            of = {"absolute": abs(y - last), "squared": (y - last) ** 2, "zero_one": y != last}
            out.append(float(of[loss]))
        last = y
    return out


@pytest.mark.parametrize("loss", ["absolute", "squared", "zero_one", "log_loss"])
@pytest.mark.parametrize("classes", [2, 3])
def test_losses_are_those_of_the_last_label_and_cuts_at_blocks_do_not_matter(
    loss: str, classes: int
) -> None:
    rng = np.random.default_rng(5)
    y = rng.integers(0, classes, 100).astype(np.float64)
    y[rng.random(100) < 0.2] = NAN
    whole = NaiveLosses(loss, classes).advance(y, 10)
    assert whole == pytest.approx(by_hand(loss, y.tolist(), classes), nan_ok=True)
    cut = NaiveLosses(loss, classes)
    parts = [cut.advance(y[a:b], 10) for a, b in ((0, 10), (10, 40), (40, 40), (40, 100))]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_without_labels_there_is_nothing_to_compare_with() -> None:
    naive = NaiveLosses("squared")
    assert np.isnan(naive.advance(np.full(3, NAN), 64)).all()
    assert naive.advance(np.array([1.0]), 64).tolist() == pytest.approx([NAN], nan_ok=True)
    assert naive.advance(np.array([NAN, 3.0]), 64).tolist() == pytest.approx(
        [NAN, 4.0], nan_ok=True
    )
