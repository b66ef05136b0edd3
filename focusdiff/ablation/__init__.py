"""``focusdiff ablate``: the paper's ablation from scratch, one (arm, seed) at a time.

``arms`` says what is trained, ``training`` trains one, ``measuring`` draws and judges what came out, ``results`` keeps
it as a small file, ``worker`` does these for one (arm, seed) in a process of its own, ``scheduling`` runs several, and
``comparing``, ``table`` and ``curves`` read whatever results there are.
"""
