"""The questions that judges ask, word for word. A changed character is another template, under another name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["EDIT", "OFFICIAL", "OFFICIAL_REWARD", "PAPER", "PLAIN", "QuestionTemplate"]

IMAGE = "{image}"


@dataclass(frozen=True)
class QuestionTemplate:
    """A question with a place for what is asked about.

    Attributes:
        name: goes into the judge's identity.
        text: holds ``{prompt}`` once.
        look: how the images stand before the question, each as ``{image}``; ``None`` is one image, written as the
            model's family does.
    """

    name: str
    text: str
    look: str | None = None

    def ask(self, prompt: str) -> str:
        """The question about `prompt`, whose own braces are left alone."""
        return self.text.replace("{prompt}", prompt)

    @property
    def images(self) -> int:
        """How many images a question is about."""
        return 1 if self.look is None else self.look.count(IMAGE)

    def around_images(self, usual: str) -> tuple[str, ...]:
        """The text before each image, and last the text between them and the question.

        Args:
            usual: how the model's family writes one image, as ``{image}`` and what follows it.
        """
        return tuple((self.look or usual).split(IMAGE))

    def content(self, prompt: str, images: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The parts of a message to a chat model.

        Args:
            prompt: what is asked about.
            images: the part that stands for each image.
        """
        *before, between = self.around_images(IMAGE)
        parts = [part for text, image in zip(before, images, strict=True) for part in (_said(text), image)]
        return [dict(part) for part in (*parts, _said(between + self.ask(prompt))) if part.get("text") != ""]

    def to_json(self) -> dict[str, str]:
        """For a judge's identity."""
        return {"name": self.name, "text": self.text, **({} if self.look is None else {"look": self.look})}

    def no_first(self) -> QuestionTemplate:
        """The same question with the two answers named in the other order."""
        return replace(self, name=f"{self.name}, no first", text=self.text.replace("yes or no", "no or yes"))


def _said(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


#: What the published evaluator asks (PairComp/evaluate_images.py of FocusDiff): with a space after the image's line
#: break, no full stop.
OFFICIAL = QuestionTemplate(
    "official", ' Does this image match the description "{prompt}", please directly respond with yes or no'
)
#: What the published training code asks for its reward: the same, with a full stop.
OFFICIAL_REWARD = QuestionTemplate("official_reward", OFFICIAL.text + ".")
#: What the paper prints (arXiv 2506.05501, section 2.2). It leaves out where the description stands; here it is quoted
#: in the sentence, as in the evaluator.
PAPER = QuestionTemplate(
    "paper", 'Does this image match the description "{prompt}"? Please directly respond with yes or no.'
)
#: For questions that are whole already, such as those that a long prompt is decomposed into.
PLAIN = QuestionTemplate("plain", "{prompt} Please directly respond with yes or no.")
#: For whole questions about an image and what it was edited into, in that order. The look is that of the edit reward of
#: Janus-Pro-R1 (``janus-rl/src/open_r1/internvl_edit.py``), by the authors of PairComp.
EDIT = replace(
    PLAIN,
    name="edit",
    look="Please evaluate the following image edit based on the provided instructions:\n\n"
    "Image-1: {image}\nImage-2: {image}\n",
)
