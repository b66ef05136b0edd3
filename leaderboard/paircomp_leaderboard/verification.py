"""Checking a bundle: is it whole, does every number follow from the judgements, would the judge say it again.

Each check is named and has an outcome; the badge says which were done. Accidents and inconsistent edits are found by
arithmetic alone. Somebody who forges judgements, scores and summary alike is found only by judging the images again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from paircomp.errors import EntryError, PairCompError
from paircomp.runtime.json_text import parse_json
from paircomp.types import ImageKey, Suite
from paircomp_leaderboard.archives import BundleFile
from paircomp_leaderboard.bundles import BUNDLE_SCHEMA
from paircomp_leaderboard.entries import BADGES, VERIFICATION_SCHEMA, Entry, entry_faults, folder_name, parse_pairs
from paircomp_leaderboard.recomputing import pair_faults, summary_faults
from paircomp_leaderboard.rejudging import Rejudging, judge_again

if TYPE_CHECKING:
    from paircomp.plugins import Registry

__all__ = ["Check", "Verification", "verify_bundle"]

Outcome = Literal["passed", "failed", "skipped"]
_DIGEST: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a bundle: what was looked at, how it went, and what was found."""

    name: str
    outcome: Outcome
    said: str


@dataclass(frozen=True)
class Verification:
    """Everything that was checked.

    Attributes:
        path: the bundle.
        sha256: of the whole file.
        checks: in order.
        entry: the entry, where it could be read.
    """

    path: Path
    sha256: str
    checks: tuple[Check, ...]
    entry: Entry | None

    @property
    def passed(self) -> bool:
        """Whether no check failed and there is an entry."""
        return self.entry is not None and all(check.outcome != "failed" for check in self.checks)

    @property
    def rejudged(self) -> bool:
        """Whether images were judged again with the same result."""
        return any(check.name == "judge again" and check.outcome == "passed" for check in self.checks)

    @property
    def badge(self) -> str:
        """What a table says beside the row."""
        if not self.passed:
            return "failed verification"
        return "re-judged sample" if self.rejudged else "verified arithmetic"

    def to_json(self) -> dict[str, Any]:
        """``verification.json`` (schema ``paircomp-verification/1``)."""
        return {
            "schema": VERIFICATION_SCHEMA,
            "badge": self.badge,
            "explained": BADGES.get(self.badge, "At least one check failed."),
            "bundle_sha256": self.sha256,
            "checks": [{"name": c.name, "outcome": c.outcome, "said": c.said} for c in self.checks],
        }


@dataclass
class _Bundle:
    """A bundle while it is being checked."""

    file: BundleFile
    registry: Registry
    suite_given: Suite | None
    said: dict[str, Any] = field(default_factory=dict)
    entry: Entry | None = None
    suite: Suite | None = None
    judgements: list[dict[str, Any]] = field(default_factory=list)
    images: dict[ImageKey, str] = field(default_factory=dict)

    def known_entry(self) -> Entry:
        if self.entry is None:
            raise EntryError(self.file.path, ["the entry could not be read"])
        return self.entry

    def lines(self, name: str) -> list[dict[str, Any]]:
        try:
            records = [parse_json(line) for line in self.file.read(name).splitlines()]
        except ValueError as error:
            raise EntryError(self.file.path, [f"{name}: not JSON Lines ({str(error)[:80]})"]) from error
        if not all(isinstance(record, dict) for record in records):
            raise EntryError(self.file.path, [f"{name}: expected an object a line"])
        return records


def verify_bundle(
    path: Path, *, registry: Registry, suite: Suite | None = None, rejudging: Rejudging | None = None
) -> Verification:
    """Check a bundle.

    Args:
        path: the ZIP file; hostile ones are safe to give.
        registry: where suites and judges are looked up.
        suite: the suite, where it is not one of the registry and its prompts are not in the bundle.
        rejudging: judge a sample of the images again, where the bundle holds them and the judge is at hand.

    Raises:
        EntryError: no archive, or one with members that no bundle has.
    """
    with BundleFile(path) as file:
        bundle = _Bundle(file, registry, suite)
        checks = [Check("archive", "passed", f"{len(file.names):,} members, all plain files with known names")]
        for name, step, well in _STEPS:
            checks.append(_check(name, step, well, bundle))
            if name == "schema" and bundle.entry is None:
                return Verification(path, _sha256(path), tuple(checks), None)
        checks += [_suite_check(bundle), _image_check(bundle)]
        checks.append(_again(bundle, rejudging, sound=all(check.outcome != "failed" for check in checks)))
        return Verification(path, _sha256(path), tuple(checks), bundle.entry)


