#!/usr/bin/env bash
# label-studio-sdk turns rectangles in percent of width and height for COCO, and in pixels for YOLO OBB. Unless the image
# is square, the COCO box of a turned rectangle is another box, and does not hold the object.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q label-studio-sdk==2.1.2
cd "$folder"
venv/bin/python - <<'PYTHON'
import json
from importlib.metadata import version
from pathlib import Path

from label_studio_sdk.converter import Converter
from label_studio_sdk.converter.utils import convert_annotation_to_yolo_obb
from PIL import Image

CONFIG = """<View><Image name="image" value="$image"/>
<RectangleLabels name="box" toName="image"><Label value="pit"/></RectangleLabels></View>"""
Image.new("RGB", (200, 100)).save("a.png")
value = {"x": 50, "y": 20, "width": 20, "height": 10, "rotation": 90}
size = {"original_width": 200, "original_height": 100}
result = {"id": "a", "type": "rectanglelabels", "from_name": "box", "to_name": "image", **size}
result["value"] = {**value, "rectanglelabels": ["pit"]}
task = {"id": 1, "data": {"image": str(Path("a.png").resolve())}, "annotations": [{"id": 1, "result": [result]}]}
Path("export.json").write_text(json.dumps([task]))
Converter(CONFIG, project_dir=".").convert_to_coco("export.json", "coco", is_dir=False)
box = json.loads(Path("coco/result.json").read_text())["annotations"][0]["bbox"]
corners = convert_annotation_to_yolo_obb({**value, **size}, normalize=False)
xs, ys = zip(*corners)
true = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
print(f"label-studio-sdk {version('label-studio-sdk')}: a rectangle of 40 x 10 pixels, turned by 90 degrees, image 200 x 100")
print(f"box of its corners in the YOLO OBB export: {[round(v, 6) for v in true]}")
print(f"box in the COCO export:                    {[round(v, 6) for v in box]}")
assert [round(v, 6) for v in true] == [90, 20, 10, 40]
assert [round(v, 6) for v in box] == [80, 20, 20, 20]
PYTHON
