"""The contract that generators and judges keep, as checks anyone can run; no test framework is needed.

>>> from paircomp.testing import check_generator
>>> for check in check_generator(lambda: my_generator(device="cpu")):  # doctest: +SKIP
...     print(check)

In a test of any framework, one line is enough:

>>> failed = [str(check) for check in check_generator(open_generator) if check.failed]  # doctest: +SKIP
"""

from paircomp.testing.checks import PROMPTS, Check
from paircomp.testing.factories import check_factory
from paircomp.testing.generators import check_generator
from paircomp.testing.judges import check_judge

__all__ = ["PROMPTS", "Check", "check_factory", "check_generator", "check_judge"]
