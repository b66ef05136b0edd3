"""FocusDiff: the training side, a producer of models that PairComp evaluates (arXiv 2506.05501)."""
