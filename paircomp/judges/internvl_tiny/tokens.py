"""The tokenizer of the small InternVL: the words of the shapes world, and single bytes for everything else.

Sentences that every conversation holds (the system message, the question around the description) are one token each,
so that a question takes about twenty tokens. Importing this module loads no heavy package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paircomp.judges.internvl_prompt import SYSTEM
from paircomp.judges.question_templates import OFFICIAL
from paircomp.judges.yes_no import NO, YES
from paircomp.shapes import vocabulary
from paircomp.shapes.glyphs import GLYPHS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["SPECIAL", "build_tokenizer"]

#: As the released tokenizers have them.
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>")
_ROLES = ("system", "user", "assistant")
_WORD, _BYTE = -1.0, -10.0  # log-probabilities: a word is always likelier than its letters


def build_tokenizer() -> Tokenizer:
    """The tokenizer, the same for every call.

    Words are one token each, with and without a space before them, and so are yes, Yes, YES, no, No and NO. Glyphs of
    signs stay single, so that what is learned of ``AT`` holds for ``TA``. Any other text becomes bytes.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    space = "Ġ"  # how the byte-level alphabet writes a space
    said = [word for word in vocabulary() if word not in GLYPHS]
    words = [*said, *(space + word for word in said), *YES, *NO, *_ROLES]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    scores = [(letter, _BYTE) for letter in alphabet] + [(word, _WORD) for word in words if word not in alphabet]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=None, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    sentences = [SYSTEM, *OFFICIAL.text.split("{prompt}")]
    tokenizer.add_tokens([AddedToken(sentence, special=False, normalized=False) for sentence in sentences])
    return tokenizer
