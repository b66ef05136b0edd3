"""Entries, ranks and the static site made from finished runs."""