def _again(bundle: _Bundle, rejudging: Rejudging | None, *, sound: bool) -> Check:
    if rejudging is None:
        return Check("judge again", "skipped", "not asked for")
    if not sound:
        return Check("judge again", "skipped", "other checks failed")
    entry = bundle.known_entry()
    found = judge_again(entry, bundle.suite, bundle.judgements, bundle.file, bundle.registry, rejudging)
    return Check("judge again", *found)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(
    name: str, step: Callable[[_Bundle], Iterator[str] | Sequence[str]], well: str, bundle: _Bundle
) -> Check:  # fmt: skip
    try:
        faults = list(step(bundle))
    except EntryError as error:
        faults = list(error.faults)
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
    ) as error:  # whatever else a forged file may hold
        faults = [f"malformed ({type(error).__name__}: {str(error)[:120]})"]
    return Check(name, "failed", "; ".join(faults[:20])) if faults else Check(name, "passed", well)


def _read_entry(bundle: _Bundle) -> Sequence[str]:
    try:
        bundle.said = parse_json(bundle.file.read("bundle.json"))
        said = parse_json(bundle.file.read("entry/entry.json"))
    except ValueError as error:
        return [f"bundle.json or entry.json is not JSON ({str(error)[:80]})"]
    if not isinstance(bundle.said, dict) or bundle.said.get("schema") != BUNDLE_SCHEMA:
        return [f"bundle.json: expected schema {BUNDLE_SCHEMA}"]
    faults = entry_faults(said)
    if not faults and said["provenance"] == "author-reported":
        faults = ["an author-reported entry holds nothing that could be verified"]
    if faults:
        return faults
    pairs, faults = parse_pairs(bundle.file.read("entry/pairs.jsonl"), said["suite"])
    if not faults:
        name = folder_name(said["label"], said["suite"]["name"], said["judge"]["name"])
        bundle.entry = Entry(name, said, pairs)
    return faults


def _identity_faults(bundle: _Bundle) -> Iterator[str]:
    entry, identity = bundle.known_entry().said, bundle.said["identity"]
    generator = entry["report"]["generator"]
    for name in ("model", "adapter", "checkpoint", "revision", "recipe"):
        if generator[name] != identity[name]:
            yield f"{name}: the entry says {generator[name]!r}, the run {identity[name]!r}"
    if generator["seed"] != identity["run_seed"]:
        yield f"seed: the entry says {generator['seed']!r}, the run {identity['run_seed']!r}"
    for name in ("name", "digest", "samples"):
        if entry["suite"][name] != identity["suite"][name]:
            yield f"suite.{name}: the entry says {entry['suite'][name]!r}, the run {identity['suite'][name]!r}"
    if entry["judge"] != bundle.said["judge"]:
        yield "judge: entry and run differ"
    expected = "re-judged" if generator["adapter"] == "images" else "measured"
    if entry["provenance"] != expected:
        yield f"provenance: expected {expected!r} of adapter {generator['adapter']!r}, got {entry['provenance']!r}"
    trained_with = _known_rewards(bundle.registry, generator)
    if trained_with and entry["trained_with_judge"] not in trained_with:
        yield (f"trained_with_judge: expected {' or '.join(map(repr, sorted(trained_with)))}, as the catalogue says of "
               f"this model, got {entry['trained_with_judge']!r}")  # fmt: skip


def _known_rewards(registry: Registry, generator: Mapping[str, Any]) -> set[str]:
    """The judges that rewarded a model in training, as the catalogue knows it by name, or else by checkpoint."""
    models = registry.models()
    named = models.get(generator["model"])
    if named is not None and named.trained_with_judge is not None:
        return {named.trained_with_judge}
    return {model.trained_with_judge for model in models.values()
            if model.trained_with_judge is not None and model.checkpoint is not None
            and model.checkpoint.casefold() == str(generator["checkpoint"]).casefold()}  # fmt: skip


