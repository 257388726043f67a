"""`albu-gan bank`: from annotated images to a weights folder of real defects."""

from albu_gan.bank.command import add_bank
from albu_gan.bank.make import PICTURE, BankReport, make_bank

__all__ = [
    "BankReport",
    "PICTURE",
    "add_bank",
    "make_bank",
]
