"""The commands ``paircomp leaderboard`` and ``paircomp view``. Light to import: what they need comes when they run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from paircomp_leaderboard.verification import Verification

__all__ = ["leaderboard_group", "view_command"]

_RUN = click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
_JUDGE = click.option("--judge", metavar="NAME", help="Whose scores; default the only judge, or the suite's own.")
_NAME = click.option("--name", "label", metavar="TEXT", help="What tables call the row; default the run's model.")
_PROMPTS = click.option("--include-prompts", is_flag=True,
                        help="Hold the prompts themselves, also of a suite that may not be republished.")  # fmt: skip
_THUMBNAILS = click.option("--thumbnails/--no-thumbnails", default=True, show_default=True,
                           help="Hold small WebP copies of the images for the gallery.")  # fmt: skip
_VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")


@click.group("leaderboard", short_help="Tables, a site to look at, and rows that can be verified.")
def leaderboard_group() -> None:
    """Tables, a static site, and rows that can be verified.

    \b
      paircomp leaderboard add RUN --entries entries
      paircomp leaderboard build entries --out site
      paircomp leaderboard bundle RUN --out row.zip
      paircomp leaderboard verify row.zip
    """  # noqa: D301 - click reads the escape


@leaderboard_group.command("add")
@_RUN
@click.option("--entries", type=click.Path(path_type=Path), required=True, metavar="DIR", help="The folder of entries.")
@_JUDGE
@_NAME
@_THUMBNAILS
@_PROMPTS
@click.option("--replace", is_flag=True, help="Take the place of an entry of the same name.")
@_VERBOSE
def add_command(run: Path, entries: Path, **given: Any) -> None:
    """Write the entry of RUN into a folder of entries."""
    from paircomp.evaluation import load_run
    from paircomp_leaderboard.recording import add_entry

    entry = add_entry(load_run(run), entries, judge=given["judge"], label=given["label"],
                      include_prompts=given["include_prompts"], thumbnails=given["thumbnails"],
                      replace=given["replace"])  # fmt: skip
    click.echo(str(entry.path))


@leaderboard_group.command("build")
@click.argument("entries", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--out", type=click.Path(path_type=Path), metavar="PATH",
              help="Folder of the site, or file of a table; a table without it is printed.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["site", "markdown", "csv", "latex", "html"]), default="site",
              show_default=True, help="A site in a folder, or one table.")  # fmt: skip
@click.option("--title", default="PairComp leaderboard", show_default=True, help="Of the front page.")
@click.option("--published/--no-published", default=True, show_default=True,
              help="Also show the paper's own numbers, greyed, in a table of their own.")  # fmt: skip
@click.option("--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05, show_default=True,
              help="Family-wise error rate of the tests behind ranks.")  # fmt: skip
@click.option("--trust", is_flag=True, help="Do not compute every summary again from the scores of the pairs.")
@_VERBOSE
def build_command(entries: Path, out: Path | None, form: str, **given: Any) -> None:
    """Build the site, or a table, from the entries in DIR."""
    from paircomp_leaderboard.boards import make_boards
    from paircomp_leaderboard.entries import read_entries
    from paircomp_leaderboard.published import published_entries
    from paircomp_leaderboard.recomputing import refuse_wrong_sums
    from paircomp_leaderboard.site import build_site
    from paircomp_leaderboard.tables import FORMATS

    if form == "site" and out is None:
        raise click.UsageError("name the folder of the site: --out SITE (or a table: --format markdown).")
    rows = read_entries(entries)
    if not given["trust"]:
        refuse_wrong_sums(rows, entries)
    for row in rows:
        if row.lapsed:
            click.echo(f"Note: {row.name} is shown without its badge: {row.lapsed}", err=True)
    boards = make_boards([*rows, *(published_entries() if given["published"] else ())], alpha=given["alpha"])
    if form == "site" and out is not None:
        click.echo(str(build_site(boards, out, title=given["title"])[0]))
        return
    text = FORMATS[form](boards)
    if out is None:
        click.echo(text, nl=False)
        return
    from paircomp.runtime.files import disk_faults, write_atomically

    with disk_faults(out):
        write_atomically(out, text.encode())
    click.echo(str(out))


@leaderboard_group.command("bundle")
@_RUN
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.zip",
              help="The bundle to write.")  # fmt: skip
@_JUDGE
@_NAME
@click.option("--images", is_flag=True, help="Hold the images themselves, so that they can be judged again.")
@_THUMBNAILS
@_PROMPTS
@_VERBOSE
def bundle_command(run: Path, out: Path, **given: Any) -> None:
    """Pack RUN so that others can check its row."""
    from paircomp.evaluation import load_run
    from paircomp_leaderboard.bundles import write_bundle

    count = write_bundle(load_run(run), out, judge=given["judge"], label=given["label"], images=given["images"],
                         thumbnails=given["thumbnails"], include_prompts=given["include_prompts"])  # fmt: skip
    click.echo(f"{out}  {count:,} files, {out.stat().st_size / 2**20:.1f} MiB")


@leaderboard_group.command("verify", short_help="Check a bundle; say which checks were done.")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE.zip")
@click.option(
    "--suite", "suite_name", metavar="NAME|FILE", help="Its suite, where neither PairComp nor the bundle has it."
)
@click.option("--rejudge/--no-rejudge", default=True, show_default=True,
              help="Judge a sample again, where images and judge are at hand.")  # fmt: skip
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=0.05, show_default=True,
              help="Of the images that are judged again.")  # fmt: skip
@click.option("--tolerance", type=click.FloatRange(0, 1), default=0.02, show_default=True,
              help="Largest difference of two scores that counts as the same.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), help="Of the sample; default one that nobody can foresee.")
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="Of the judge.")
@click.option(
    "--trust-judge", is_flag=True, help="Load the weights and call the addresses that the bundle's judge names."
)
@click.option("--entries", type=click.Path(path_type=Path), metavar="DIR",
              help="Put the verified entry, with its badge, into this folder of entries.")  # fmt: skip
@click.option("--replace", is_flag=True, help="With --entries: also take the place of another row of that name.")
@click.option("--json", "as_json", is_flag=True, help="Print the verification as one JSON object.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="A Python file with more suites or judges.")  # fmt: skip
@_VERBOSE
def verify_command(bundle: Path, plugins: tuple[Path, ...], **given: Any) -> None:
    """Compute every number of FILE.zip again and say which checks were done; exit 1 when one fails."""
    from paircomp.errors import EntryError
    from paircomp.plugins import Registry
    from paircomp.suites import load_suite
    from paircomp_leaderboard.acceptance import accept
    from paircomp_leaderboard.rejudging import Rejudging
    from paircomp_leaderboard.verification import verify_bundle

    registry = Registry(plugins)
    suite = load_suite(registry, given["suite_name"]) if given["suite_name"] else None
    how = Rejudging(given["share"], given["tolerance"], given["seed"], given["device"], given["trust_judge"])
    found = verify_bundle(bundle, registry=registry, suite=suite, rejudging=how if given["rejudge"] else None)
    _show(found, as_json=given["as_json"])
    if not found.passed:
        failed = [f"{check.name}: {check.said}" for check in found.checks if check.outcome == "failed"]
        raise EntryError(bundle, failed)
    if given["entries"]:
        click.echo(str(accept(found, given["entries"], replace=given["replace"])), err=True)


def _show(found: Verification, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False))
        return
    for check in found.checks:
        click.echo(f"{check.outcome:8} {check.name:12} {check.said}")
    click.echo(f"badge: {found.badge}")


@click.command("view", short_help="The gallery of a run, also while it is going on.")
@_RUN
@click.argument("other", required=False, type=click.Path(path_type=Path), metavar="[RUN]")
@_JUDGE
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default a free one.")
@click.option("--open/--no-open", "open_browser", default=True, show_default=True, help="Open the browser.")
@_VERBOSE
def view_command(run: Path, other: Path | None, *, open_browser: bool, **given: Any) -> None:
    """Look at the pairs of RUN, or of two runs side by side, in the browser; Ctrl-C ends it.

    The page is served to this machine only and follows a run that is still going on.
    """
    from paircomp_leaderboard.viewer import ViewerServer

    with ViewerServer([path for path in (run, other) if path], judge=given["judge"], port=given["port"]) as server:
        try:
            click.echo(f"{server.address}  (Ctrl-C ends it)")
            if open_browser:
                click.launch(server.address)
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("", err=True)
