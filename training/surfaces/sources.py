"""Where the bundled surfaces come from, and what their licences ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One data set of the bundled bank.

    Attributes:
        folder: in the folder of all of them.
        surface: what people call it; the classes of the bank are the surface's name and the set's.
        classes: of the set that are taken, with their names in the bank.
        licence: as it is stated.
        attribution: whom to name, and where it was.
        samples: clean images that the package shows; 0 for none.
        format: of the data.
        group_pattern: see `Groups`.
    """

    folder: str
    surface: str
    classes: dict[str, str]
    licence: str
    attribution: str
    samples: int = 0
    format: str = "folder"
    group_pattern: str | None = None


SOURCES = (
    Source(
        "surfaces/el_cells",
        "solar-cell",
        {
            "crack": "solar cell crack",
            "cross_crack": "solar cell cross crack",
            "dark_area": "solar cell dark area",
        },
        "BSD 3-Clause, Copyright (c) 2020-2021, DuraMAT",
        "Electroluminescence images of solar cells: Chen, Karin, Libby, Deceglie, Hacke, Silverman, Gabor, Jain, "
        "A Benchmark for Crack Segmentation in Electroluminescence Images, 2022, doi 10.21948/1871275; from "
        "hackingmaterials/pv-vision",
        2,
    ),
    Source(
        "surfaces/visa_capsules",
        "capsule",
        {"defect": "capsule defect"},
        "CC BY 4.0",
        "VisA, category capsules: Zou, Jeong, Pemula, Zhang, Dabeer, SPot-the-Difference Self-Supervised Pre-training "
        "for Anomaly Detection and Segmentation, ECCV 2022; from amazon-science/spot-diff",
        2,
    ),
    Source(
        "surfaces/visa_macaroni1",
        "macaroni",
        {"defect": "macaroni defect"},
        "CC BY 4.0",
        "VisA, category macaroni1: Zou, Jeong, Pemula, Zhang, Dabeer, SPot-the-Difference Self-Supervised Pre-training "
        "for Anomaly Detection and Segmentation, ECCV 2022; from amazon-science/spot-diff",
    ),
    Source(
        "surfaces/leather",
        "leather",
        {"cut": "leather cut", "hole": "leather hole", "line": "leather line"},
        "MIT, Copyright (c) 2022 Aashish Ghimire",
        "Leather: A. Ghimire, AashishGh/Leather-Defect-Segmentation, folder Custom Dataset",
        2,
    ),
    Source(
        "surfaces/wall_cracks",
        "wall",
        {"crack": "wall crack"},
        "CC BY 4.0",
        "Cracks in walls: Supervisely, Cracks Synthetic Dataset, 2023, its real images; from "
        "supervisely-ecosystem/cracks-synthetic-dataset",
        2,
    ),
    Source(
        "surfaces/weld_leaks",
        "weld",
        {"leak": "weld leak"},
        "CC BY 4.0",
        "Weld leaks: a Roboflow user, universe.roboflow.com/yolov8-innuy/-oftgs, 2023; from "
        "AbdulazizAnorboev/weld-defect-segmentation",
        2,
    ),
    Source(
        "surfaces/road_potholes",
        "road",
        {"pothole": "road pothole"},
        "MIT, Copyright (c) 2020 Bianka Passos; CC BY 4.0",
        "Potholes: Passos, Cassaniga, Fernandes, Medeiros, Comunello, Cracks and Potholes in Road Images, Mendeley "
        "Data, 2020, doi 10.17632/t576ydh9v8.4",
    ),
    Source(
        "surfaces/fabric_stains",
        "fabric",
        {"stain": "fabric stain"},
        "Apache-2.0",
        "Stains on fabric: samples in SwaggyPinqi12/HSSTalgorithm",
    ),
    Source(
        "bsdata",
        "ball-screw",
        {"pitting": "ball screw pitting"},
        "CC BY-SA 4.0",
        "Ball screws: Schlagenhauf, Landwehr, Industrial machine tool component surface defect dataset, 2021, doi "
        "10.5445/IR/1000129520",
        2,
        "labelme",
        r"(\d{6}_\d{3}(?=_crop)|^KGT\d-[SV])",
    ),
)
