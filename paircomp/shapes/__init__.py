"""The embedded world ``shapes``: 32x32 pictures of coloured shapes and signs whose truth is known.

``scene`` says what a picture shows, ``grammar`` turns scenes into prompts and back, ``edits`` and ``sampling`` make
pairs: this module offers them and loads no numpy. ``renderer`` draws, ``perception`` looks at pixels.
"""

from __future__ import annotations

from paircomp.shapes.dice import Dice
from paircomp.shapes.edits import edits
from paircomp.shapes.grammar import OutsideGrammarError, Wording, parse_prompt, vocabulary, write_prompt
from paircomp.shapes.sampling import sample_pair, sample_scene, scenes
from paircomp.shapes.scene import Background, Group, Groups, Relation, Scene, Sign, Thing, canonical

__all__ = [
    "Background",
    "Dice",
    "Group",
    "Groups",
    "OutsideGrammarError",
    "Relation",
    "Scene",
    "Sign",
    "Thing",
    "Wording",
    "canonical",
    "edits",
    "parse_prompt",
    "sample_pair",
    "sample_scene",
    "scenes",
    "vocabulary",
    "write_prompt",
]
