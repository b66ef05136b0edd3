"""Reports of a run: one dictionary (``report.json``) and what is drawn from it.

`schema` fixes the dictionary. Each renderer reads only that: `terminal` (Rich), `markdown`, `tables` (pandas, CSV),
`html` (one self-contained page, figures by `plots`), `every_eval_ever` and `hub` (the field's shared forms).
"""
