"""Built-in judges, one file each; they meet the harness through entry points."""
