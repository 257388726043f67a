"""What a person should see first: images of a data set, their masks outlined as they were read."""

from albu_gan.look.command import add_look
from albu_gan.look.sheet import look_sheet

__all__ = ["add_look", "look_sheet"]
