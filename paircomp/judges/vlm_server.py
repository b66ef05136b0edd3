"""The ``vlm-server`` judge: any OpenAI-compatible server that shows log-probabilities (vLLM, SGLang, LMDeploy, ...).

One token is asked for at temperature 0, and the probabilities of yes and no are read from what the server shows. A
server that can show the tokens it is asked for (vLLM's ``logprob_token_ids``) is asked for exactly the six spellings;
any other shows its 20 likeliest tokens, and a score is kept only where these leave no room for doubt. Which of the two
is found out once, and belongs to the judge's identity. docs/serving.md shows how to serve a judge.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from paircomp.errors import ConfigError, JudgeError
from paircomp.judges.question_templates import EDIT, OFFICIAL, OFFICIAL_REWARD, PAPER
from paircomp.judges.requests import Images, looked_at
from paircomp.judges.vlm_server_answers import UnreadableAnswerError, judgement, read_masses
from paircomp.judges.vlm_server_protocol import WHO, PatientClient, Settings, data_url, settle
from paircomp.runtime.capabilities import declares
from paircomp.runtime.images import UnreadableImageError
from paircomp.runtime.openai_client import OpenAIServer, RequestRefused
from paircomp.runtime.remote import PassingFault, Patience, Returned
from paircomp.types import ImageKey, Judgement, JudgeRequest

__all__ = ["LOCAL_URL", "VLMServerJudge", "vlm_server"]

#: Where vLLM listens when it is told nothing else.
LOCAL_URL = "http://127.0.0.1:8000/v1"
_TEMPLATES = {"official": OFFICIAL, "official_reward": OFFICIAL_REWARD, "paper": PAPER, "edit": EDIT}


@declares(requires=("openai",), incidental=("base_url", "key_variable", "concurrency", "timeout", "attempts"))
def vlm_server(  # noqa: PLR0913 - each one an option of the command line, all keyword-only
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    base_url: str | None = None,
    key_variable: str | None = None,
    question: Literal["official", "official_reward", "paper", "edit"] = "official",
    system: str | None = None,
    revision: str | None = None,
    concurrency: int = 16,
    timeout: float = 120.0,
    attempts: int = 6,
) -> VLMServerJudge:
    """Any vision-language model behind an OpenAI-compatible server that shows log-probabilities.

    Args:
        checkpoint: the model's name at the server; ``None`` takes the only one it serves.
        device: any; the model runs elsewhere.
        dtype: any; the server chose it.
        base_url: the server's address; ``None`` takes ``OPENAI_BASE_URL`` or :data:`LOCAL_URL`.
        key_variable: the environment variable that holds the key; ``None`` takes ``OPENAI_API_KEY`` for an address from
            the environment and sends no key elsewhere.
        question: which template; ``edit`` takes whole questions about two images, an original and its edit.
        system: a system message; ``None`` leaves it to the server's chat template.
        revision: of the weights, as the server was started with: a server does not tell. Recorded, not checked.
        concurrency: questions under way at the same time.
        timeout: seconds for one call.
        attempts: calls for one question, when the server is busy or fails.

    Raises:
        ConfigError: options that do not fit, or several models and none named.
        UnavailableError: the openai package or the key is missing.
        JudgeError: the server cannot be reached, or shows no log-probabilities.
    """
    del device, dtype
    faults = [
        f"{name}: expected at least {least}, got {value}"
        for name, value, least in (
            ("concurrency", concurrency, 1),
            ("attempts", attempts, 1),
            ("timeout", timeout, 0.001),
        )
        if value < least
    ]
    if faults:
        raise ConfigError(faults, where=WHO)
    if base_url is None and not os.environ.get("OPENAI_BASE_URL"):
        base_url = LOCAL_URL
    server = OpenAIServer(who=WHO, failure=JudgeError, base_url=base_url, key_variable=key_variable, timeout=timeout)
    client = PatientClient(server, concurrency=concurrency, patience=Patience(attempts=attempts))
    try:
        return VLMServerJudge(client, settle(client, checkpoint, _TEMPLATES[question], system, revision))
    except BaseException:
        server.close()
        raise


@dataclass
class _Asked:
    """Pictures on their way to the server, encoded by the first call that sends them."""

    key: ImageKey
    images: Images

    @cached_property
    def urls(self) -> list[str]:
        return [data_url(image) for image in self.images]


_Question = tuple[_Asked, int, str]
"""Pictures, which prompt of the pair is asked about, and its text."""


class VLMServerJudge:
    """Asks a server; see :func:`vlm_server`.

    Attributes:
        identity: model, question, and which tokens the server shows.
        concurrency: questions under way at the same time.
    """

    def __init__(self, client: PatientClient, settings: Settings, *, owner: bool = True) -> None:
        self._client = client
        self._settings = settings
        self._owner = owner
        self._calls = client.calls(self._ask)
        self.concurrency = client.concurrency
        self.identity: Mapping[str, Any] = settings.identity()

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """Each answer as it arrives; what fails for good is unscored, what may pass is asked again by the next command.

        Raises:
            JudgeError: the server refuses everything, or has stopped to answer.
        """
        questions: list[_Question] = []
        for request in requests:
            try:
                asked = _Asked(request.key, looked_at(request, self._settings.template.images))
            except UnreadableImageError as error:
                yield from (
                    Judgement(request.key, each.judged_prompt, unscored=str(error)) for each in request.questions
                )
                continue
            questions += [(asked, each.judged_prompt, each.prompt) for each in request.questions]
        for returned in self._calls.run(questions):
            yield returned.answer or self._failed(returned)

    def asking_no_first(self) -> VLMServerJudge:
        """The same judge with no named before yes; it shares the connection, which this one closes."""
        turned = replace(self._settings, template=self._settings.template.no_first())
        return VLMServerJudge(self._client, turned, owner=False)

    def close(self) -> None:
        """End all waits, and all connections."""
        self._calls.close()
        if self._owner:
            self._client.server.close()

    def _ask(self, question: _Question) -> Judgement:
        asked, judged_prompt, prompt = question
        try:
            answer = self._client.server.ask(lambda client: self._settings.ask(client, asked.urls, prompt))
            return judgement(read_masses(answer, self._settings.words), asked.key, judged_prompt)
        except UnreadableAnswerError as error:
            raise PassingFault(str(error)) from error
        except RequestRefused as error:
            if error.status < 400:  # an answer, but no JSON: a proxy may stand in between
                raise PassingFault(error.said) from error
            raise

    def _failed(self, returned: Returned[_Question, Judgement]) -> Judgement:
        asked, judged_prompt, _ = returned.request
        reason = self._client.server.hide(f"error: {returned.fault}")
        passing = isinstance(returned.fault, PassingFault)
        evidence = {"attempts": returned.attempts}
        return Judgement(asked.key, judged_prompt, unscored=reason, evidence=evidence, retry=passing)
