#!/usr/bin/env bash
# COCOeval takes the object whose annotation has the id 0 for missed, however well it is found, and what found it for a
# false alarm: the match is stored as the id, and 0 means none. label-studio-sdk numbers from 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q numpy==2.2.6 pycocotools==2.0.11 label-studio-sdk==2.1.2
cd "$folder"
venv/bin/python - <<'PYTHON'
import json
from contextlib import redirect_stdout
from importlib.metadata import version
from io import StringIO
from pathlib import Path

from label_studio_sdk.converter import Converter
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIZE = {"original_width": 200, "original_height": 100}
CONFIG = """<View><Image name="image" value="$image"/>
<PolygonLabels name="area" toName="image"><Label value="pit"/></PolygonLabels></View>"""
Image.new("RGB", (200, 100)).save("a.png")
results = []
for left in (10, 40, 70):
    points = [[left, 10], [left + 20, 10], [left + 20, 40], [left, 40]]
    result = {"id": str(left), "type": "polygonlabels", "from_name": "area", "to_name": "image", **SIZE}
    results.append({**result, "value": {"points": points, "polygonlabels": ["pit"]}})
annotations = [{"id": 1, "created_at": "2024-01-01T00:00:00Z", "result": results}]
Path("export.json").write_text(
    json.dumps([{"id": 1, "data": {"image": str(Path("a.png").resolve())}, "annotations": annotations}])
)
Converter(CONFIG, project_dir=".").convert_to_coco("export.json", "coco", is_dir=False)
content = json.loads(Path("coco/result.json").read_text())
ids = [entry["id"] for entry in content["annotations"]]


def scores(first):
    """Average precision and recall of masks that are the labels themselves, the annotations numbered from `first`."""
    entries = [{**entry, "id": number} for number, entry in enumerate(content["annotations"], first)]
    with redirect_stdout(StringIO()):
        truth = COCO()
        truth.dataset = {**content, "annotations": entries}
        truth.createIndex()
        found = [
            {"image_id": e["image_id"], "category_id": e["category_id"], "segmentation": truth.annToRLE(e), "score": 0.9}
            for e in entries
        ]
        run = COCOeval(truth, truth.loadRes(found), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return round(float(run.stats[0]), 3), round(float(run.stats[8]), 3)


print(f"label-studio-sdk {version('label-studio-sdk')}: three polygons; ids of the annotations in its COCO file: {ids}")
print(f"pycocotools {version('pycocotools')}: COCOeval 'segm' of predictions that are the labels themselves")
for first in (0, 1):
    precision, recall = scores(first)
    print(f"annotations numbered from {first}: average precision {precision}, average recall {recall}")
assert ids == [0, 1, 2]
assert scores(0) == (0.442, 0.667) and scores(1) == (1.0, 1.0)
PYTHON
