"""Who is told of a training run: sample grids, evaluations by the harness, a live panel, trackers.

Each observer is a small module that keeps the `focusdiff.training_protocols.Observer` protocol; none changes the run.
"""
