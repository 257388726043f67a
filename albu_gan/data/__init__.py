"""Labelled defect images as annotation tools leave them on the disk: one record, one file a format."""

from albu_gan.data.coco import (
    CocoDataset,
)
from albu_gan.data.cvat import (
    CvatDataset,
)
from albu_gan.data.describe import (
    describe,
)
from albu_gan.data.errors import (
    DataError,
)
from albu_gan.data.filling import (
    MARGIN,
    fill_defects,
)
from albu_gan.data.folder import (
    FolderDataset,
)
from albu_gan.data.formats import (
    FORMATS,
    add_data_arguments,
    dataset_from_arguments,
    open_dataset,
)
from albu_gan.data.image_files import (
    MAX_MEGAPIXELS,
    check_header,
    read_image,
)
from albu_gan.data.label_studio import (
    LabelStudioDataset,
)
from albu_gan.data.labelme import (
    LabelmeDataset,
)
from albu_gan.data.magnetic_tile import (
    MagneticTileDataset,
)
from albu_gan.data.mvtec import (
    MvtecDataset,
)
from albu_gan.data.record import (
    DefectDataset,
    Record,
)
from albu_gan.data.severstal import (
    SeverstalDataset,
)
from albu_gan.data.split_side import SIDES, read_side, read_sides
from albu_gan.data.voc import (
    VocDataset,
)
from albu_gan.data.yolo import (
    YoloDataset,
)

__all__ = [
    "CocoDataset",
    "CvatDataset",
    "DataError",
    "DefectDataset",
    "FORMATS",
    "FolderDataset",
    "LabelStudioDataset",
    "LabelmeDataset",
    "MARGIN",
    "MAX_MEGAPIXELS",
    "MagneticTileDataset",
    "MvtecDataset",
    "Record",
    "SIDES",
    "SeverstalDataset",
    "VocDataset",
    "YoloDataset",
    "add_data_arguments",
    "check_header",
    "dataset_from_arguments",
    "describe",
    "fill_defects",
    "open_dataset",
    "read_image",
    "read_side",
    "read_sides",
]
