"""The energy simulator: training as a mass that rolls, with friction, over the error of a network."""
