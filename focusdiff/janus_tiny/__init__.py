"""``janus-tiny``: a Janus of three million weights that draws the shapes world, trained from nothing here."""
