#!/usr/bin/env bash
# supervision 0.26.1 compares boxes where MeanAveragePrecision is asked for masks (metric_target=MASKS), in silence, and 0.31.2
# compares masks: two cracks that cross score 1 there, and a straight hairline found to the pixel scores 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 0.26.1 0.31.2; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/python" -m pip install -q numpy==2.2.6 opencv-python==4.12.0.88 "supervision==$version"
  "$folder/$version/bin/python" -W ignore - "$version" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import supervision as sv
from supervision.metrics import F1Score, MeanAveragePrecision, MetricTarget

falling = np.zeros((100, 100), bool)
falling[np.arange(10, 90), np.arange(10, 90)] = falling[np.arange(10, 89), np.arange(11, 90)] = True
rising = np.ascontiguousarray(falling[:, ::-1])
hairline = np.zeros((100, 100), bool)
hairline[50, 10:90] = True


def detections(mask, **more):
    return sv.Detections(xyxy=sv.mask_to_xyxy(mask[None]).astype(float), mask=mask[None], class_id=np.array([0]), **more)


def score(predicted, labelled):
    """Average precision and F1 at an intersection over union of 0.5, of masks."""
    arguments = [detections(predicted, confidence=np.array([0.9]))], [detections(labelled)]
    average = MeanAveragePrecision(metric_target=MetricTarget.MASKS).update(*arguments).compute().map50
    f1 = F1Score(metric_target=MetricTarget.MASKS).update(*arguments).compute().f1_50
    return round(float(average), 3), round(float(np.ravel(f1)[0]), 3)


print(f"supervision {version('supervision')}: mAP at 0.5 and F1 at 0.5, metric_target=MetricTarget.MASKS")
overlap = (falling & rising).sum() / (falling | rising).sum()
crossing, same = score(rising, falling), score(hairline, hairline)
print(f"a crack for one that crosses it (intersection over union {overlap:.3f}): {crossing}")
print(f"a straight crack one pixel wide for itself: {same}")
assert version("supervision") == sys.argv[1]
if sys.argv[1] == "0.26.1":
    assert crossing == (1.0, 0.0) and same == (0.0, 1.0)
else:
    assert crossing == (0.0, 0.0) and same == (1.0, 1.0)
PYTHON
done
