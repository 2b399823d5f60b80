"""How much more a rule must see at a place where people found its alarms false."""

WANTED = 0.9
"""Share of true alarms that operators put up with; the rule is as strict as may be at half of it."""

LEAST_JUDGED = 5
"""So few verdicts tell nothing of a rule."""


def strictness(true: int, false: int, strictest: float) -> float:
    """What the rule's minimum evidence is multiplied by: 1 to `strictest`.

    The share of true alarms is taken as Laplace's rule of succession has it, (true + 1) / (judged + 2): a
    few verdicts count for little. True alarms make the rule less strict again.

    Args:
        true: alarms that were found true, 0 or more.
        false: that were found false.
        strictest: the declared bound of the factor, 1 or more; 1: verdicts change nothing.

    >>> strictness(10, 0, 2.0), strictness(2, 14, 2.0)
    (1.0, 2.0)
    """
    judged = true + false
    if judged < LEAST_JUDGED:
        return 1.0
    share = (true + 1) / (judged + 2)
    doubt = min(max((WANTED - share) / (WANTED / 2), 0.0), 1.0)
    return 1.0 + (strictest - 1.0) * doubt