def _judgement_faults(bundle: _Bundle) -> Iterator[str]:
    """Scores against judgements, judgements against images."""
    entry = bundle.known_entry()
    expected = {pair["pair"]: (len(pair["scores"]), len(pair["scores"][0])) for pair in entry.pairs}
    for record in bundle.lines("images.jsonl"):
        key = _image_key(record)
        prompts, samples = expected.get(key.pair, (0, 0))
        if not (0 <= key.prompt < prompts and 0 <= key.sample < samples):
            yield f"images.jsonl names {key.filename}, which is no image of the entry's pairs"
        if not _DIGEST.fullmatch(record["sha256"]):
            yield f"images.jsonl, {key.filename}: sha256: expected 64 hexadecimal digits, got {record['sha256']!r:.80}"
        if key in bundle.images:
            yield f"images.jsonl names {key.filename} twice"
        bundle.images[key] = record["sha256"]
    bundle.judgements = bundle.lines("judgements.jsonl")
    judged: dict[tuple[int, int, int, int], Mapping[str, Any]] = {}
    for record in bundle.judgements:
        key = _image_key(record)
        if key not in bundle.images:
            yield f"judgement of {key.filename}: images.jsonl lists no such image"
        elif not isinstance(record["image"], str) or record["image"] != bundle.images[key][:16]:
            yield f"judgement of {key.filename}: it looked at another image than the listed one"
        asked = record["judged_prompt"]
        if type(asked) is not int or not 0 <= asked < expected.get(key.pair, (0, 0))[0]:
            yield f"judgement of {key.filename}: judged_prompt: no prompt {asked!r:.40}"
        judged[*key, asked] = record
    for pair in entry.pairs:
        yield from _pair_judgement_faults(pair, judged)
        yield from _fingerprint_faults(pair, bundle.images)


def _image_key(record: Mapping[str, Any]) -> ImageKey:
    place = record["pair"], record["prompt"], record["sample"]
    if not all(type(number) is int for number in place):
        raise ValueError(f"pair, prompt and sample: expected whole numbers, got {place!r:.60}")
    return ImageKey(*place)


def _pair_judgement_faults(
    pair: Mapping[str, Any], judged: Mapping[tuple[int, int, int, int], Mapping[str, Any]]
) -> Iterator[str]:
    log_odds: list[float | None] = []
    for prompt, samples in enumerate(pair["scores"]):
        for sample, scores in enumerate(samples):
            name = ImageKey(pair["pair"], prompt, sample).filename
            for other, score in enumerate(scores):
                record = judged.get((pair["pair"], prompt, sample, other), {})
                if record.get("score") != score:
                    yield f"{name}, prompt {other}: pairs.jsonl says {score}, the judgement {record.get('score')}"
                if score is not None and pair["images"][prompt][sample] is None:
                    yield f"{name}, prompt {other}: a score of an image that pairs.jsonl does not name"
                log_odds.append(_log_odds(record))
    if not _same_log_odds(pair.get("log_odds"), log_odds):
        yield f"pair {pair['pair']}: log_odds differ from the judgements'"


def _log_odds(record: Mapping[str, Any]) -> float | None:
    if record.get("score") is None or "log_yes" not in record or "log_no" not in record:
        return None
    logs = record["log_yes"], record["log_no"]
    if not all(type(value) in (int, float) for value in logs):
        raise ValueError(f"log_yes and log_no: expected numbers, got {logs!r:.60}")
    return float(logs[0] - logs[1])


def _same_log_odds(said: Any, judged: Sequence[float | None]) -> bool:
    """A pair has all log odds of its judgements, or none where one lacks them."""
    if said is None or None in judged:
        return said is None and None in judged
    flat = [number for image in said for sample in image for number in sample]
    return all(
        one is not None and other is not None and abs(one - other) <= 1e-9
        for one, other in zip(flat, judged, strict=True)
    )


def _fingerprint_faults(pair: Mapping[str, Any], images: Mapping[ImageKey, str]) -> Iterator[str]:
    for prompt, tags in enumerate(pair["images"]):
        for sample, tag in enumerate(tags):
            key = ImageKey(pair["pair"], prompt, sample)
            if tag != (images[key][:16] if key in images else None):
                yield f"{key.filename}: pairs.jsonl and images.jsonl name different images"


def _summary_faults(bundle: _Bundle) -> Sequence[str]:
    entry = bundle.known_entry()
    return [*summary_faults(entry), *pair_faults(entry)]


