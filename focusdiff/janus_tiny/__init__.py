"""``janus-tiny``: a Janus of two and a half million weights that draws the shapes world, trained from nothing here."""
