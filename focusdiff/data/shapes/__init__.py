"""The embedded world as a source of edits: instructions, spoilt edits, screening and captions without a model.

Its truth is known, so the whole pipeline can be measured on it (docs/data.md).
"""
