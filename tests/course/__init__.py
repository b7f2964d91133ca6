"""Tests of the notebooks, the claims, the assignments and the website."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SPINE = sorted((ROOT / "notebooks").glob("*.ipynb"))
TOPICS = sorted((ROOT / "notebooks/topics").glob("*.ipynb"))
NOTEBOOKS = SPINE + TOPICS
