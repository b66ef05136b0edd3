"""Entries, ranks and the static site made from finished runs.

``entries`` (one folder a row, made by ``recording``), ``published`` (the paper's own numbers), ``ranking`` and
``boards`` (which rows share a table, and who is better than whom), ``tables`` (Markdown, CSV, LaTeX, HTML), ``site``
(the pages), ``viewer`` (the gallery of a run on this machine), ``bundles`` and ``verification`` (rows that can be
checked). The commands are in ``commands``.
"""
