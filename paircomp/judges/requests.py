"""What local vision-language judges do with requests before and after the model: sort out, answer, refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paircomp.judges.yes_no import Answer
from paircomp.runtime.images import MAX_PIXELS, UnreadableImageError, to_rgb
from paircomp.types import ImageKey, Judgement, JudgeRequest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Asked", "Images", "answers_to", "looked_at", "refuse_broken", "sort_out"]

#: The pictures that a question is about, RGB: one, or an original and its edit.
Images = tuple["Image", ...]

#: Ids of the prompt that asks the question about its pictures; ValueError says why it cannot be asked.
Reader = Callable[["Images", str], list[int]]


@dataclass(frozen=True)
class Asked:
    """One picture, or an original and its edit, and what is asked about it.

    Attributes:
        key: which picture.
        images: RGB, as many as the question is about.
        places: which prompt of the pair each question is about.
        prompts: ids of each question's whole prompt.
    """

    key: ImageKey
    images: Images
    places: tuple[int, ...]
    prompts: tuple[list[int], ...]


def sort_out(requests: Sequence[JudgeRequest], read: Reader, *, images: int) -> tuple[list[Asked], list[Judgement]]:
    """What can be asked, and judgements that say of the rest why it cannot.

    Args:
        requests: any.
        read: writes a question.
        images: how many pictures the judge's question is about.
    """
    asked: list[Asked] = []
    refused: list[Judgement] = []
    for request in requests:
        try:
            pictures = tuple(map(to_rgb, looked_at(request, images)))
        except UnreadableImageError as error:
            refused += [Judgement(request.key, each.judged_prompt, unscored=str(error)) for each in request.questions]
            continue
        ids: dict[int, list[int]] = {}
        for question in request.questions:
            try:
                ids[question.judged_prompt] = read(pictures, question.prompt)
            except ValueError as error:
                refused.append(Judgement(request.key, question.judged_prompt, unscored=str(error)))
        if ids:
            asked.append(Asked(request.key, pictures, tuple(ids), tuple(ids.values())))
    return asked, refused


def looked_at(request: JudgeRequest, images: int) -> Images:
    """The pictures of a request, as they are.

    Raises:
        UnreadableImageError: they are more or fewer than the question is about, or too large.
    """
    if len(request.images) != images:
        wanted = "one image at a time" if images == 1 else f"{images} images, an original and its edit"
        raise UnreadableImageError(f"the judge looks at {wanted}, got {len(request.images)}")
    for width, height in (each.size for each in request.images):
        if width * height > MAX_PIXELS:
            raise UnreadableImageError(f"image of {width}x{height} pixels is over the limit of {MAX_PIXELS:,} pixels")
    return request.images


def answers_to(
    asked: Asked, answers: Iterator[Answer], broken: list[str], *, evidence: Mapping[str, Any]
) -> Iterator[Judgement]:
    """The judgements of one picture.

    Args:
        asked: the picture.
        answers: gives one for each question; those of later pictures are left in it.
        broken: takes the places whose logits were not sound; they are left unanswered.
        evidence: goes with each.
    """
    for place, answer in zip(asked.places, answers, strict=False):
        if answer.broken is not None:
            broken.append(f"{asked.key.filename}, prompt {place}: {answer.broken}")
            continue
        yield Judgement(asked.key, place, answer.score, answer.log_yes, answer.log_no, evidence, answer.unscored)


def refuse_broken(broken: Sequence[str]) -> None:
    """Say what could not be answered, once everything else has been.

    Raises:
        FloatingPointError: `broken` is not empty. It is no error of this package: the pipeline then asks again one by
            one, records what fails, and stops when everything does.
    """
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise FloatingPointError(f"{broken[0]}{more}")
