"""A program that draws for PairComp: one JSON line per image on its input, one on its output.

    paircomp eval --adapter command -o program="python own_program.py" --model my-model --suite shapes --limit 12

It runs in the environment of your model and needs nothing of PairComp's.
"""

import json
import random
import sys

from PIL import Image

answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is kept in the log and disturbs no answer


def draw(prompt: str, seed: int) -> Image.Image:
    """Your model goes here. This one draws nothing but noise."""
    dice = random.Random(f"{prompt}/{seed}")  # depend on prompt and seed alone, and any image can be drawn again
    return Image.frombytes("RGB", (64, 64), dice.randbytes(64 * 64 * 3))


print("loading weights")  # once; a few minutes are fine
for line in sys.stdin:
    request = json.loads(line)  # {"key": [12, 0, 1], "prompt": "...", "seed": 8312094, "path": "/tmp/.../12_0_1.png"}
    draw(request["prompt"], request["seed"]).save(request["path"])
    answer = {"key": request["key"], "path": request["path"]}
    print(json.dumps(answer), file=answers, flush=True)
