"""The frozen test kit: the oracle of every suite. It never asks the learner's own code what is right."""

from curriculum.testing.calculus import gradcheck

__all__ = ["gradcheck"]
