"""An example of a package that extends PairComp with a model, a generator and a judge."""
