"""Lets ``python -m resight`` do what ``resight`` does."""

from resight.cli import run

if __name__ == "__main__":
    run()
