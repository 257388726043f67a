"""albu-gan as a Hugging Face Space; the Space sets address and port in the environment."""

import os

from albu_gan import bundled_names
from albu_gan.app.interface import Limits, build, launch_options

LIMITS = Limits(megapixels=16, megabytes=32)
WEIGHTS = os.environ.get("ALBU_GAN_WEIGHTS", "").split() or sorted(bundled_names(), reverse=True)

demo = build(WEIGHTS, LIMITS)

if __name__ == "__main__":
    demo.launch(**launch_options(LIMITS))