def _suite_check(bundle: _Bundle) -> Check:
    entry = bundle.known_entry()
    try:
        suite = _find_suite(bundle)
    except PairCompError as error:
        return Check("suite", "failed", str(error))
    digest = entry.said["suite"]["digest"]
    if suite is None:
        return Check("suite", "skipped", "its prompts are neither here nor in the bundle; next: --suite FILE")
    if suite.digest != digest:
        return Check(
            "suite", "failed", f"digest: the entry says {digest[:12]}, {suite.name!r} here has {suite.digest[:12]}"
        )
    faults = list(_suite_faults(entry, suite))
    if faults:
        return Check("suite", "failed", "; ".join(faults[:20]))
    bundle.suite = suite
    return Check("suite", "passed", f"{len(entry.pairs):,} pairs are those of {suite.name} ({digest[:12]})")


def _find_suite(bundle: _Bundle) -> Suite | None:
    """The suite given, or the registered one of that name, or the copy in the bundle."""
    if bundle.suite_given is not None:
        return bundle.suite_given
    name = bundle.known_entry().said["suite"]["name"]
    if name in bundle.registry.names("suite"):
        try:
            return bundle.registry.suite(name)
        except PairCompError:
            pass  # not fetched; the bundle may hold a copy
    return _copied_suite(bundle) if "suite.jsonl" in bundle.file.names else None


def _copied_suite(bundle: _Bundle) -> Suite:
    import tempfile

    from paircomp.suites import load_suite_file

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "suite.jsonl"
        copy.write_bytes(bundle.file.read("suite.jsonl"))
        return load_suite_file(copy, name=bundle.known_entry().said["suite"]["name"])


def _suite_faults(entry: Entry, suite: Suite) -> Iterator[str]:
    from paircomp.suites import prompt_sha256

    if len(suite.pairs) != entry.said["suite"]["pairs"]:
        yield f"expected {len(suite.pairs)} pairs in the suite, the entry says {entry.said['suite']['pairs']}"
    for pair in entry.pairs:
        if pair["pair"] >= len(suite.pairs):
            yield f"pair {pair['pair']} is not in the suite"
            continue
        true = suite.pairs[pair["pair"]]
        if pair["subtask"] != true.subtask:
            yield f"pair {pair['pair']}: subtask is {true.subtask!r}, the entry says {pair['subtask']!r}"
        if pair["pair_id"] != true.pair_id:
            yield f"pair {pair['pair']}: pair_id is {true.pair_id!r}, the entry says {pair['pair_id']!r:.80}"
        if pair["prompt_sha256"] != [prompt_sha256(prompt) for prompt in true.prompts]:
            yield f"pair {pair['pair']}: its prompts are not the suite's"
        if pair["prompts"] is not None and pair["prompts"] != list(true.prompts):
            yield f"pair {pair['pair']}: the prompts shown are not the suite's"


def _image_check(bundle: _Bundle) -> Check:
    pictures = [name for name in bundle.file.names if name.startswith("images/")]
    if not pictures:
        return Check("images", "skipped", "the bundle holds their hashes only")
    faults = []
    for name in pictures:
        key = ImageKey.from_filename(name.removeprefix("images/"))
        if key not in bundle.images:
            faults.append(f"{name} is not listed in images.jsonl")
        elif hashlib.sha256(bundle.file.read(name)).hexdigest() != bundle.images[key]:
            faults.append(f"{name} is not the image that was judged (SHA-256 differs)")
    faults += [f"images/{key.filename} is missing" for key in bundle.images if f"images/{key.filename}" not in pictures]
    if faults:
        return Check("images", "failed", "; ".join(faults[:20]))
    return Check("images", "passed", f"{len(pictures):,} images are those that were judged")


_STEPS: Final[Sequence[tuple[str, Callable[[_Bundle], Iterator[str] | Sequence[str]], str]]] = (
    ("checksums", lambda bundle: bundle.file.checksum_faults(), "every member is as listed"),
    ("schema", _read_entry, "entry, pairs and identity have the published form"),
    ("identity", _identity_faults, "entry and run name the same model, recipe, suite and judge"),
    ("judgements", _judgement_faults, "every score stands in a judgement of a listed image"),
    ("summary", _summary_faults, "every number follows from the scores"),
)
