"""Tests of the checks of the exercises."""

from course.exercises import verdict


def refused(key, answer, says):
    """Assert that the check refuses this answer, and says so."""
    right, message = verdict(key, answer)
    assert not right and says in message, message
