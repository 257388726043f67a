"""`python -m albu_gan`, for launchers that start modules: `accelerate launch -m albu_gan generate ...`."""

import sys

from albu_gan.cli import main

if __name__ == "__main__":
    sys.exit(main())
