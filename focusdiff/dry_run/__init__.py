"""``focusdiff rl --dry-run``: all is looked for and built, one step runs small, and the real one is estimated."""
