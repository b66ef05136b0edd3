"""The tokenizer of the small Janus: the words of the shapes world, and single bytes for everything else.

The two halves of Janus' prompt are one token each, so that a prompt takes a dozen tokens. Importing this module loads
no heavy package.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.shapes import vocabulary
from paircomp.shapes.glyphs import GLYPHS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["BEGIN", "END", "IMAGE", "PAD", "build_tokenizer", "write_processor"]

#: Special tokens as the released tokenizers have them.
BEGIN, END, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"  # noqa: RUF001
BEGIN_OF_IMAGE, END_OF_IMAGE, IMAGE = "<begin_of_image>", "<end_of_image>", "<image_placeholder>"
#: What stands before and behind the text of every prompt.
_HALVES = ("<|User|>: ", "\n\n<|Assistant|>:")
_CHAT = (
    "{% for message in messages %}"
    "{{ '<|User|>: ' + message['content'][0]['text'] + '\\n\\n<|Assistant|>:' }}"
    "{% endfor %}"
)
_WORD, _BYTE = -1.0, -10.0  # log-probabilities: a word is always likelier than its letters


def build_tokenizer() -> Tokenizer:
    """The tokenizer, the same for every call.

    Words are one token each, with and without a space before them. Glyphs of signs stay single, so that what is learned
    of ``AT`` holds for ``TA``. Any other text becomes bytes.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    space = "Ġ"  # how the byte-level alphabet writes a space
    words = [word for word in vocabulary() if word not in GLYPHS]
    words += [space + word for word in words]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    scores = [(letter, _BYTE) for letter in alphabet] + [(word, _WORD) for word in words if word not in alphabet]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=None, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = (BEGIN, END, PAD, BEGIN_OF_IMAGE, END_OF_IMAGE, IMAGE)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(half, special=False, normalized=False) for half in _HALVES])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))]
    )
    return tokenizer


def write_processor(folder: Path, *, side: int, image_tokens: int) -> None:
    """Write tokenizer, chat template and processor as transformers' own classes do.

    Args:
        folder: made when absent.
        side: of pictures, in pixels.
        image_tokens: of one picture.
    """
    from transformers import JanusImageProcessorPil, JanusProcessor, PreTrainedTokenizerFast

    make_tokenizer: Any = PreTrainedTokenizerFast
    tokenizer = make_tokenizer(
        tokenizer_object=build_tokenizer(), bos_token=BEGIN, eos_token=END, pad_token=PAD, padding_side="left",
        extra_special_tokens={"boi_token": BEGIN_OF_IMAGE, "eoi_token": END_OF_IMAGE, "image_token": IMAGE},
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    processor = JanusProcessor(
        image_processor=JanusImageProcessorPil(size={"height": side, "width": side}, min_size=side // 4),
        tokenizer=tokenizer, chat_template=_CHAT, use_default_system_prompt=False, num_image_tokens=image_tokens,
    )  # fmt: skip
    processor.save_pretrained(folder)
