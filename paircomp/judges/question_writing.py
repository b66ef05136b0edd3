"""Lets a language model behind a server take prompts apart, once, into a file that a judge can be given.

    python -m paircomp.judges.question_writing SUITE FILE --model NAME [--base-url URL]

The file is part of the judge's identity; the language model is not asked again while judging.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from paircomp.errors import JudgeError, PairCompError
from paircomp.judges.decomposition import faults_of
from paircomp.plugins import Registry
from paircomp.runtime.files import write_json
from paircomp.runtime.json_text import parse_json
from paircomp.runtime.openai_client import OpenAIServer
from paircomp.runtime.remote import Patience, RemoteCalls
from paircomp.suites import load_suite

__all__ = ["INSTRUCTION", "write_questions"]

#: What the language model is told. Stored in the file.
INSTRUCTION = (
    "Take the description of an image apart into its objects, their counts, their attributes, the relations between "
    "them, written text and style. For each, write one question that can be answered by looking at the image, to which "
    "yes means that the description is met. Answer with a JSON array of strings and nothing else."
)
_WHO = "question writing"


def write_questions(
    prompts: Sequence[str],
    file: Path,
    *,
    model: str,
    base_url: str | None = None,
    key_variable: str | None = None,
    concurrency: int = 8,
    patience: Patience | None = None,
) -> int:
    """Write the questions of all prompts; nothing is written unless every prompt has some.

    Args:
        prompts: what to take apart; repeated ones are asked once.
        file: JSON for `FileDecomposer`.
        model: the language model's name on the server.
        base_url: of an OpenAI-compatible server; default ``OPENAI_BASE_URL``.
        key_variable: environment variable that holds the key.
        concurrency: calls under way at a time.
        patience: how often a call is tried.

    Returns:
        How many questions were written.

    Raises:
        JudgeError: prompts for which the model gave no list of questions; all are named.
        UnavailableError: the openai package or the key is missing.
    """
    server = OpenAIServer(who=_WHO, failure=JudgeError, base_url=base_url, key_variable=key_variable)
    calls: RemoteCalls[str, list[str]] = RemoteCalls(
        lambda prompt: _questions(server, model, prompt), concurrency=concurrency, who=_WHO, failure=JudgeError,
        patience=patience,
    )  # fmt: skip
    held: dict[str, list[str]] = {}
    faults = []
    try:
        for outcome in calls.run(list(dict.fromkeys(prompts))):
            if outcome.answer is None:
                faults.append(f"{outcome.request[:60]!r}: {outcome.fault}")
            else:
                held[outcome.request] = outcome.answer
    finally:
        server.close()
    faults += faults_of(held) if held else []
    if faults:
        raise JudgeError(f"{_WHO} with {model}: {'; '.join(faults[:10])}; next: run it again, or name another model")
    ordered = {prompt: held[prompt] for prompt in dict.fromkeys(prompts)}
    write_json(file, {"model": model, "instruction": INSTRUCTION, "questions": ordered})
    return sum(map(len, ordered.values()))


def _questions(server: OpenAIServer, model: str, prompt: str) -> list[str]:
    said: list[Any] = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": prompt}]
    answer = server.ask(
        lambda client: client.chat.completions.with_raw_response.create(model=model, messages=said, temperature=0)
    )
    try:
        text = str(answer["choices"][0]["message"]["content"])
        found = parse_json(text[text.index("[") : text.rindex("]") + 1])
        return list(dict.fromkeys(str(question) for question in found))
    except (KeyError, IndexError, TypeError, ValueError):
        return []  # told of with all others at the end


@click.command()
@click.argument("suite")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--model", required=True, help="The language model's name on the server.")
@click.option("--base-url", help="An OpenAI-compatible server; default OPENAI_BASE_URL.")
def _main(suite: str, file: Path, model: str, base_url: str | None) -> None:
    """Write yes-or-no questions for every prompt of SUITE to FILE."""
    try:
        prompts = [prompt for pair in load_suite(Registry(), suite).pairs for prompt in pair.prompts]
        count = write_questions(prompts, file, model=model, base_url=base_url)
    except PairCompError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {count} questions about {len(set(prompts))} prompts")


if __name__ == "__main__":
    _main()
