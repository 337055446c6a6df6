"""Lets ``python -m resight`` do what ``resight`` does."""

import sys

from resight.cli import main

if __name__ == "__main__":
    sys.exit(main())
