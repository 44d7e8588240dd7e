"""How long the property tests look: briefly at the same examples in every run, long and at new ones in `make fuzz`."""

from hypothesis import settings

FUZZED = settings.get_current_profile_name() != "same"


def examples(always: int, fuzzed: int = 1000) -> int:
    """For `max_examples`, where the profile's number is too many or too few."""
    return fuzzed if FUZZED else always
