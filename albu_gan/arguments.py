"""Checks of `GANDefectInpaint`'s arguments: each returns the plain value or says what was expected."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

MASK_SOURCES = ("bank", "procedural", "both")
MASKS_AS = ("index", "classes", "instances")


def flag(name: str, value: Any) -> bool:
    """Return a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def integer(name: str, value: Any) -> int:
    """Return an integer."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer or None, got {value!r}")
    return int(value)


def number(name: str, value: Any, low: float, high: float) -> float:
    """Return a number within [low, high]."""
    if not isinstance(value, Real) or isinstance(value, bool) or not _within(value, low, high):
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def _within(value: Any, low: float, high: float) -> bool:
    """Whether a number lies in a range, as a float; an integer may be larger than any float."""
    try:
        return low <= float(value) <= high
    except OverflowError:
        return False


def number_range(name: str, value: Any, low: float, high: float) -> tuple[float, float]:
    """Return an ascending pair of finite numbers within [low, high]."""
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or len(value) != 2
        or not all(isinstance(v, Real) and not isinstance(v, bool) for v in value)
        or not low <= value[0] <= value[1] <= high
    ):
        raise ValueError(f"{name} must be (low, high) with {low:g} <= low <= high <= {high:g}, got {value!r}")
    return float(value[0]) + 0.0, float(value[1]) + 0.0  # no -0.0: numpy takes (0.0, -0.0) for descending


def mask_source(value: Any) -> str:
    """Return one of `MASK_SOURCES`."""
    if value not in MASK_SOURCES:
        raise ValueError(f"mask_source must be 'bank', 'procedural' or 'both', got {value!r}")
    return str(value)


def count_range(name: str, value: Any, high: int) -> tuple[int, int]:
    """Return an ascending pair of integers within [0, high]."""
    number_range(name, value, 0, high)
    if not all(isinstance(v, Integral) for v in value):
        raise ValueError(f"{name} must hold integers, got {value!r}")
    return int(value[0]), int(value[1])


def class_list(value: Any, known: Sequence[str]) -> list[str]:
    """Return the classes to paint, all of `known` for None."""
    if value is None:
        return list(known)
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError(f"classes must be a list of names or None, got {value!r}; known classes: {list(known)}")
    require_known("classes", value, known)
    return list(dict.fromkeys(value))


def require_known(name: str, classes: Any, known: Sequence[str]) -> None:
    """Raise if a name is not among the weights' classes."""
    unknown = [c for c in classes if c not in known]
    if unknown:
        raise ValueError(f"{name} names unknown class {unknown[0]!r}; these weights paint {list(known)}")


def class_weights(value: Any, classes: Sequence[str], known: Sequence[str], counts: Sequence[int]) -> list[float]:
    """Return the probability of each of `classes` from "balanced", "dataset" or {name: weight}.

    Args:
        value: the argument `class_sampling`.
        classes: to paint.
        known: of the weights.
        counts: shapes in the bank for each of `known`.
    """
    if value == "balanced":
        weights = [1.0 if counts[known.index(c)] else 0.0 for c in classes]
    elif value == "dataset":
        weights = [float(counts[known.index(c)]) for c in classes]
    else:
        weights = [float(value.get(c, 0.0)) if counts[known.index(c)] else 0.0 for c in classes]
    if not any(weights):
        raise ValueError(
            f"class_sampling={value!r} leaves nothing to draw among {list(classes)}; the mask bank holds "
            f"{dict(zip(known, counts, strict=True))} shapes"
        )
    shares = [weight / max(weights) for weight in weights]  # first, or the sum of great weights is infinite
    return [share / sum(shares) for share in shares]


def check_class_sampling(value: Any, classes: Sequence[str], known: Sequence[str]) -> str | dict[str, float]:
    """Return "balanced", "dataset" or {name: weight}, which must have a positive weight for a painted class."""
    if isinstance(value, str) and value in ("balanced", "dataset"):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"class_sampling must be 'balanced', 'dataset' or {{class: weight}}, got {value!r}")
    require_known("class_sampling", value, known)
    if not all(isinstance(w, Real) and _within(w, 0, sys.float_info.max) for w in value.values()):
        raise ValueError(f"class_sampling's weights must be finite and not negative, got {dict(value)!r}")
    if not any(value.get(c, 0) > 0 for c in classes):
        raise ValueError(f"class_sampling gives none of the painted classes {list(classes)} a positive weight")
    return {name: float(weight) for name, weight in value.items()}


def class_integers(
    name: str,
    value: Any,
    classes: Sequence[str],
    known: Sequence[str],
    low: int = 0,
    *,
    one_for_all: bool = False,
    beside: Sequence[str] = (),
) -> dict[str, int] | None:
    """Return {class: integer >= low} that covers every painted class, or None.

    Args:
        name: of the argument.
        value: that was given.
        classes: that are painted.
        known: of the weights.
        low: least integer.
        one_for_all: whether one integer may stand for that of every painted class.
        beside: names that may be given though they are no classes.
    """
    if value is None:
        return None
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low and one_for_all:
        return dict.fromkeys(classes, int(value))
    if not isinstance(value, Mapping) or not all(
        isinstance(v, Integral) and not isinstance(v, bool) and int(v) >= low for v in value.values()
    ):
        wanted = f"{{class: integer >= {low}}}" + (", or one integer for all classes" if one_for_all else "")
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    require_known(name, [key for key in value if key not in beside], known)
    require_covered(name, value, classes)
    return {key: int(v) for key, v in value.items()}


def box_labels(value: Any, classes: Sequence[str], known: Sequence[str]) -> dict[str, Any] | None:
    """Return {class: label or {field: label}} that covers every painted class, or None."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"bbox_labels must be {{class: label}}, got {value!r}")
    require_known("bbox_labels", value, known)
    require_covered("bbox_labels", value, classes)
    return dict(value)


def keys(name: str, value: Any) -> list[str]:
    """Return the names of some targets."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) and v for v in value):
        raise ValueError(f"{name} must be a list of names of targets, got {value!r}")
    return list(value)


def masks_as(value: Any) -> str | None:
    """Return "index", "classes", "instances" or None."""
    if value not in (None, *MASKS_AS):
        raise ValueError(f"masks_as must be None or one of {', '.join(map(repr, MASKS_AS))}, got {value!r}")
    return None if value is None else str(value)


def key(name: str, value: Any) -> str | None:
    """Return the name of a target, or None."""
    if value is not None and (not isinstance(value, str) or not value):
        raise ValueError(f"{name} must be the name of a target or None, got {value!r}")
    return value


def require_centres(max_shift: float, has_centres: bool, weights: str) -> None:
    """Raise if defects are to lie near where their shapes were seen, and the weights do not say where that was."""
    if max_shift < 1 and not has_centres:
        raise ValueError(
            f"max_shift={max_shift:g} needs weights that say where each shape was seen; {weights} does not. Leave "
            "max_shift at 1, or export the weights again: python -m training.gan ... --resume"
        )


def require_not_ignored(ignore_value: int | None, labels: Mapping[str, int]) -> None:
    """Raise if the value that labels a class is the one to be ignored."""
    for name, value in labels.items():
        if value == ignore_value:
            raise ValueError(f"ignore_value={ignore_value} is also what labels {name!r}; give mask_values that differ")


def require_covered(name: str, value: Mapping[str, Any], classes: Sequence[str]) -> None:
    """Raise if a painted class has no entry."""
    missing = [c for c in classes if c not in value]
    if missing:
        raise ValueError(f"{name} has no entry for {missing}; add it, or leave the class out with classes=[...]")
