"""Any image-text-to-text model of transformers as a judge, through its own processor and chat template.

One picture and one question at a time, which is right for every model; families worth more have a judge of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from paircomp.errors import AdapterError
from paircomp.judges.native_models import load_native, weights_identity
from paircomp.judges.question_templates import QuestionTemplate
from paircomp.judges.requests import Images, refuse_broken, sort_out
from paircomp.judges.yes_no import EXACT, Answer, answer_tokens, read_answers
from paircomp.runtime.checkpoints import checkpoint_folder, resolve_dtype
from paircomp.runtime.weights import explained_load
from paircomp.types import Judgement, JudgeRequest

__all__ = ["ImageTextJudge", "open_image_text"]


def open_image_text(
    template: QuestionTemplate, *, checkpoint: str | None, device: str, dtype: str | None, device_map: str | None
) -> ImageTextJudge:
    """Load a judge.

    Raises:
        CheckpointError: the checkpoint is not whole.
        AdapterError: it has no processor that loads here, or no chat template.
        UnavailableError: it is not here and cannot be fetched.
    """
    from transformers import AutoProcessor

    what = "judge 'image-text-to-text'"
    folder = checkpoint_folder(checkpoint, what=what)
    any_processor: Any = AutoProcessor
    with explained_load(what, str(folder)):
        processor = any_processor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if not getattr(processor, "chat_template", None):
        raise AdapterError(f"{what}: {folder} has no chat template; next: use a checkpoint tuned for conversation")
    chosen = resolve_dtype(dtype, device)
    model = load_native(folder, device=device, dtype=chosen, device_map=device_map, what=what)
    return ImageTextJudge(model, processor, template, identity=weights_identity(folder, model, chosen))


class ImageTextJudge:
    """Judges pictures with any model of transformers; see :func:`open_image_text`.

    Args:
        model: in evaluation mode.
        processor: with a chat template.
        template: the question.
        identity: what the loader knows of the weights.
    """

    def __init__(self, model: Any, processor: Any, template: QuestionTemplate, *, identity: Mapping[str, Any]) -> None:
        self._model, self._processor, self._template = model, processor, template
        self._answers = answer_tokens(processor.tokenizer.get_vocab().get, where=str(model.config.model_type))
        self.identity: Mapping[str, Any] = {
            **identity,
            "template": {**template.to_json(), "chat": processor.chat_template},
            "tokens": {"answers": self._answers.to_json()},
            "arithmetic": EXACT.to_json(),
        }

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """One judgement per question.

        Raises:
            FloatingPointError: after all else was answered, when logits were not finite.
        """
        asked, refused = sort_out(requests, lambda images, prompt: [], images=self._template.images)
        yield from refused
        broken: list[str] = []
        questions = {
            (request.key, each.judged_prompt): each.prompt for request in requests for each in request.questions
        }
        for each in asked:
            for place in each.places:
                answer = self._answer(each.images, questions[each.key, place])
                if answer.broken:
                    broken.append(f"{each.key.filename}, prompt {place}: {answer.broken}")
                else:
                    yield Judgement(each.key, place, answer.score, answer.log_yes, answer.log_no)
        refuse_broken(broken)

    @torch.inference_mode()
    def _answer(self, images: Images, prompt: str) -> Answer:
        said = self._template.content(prompt, [{"type": "image"}] * len(images))
        text = self._processor.apply_chat_template([{"role": "user", "content": said}], add_generation_prompt=True)
        # The template writes what the text begins with, such as <s>, itself.
        inputs = self._processor(images=list(images), text=[text], return_tensors="pt", add_special_tokens=False)
        home = self._model.get_input_embeddings().weight
        inputs = {name: each.to(home.device) for name, each in inputs.items() if hasattr(each, "to")}
        inputs = {name: each.to(home.dtype) if each.is_floating_point() else each for name, each in inputs.items()}
        logits = self._model(**inputs, use_cache=False).logits[:, -1]
        return read_answers(logits, self._answers, EXACT)[0]

    def close(self) -> None:
        """Free the model."""
        del self._model
