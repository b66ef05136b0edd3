"""The questions that judges ask, word for word. A changed character is another template, under another name."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OFFICIAL", "OFFICIAL_REWARD", "PAPER", "PLAIN", "QuestionTemplate"]


@dataclass(frozen=True)
class QuestionTemplate:
    """A question with a place for what is asked about.

    Attributes:
        name: goes into the judge's identity.
        text: holds ``{prompt}`` once.
    """

    name: str
    text: str

    def ask(self, prompt: str) -> str:
        """The question about `prompt`, whose own braces are left alone."""
        return self.text.replace("{prompt}", prompt)

    def no_first(self) -> QuestionTemplate:
        """The same question with the two answers named in the other order."""
        return QuestionTemplate(f"{self.name}, no first", self.text.replace("yes or no", "no or yes"))


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
