#!/usr/bin/env bash
# label-studio-sdk lists an image in COCO once for every annotation of its task. Where two people labelled each image, a
# split by image puts the same photograph into training and test, and neither entry has the other's defects.
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
from PIL import Image

CONFIG = """<View><Image name="image" value="$image"/>
<PolygonLabels name="area" toName="image"><Label value="pit"/></PolygonLabels></View>"""
Image.new("RGB", (200, 100)).save("a.png")


def annotation(number, left):
    points = [[left, 10], [left + 20, 10], [left + 20, 40]]
    result = {"id": "a", "type": "polygonlabels", "from_name": "area", "to_name": "image"}
    result |= {"original_width": 200, "original_height": 100, "value": {"points": points, "polygonlabels": ["pit"]}}
    return {"id": number, "created_at": f"2024-01-0{number}T00:00:00Z", "result": [result]}


task = {"id": 7, "data": {"image": str(Path("a.png").resolve())}, "annotations": [annotation(1, 10), annotation(2, 60)]}
Path("export.json").write_text(json.dumps([task]))
Converter(CONFIG, project_dir=".").convert_to_coco("export.json", "coco", is_dir=False)
content = json.loads(Path("coco/result.json").read_text())
names = [image["file_name"] for image in content["images"]]
owners = [entry["image_id"] for entry in content["annotations"]]
print(f"label-studio-sdk {version('label-studio-sdk')}: one task, one image, two annotations of one polygon each")
print(f"COCO has {len(names)} images, of {len(set(names))} file; the polygons belong to the images {owners}")
assert len(names) == 2 and len(set(names)) == 1 and owners == [0, 1]
PYTHON
