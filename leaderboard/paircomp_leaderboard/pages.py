"""The shell of every page: head, policy, navigation, footer; and the controls of the gallery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paircomp import __version__
from paircomp.report.elements import Markup, element, join

__all__ = ["badge", "choice", "document", "gallery_section", "search_field"]

#: The browser itself keeps a page from loading, sending or running anything that is not the site's own.
_POLICY = ("default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file: data:; "
           "connect-src 'self'; base-uri 'none'; form-action 'none'")  # fmt: skip


def document(title: str, *body: Markup | None, root: str = "", scripts: Sequence[str] = (), wide: bool = False) -> str:
    """A complete page.

    Args:
        title: of the window.
        body: sections of the main part.
        root: way from the page to the site's root, ending with a slash where it is not empty.
        scripts: of ``assets/`` that the page runs.
        wide: whether the main part may fill a wide screen.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name_="color-scheme", content="light dark"),
        element("meta", name_="referrer", content="no-referrer"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        (element("link", rel="stylesheet", href=f"{root}assets/{name}.css") for name in ("page", "site")),
        (element("script", src=f"{root}assets/{name}.js", defer="") for name in scripts),
    )
    skip = element("a", "Skip to the content", href="#content", class_="skip")
    main = element("main", *body, id="content", class_="wide" if wide else None)
    footer = element("footer", element("p", f"Made by PairComp {__version__}. "
                                            "No tracker, no connection: this folder is the whole site."))  # fmt: skip
    return f"<!DOCTYPE html>\n{element('html', head, element('body', skip, main, footer), lang='en')}\n"


def badge(text: str, kind: str, *, title: str | None = None) -> Markup:
    """A small label beside a name; `kind` chooses its colour, the text carries the meaning."""
    return element("span", text, class_=f"badge {kind}", title=title)


def choice(label: str, name: str, options: Iterable[tuple[str, str]], *, two: Sequence[str] = ()) -> Markup:
    """A labelled choice; options named in `two` need a second model."""
    written = (
        element("option", text, value=value, class_="needs-two" if value in two else None) for value, text in options
    )
    return element("label", element("span", label), element("select", written, name_=name, autocomplete="off"))


def search_field(label: str, placeholder: str) -> Markup:
    """A labelled search field."""
    field = element("input", type="search", name_="search", placeholder=placeholder, autocomplete="off")
    return element("label", element("span", label), field, class_="search")


_SHOW = (("all", "all pairs"), ("failed", "failed"), ("passed", "passed"), ("unscored", "unscored"),
         ("flipped", "flipped between the two"), ("flipped-lost", "fails here only"),
         ("flipped-won", "passes here only"))  # fmt: skip
_SORT = (("margin", "margin, worst first"), ("g", "g, worst first"), ("best", "g, best first"), ("pair", "suite order"),
         ("change", "change, worst first"))  # fmt: skip


def gallery_section(
    name: str, *, others: Sequence[tuple[str, str]] = (), base: str = "", live: bool = False, second: bool = False
) -> Markup:
    """The gallery's controls and the place where ``gallery.js`` puts its cards.

    Args:
        name: of the entry, or of the run where the page is live.
        others: (name, label) of the models that may be put beside it.
        base: way to the site's root.
        live: whether the page asks the serving command for data.
        second: whether a live page shows two runs.
    """
    two = ("flipped", "flipped-lost", "flipped-won", "change")
    beside = choice("Beside", "with", [("", "nothing"), *others]) if others else None
    form = element(
        "form",
        choice("Subtask", "subtask", [("", "all")]),
        choice("Show", "show", _SHOW, two=two),
        choice("Order", "sort", _SORT, two=two),
        beside,
        search_field("Search", "words of a prompt"),
        class_="controls",
        aria_label="Which pairs to show",
    )  # fmt: skip
    return element(
        "section",
        element("h2", "Gallery"),
        element("p", "Each pair with its prompts and images; below an image its score in percent, ✓ from 50. The words "
                     "that differ are marked.", class_="lead"),
        form,
        element("p", "Reading the pairs …", class_="count", role="status"),
        element("ol", class_="cards", aria_label="Pairs"),
        element("noscript", join(element("p", "The gallery is drawn by a script of this site; the scores are not. "
                                              "The same pairs lie in pairs.jsonl."))),
        class_="gallery",
        id="gallery",
        data_name=name,
        data_base=base,
        data_live="yes" if live else "no",
        data_second="yes" if second else "no",
    )  # fmt: skip
