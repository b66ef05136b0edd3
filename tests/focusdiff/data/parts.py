"""Small captioners and judges with one trait each, named so; and a build that a test can call in one line."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from focusdiff.data.commands import data_group
from paircomp.errors import PairCompError


def run(*arguments: object) -> str:
    """Run ``focusdiff data …``; errors come up as they are."""
    result = CliRunner().invoke(data_group, [str(each) for each in arguments], standalone_mode=False)
    if isinstance(result.exception, PairCompError):
        raise result.exception
    if result.exception is not None:
        raise AssertionError(result.output) from result.exception
    return result.stdout


def build(out: Path, *arguments: object, records: int = 60, source: str = "shapes") -> str:
    size = ["-o", f"source.records={records}"] if source == "shapes" else []
    return run("build", "--source", source, "--out", out, *size, *arguments)


PLUGIN = '''
"""Captioners and judges with one trait each, for tests."""

import dataclasses
from pathlib import Path

from focusdiff.data.captions import Captioned
from focusdiff.data.shapes.captions import GrammarCaptioner
from paircomp.errors import OutOfMemory
from paircomp.judges.pixels import PixelsJudge
from paircomp.types import Judgement


class Swapping(GrammarCaptioner):
    """Swaps the two captions of every other record, the first time."""

    def caption(self, requests):
        for said in super().caption(requests):
            if said.captions and said.position % 2 and not requests[0].attempt:
                said = dataclasses.replace(said, captions=said.captions[::-1])
            yield said


class Stubborn(GrammarCaptioner):
    """Gives both pictures of every third record the caption of the first, however often it is asked."""

    def caption(self, requests):
        for said in super().caption(requests):
            if said.captions and said.position % 3 == 0:
                said = dataclasses.replace(said, captions=said.captions[:1] * 2)
            yield said


class Moody(PixelsJudge):
    """Cannot tell of some pictures while the file `mood` beside it says so."""

    def __init__(self, mood):
        self._mood = Path(mood)

    def judge(self, requests):
        for said in super().judge(requests):
            bad = self._mood.exists() and said.key.pair % 5 == 0
            yield Judgement(said.key, said.judged_prompt, unscored="busy", retry=True) if bad else said


class Answering:
    """Looks at two pictures and answers by what it was asked: yes, but for what `no` names."""

    def __init__(self, no):
        self._no = no

    def judge(self, requests):
        if len(requests) > 4:
            raise OutOfMemory("more than four at once")
        for request in requests:
            assert len(request.images) == 2
            for question in request.questions:
                bad = self._no and self._no in question.prompt
                yield Judgement(request.key, question.judged_prompt, score=0.1 if bad else 0.9)

    def close(self): ...


def swapping(*, checkpoint=None, device="cpu", dtype=None):
    return Swapping()


def stubborn(*, checkpoint=None, device="cpu", dtype=None):
    return Stubborn()


def moody(*, checkpoint=None, device="cpu", dtype=None, mood: str):
    return Moody(mood)


def answering(*, checkpoint=None, device="cpu", dtype=None, no: str = ""):
    return Answering(no)


CAPTIONERS = {"swapping": swapping, "stubborn": stubborn}
JUDGES = {"moody": moody, "answering": answering}
'''


def plugin(folder: Path) -> Path:
    path = folder / "data_parts.py"
    path.write_text(PLUGIN)
    return path
