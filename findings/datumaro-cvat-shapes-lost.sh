#!/usr/bin/env bash
# datumaro reads CVAT's XML without its ellipses, and makes no masks of its turned boxes: both in silence. An image whose
# only defects are such shapes comes out clean.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q datumaro==1.13.12
cd "$folder"
mkdir -p data/images
venv/bin/python - <<'PYTHON'
from importlib.metadata import version
from pathlib import Path

import datumaro as dm
from PIL import Image

SHAPES = {
    "ellipse": '<ellipse label="pit" occluded="0" cx="20" cy="20" rx="8" ry="5" z_order="0"></ellipse>',
    "turned box": '<box label="pit" occluded="0" xtl="35" ytl="10" xbr="55" ybr="16" rotation="30" z_order="0"></box>',
    "box": '<box label="pit" occluded="0" xtl="2" ytl="2" xbr="6" ybr="6" z_order="0"></box>',
}
images = ""
for number, (name, shape) in enumerate(SHAPES.items()):
    Image.new("RGB", (60, 40)).save(f"data/images/{name}.png")
    images += f'<image id="{number}" name="{name}.png" width="60" height="40">{shape}</image>'
label = "<label><name>pit</name><attributes></attributes></label>"
Path("data/annotations.xml").write_text(
    f"<annotations><version>1.1</version><meta><task><labels>{label}</labels></task></meta>{images}</annotations>"
)
dataset = dm.Dataset.import_from("data", "cvat")
read = {item.id: [annotation.type.name for annotation in item.annotations] for item in dataset}
dataset.transform("polygons_to_masks")
dataset.transform("boxes_to_masks")
masks = {item.id: [int(a.image.sum()) for a in item.annotations if a.type.name == "mask"] for item in dataset}
print(f"datumaro {version('datumaro')}: three images of CVAT's XML 1.1 with one shape each")
for name in SHAPES:
    print(f"{name}: read as {read[name]}; after polygons_to_masks and boxes_to_masks, pixels of its masks: {masks[name]}")
assert read == {"ellipse": [], "turned box": ["rotated_bbox"], "box": ["bbox"]}
assert masks == {"ellipse": [], "turned box": [], "box": [16]}
PYTHON
