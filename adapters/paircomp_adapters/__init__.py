"""Image generators, one file per model family."""
