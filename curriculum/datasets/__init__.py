"""Data to learn from: MNIST, CIFAR-10, tiny Shakespeare, digits that ship with the course, toy sets.

`store` knows where files are and how to get them; `images`, `text` and `toy` turn them into arrays.
"""
