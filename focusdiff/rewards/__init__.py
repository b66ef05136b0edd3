"""Rewards of reinforcement learning: judges, functions of one's own, sums of both, all asked while the loop goes on.

``scores`` is what comes back: a number per picture, NaN with a reason where there is none, and how long it took.
``judged`` asks a judge by name, ``functions`` a function by entry point, ``long_prompts`` sends long prompts to another
judge, ``weighted`` sums several up, each in a thread of its own, and ``building`` makes all that from a recipe.
"""
