"""FocusDiff-Data: from image-editing data to verified prompt-image pairs (arXiv 2506.05501, section 3.1, appendix B).

`pairs` is the reading side, which trainers call. `sources` bring before/after images with an instruction, `building`
takes them through the stages, `dataset` writes what is left. docs/data.md tells the whole of it.
"""
