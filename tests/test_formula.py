from __future__ import annotations

import numpy as np
import pytest
from test_appearance import defect, disc, surface

from albu_gan.defects.appearance import cut_appearance
from albu_gan.defects.formula import Evidence, choose, choose_formulas, evidence, reject, slope

E = 8 / 255


def donors(kind: str, count: int = 12, seed: int = 0) -> list[Evidence]:
    """Defects that follow one formula exactly, but for a little noise, on surfaces of 0.3 to 0.8."""
    rng = np.random.default_rng(seed)
    found = []
    for under in np.linspace(0.3, 0.8, count):
        noise = rng.normal(0, 0.005)
        level = {"ratio": (under + E) * 0.6 - E, "difference": under - 0.25, "pixels": 0.2}[kind] + noise
        levels = np.array([[level], [under]], np.float32)
        found.append(Evidence(levels, np.full((2, 1), under, np.float32), np.array([1, 0], np.float32)))
    return found


@pytest.mark.parametrize("kind", ["ratio", "difference", "pixels"])
def test_the_formula_that_made_the_donors_is_found(kind: str) -> None:
    (chosen,) = choose_formulas(donors(kind), [0] * 12, list(range(12)), 1)
    assert getattr(chosen, kind) >= 0.7


def test_slopes() -> None:
    groups = list(range(12))
    assert slope(donors("ratio"), groups, logarithmic=True) == pytest.approx(1, abs=0.05)
    assert slope(donors("difference"), groups, logarithmic=False) == pytest.approx(1, abs=0.05)
    assert slope(donors("pixels"), groups, logarithmic=False) == pytest.approx(0, abs=0.05)


def test_few_donors_stay_nearer_to_the_bank() -> None:
    bank = choose(donors("ratio"), [0] * 12, list(range(12)), prior := choose_prior())
    few = choose(donors("pixels", 2), [0, 0], [0, 1], bank)
    many = choose(donors("pixels", 30), [0] * 30, list(range(30)), bank)
    assert prior.ratio < bank.ratio
    assert few.pixels <= many.pixels


def choose_prior():
    from albu_gan.defects.formula import PRIOR

    return PRIOR


def test_a_class_without_donors_takes_the_banks_and_one_donor_the_prior() -> None:
    both = choose_formulas(donors("ratio"), [0] * 12, list(range(12)), 2)
    assert both[1].ratio > 0.5
    assert choose(donors("ratio", 1), [0], [0], choose_prior()) == choose_prior()


def test_photographs_of_one_part_are_not_compared() -> None:
    assert choose(donors("pixels"), [0] * 12, [7] * 11 + [8], choose_prior()) is not None
    same = choose(donors("pixels", 2), [0, 1], [0, 1], choose_prior())
    assert same == choose_prior()


def test_evidence_is_read_where_the_defect_is() -> None:
    image, mask = defect(3, 0.5, grain=1)
    found = evidence(cut_appearance(image, mask))
    assert found.share[0] > 0.9
    assert found.surface[0] * 255 == pytest.approx(np.full(3, 120), abs=8)
    assert found.level[0] * 255 == pytest.approx(np.full(3, 60), abs=8)


def test_donors_that_cannot_be_used_are_named() -> None:
    image, mask = defect(None, 0.5)
    assert reject(cut_appearance(image, mask), mask) is None
    flat = surface(None, grain=6)
    assert "faint" in (reject(cut_appearance(flat, mask), mask) or "")
    large = np.ones((96, 96), bool)
    large[0] = False
    assert "larger" in (reject(cut_appearance(image, large), large) or "")
    neighbour = disc(radius=22) & ~mask
    assert "neighbour" in (reject(cut_appearance(image, mask), mask, mask | neighbour) or "")
