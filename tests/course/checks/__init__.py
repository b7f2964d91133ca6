"""Tests of the checks of the exercises."""
