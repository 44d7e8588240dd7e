"""Which slot a prompt goes to, and what of it is known."""

from infrastructure.simulator.caching import Found, PromptCache


def after(cache: PromptCache, *texts: str) -> PromptCache:
    """The cache after these prompts, each in whatever slot it got."""
    for text in texts:
        cache.keep(cache.take((0,), text).slot, text)
    return cache


def test_a_prompt_goes_to_the_free_slot_that_knows_most_of_it():
    cache = PromptCache(3, 0)
    for slot, text in enumerate(("one two three", "one two", "four")):
        cache.keep(slot, text)

    assert cache.take((0, 1, 2), "one two three four") == Found(0, len("one two three"), restored=False, put_away=False)
    assert cache.take((1, 2), "one two three four") == Found(1, len("one two"), restored=False, put_away=False)


def test_one_that_no_slot_knows_goes_where_nothing_happened_for_longest():
    cache = PromptCache(2, 0)
    cache.keep(cache.take((0, 1), "a" * 100).slot, "a" * 100)

    assert cache.take((0, 1), "b" * 100) == Found(1, 0, restored=False, put_away=False)
    assert cache.take((0, 1), "c" * 100) == Found(0, 0, restored=False, put_away=False)


def test_a_tenth_in_common_is_too_little_to_prefer_a_slot_but_counts_where_it_is_taken():
    cache = PromptCache(1, 0)
    cache.keep(0, "system: " + "a" * 200)

    assert cache.take((0,), "system: " + "b" * 200).shared == len("system: ")


def test_what_lost_its_slot_comes_back_from_memory_as_often_as_it_is_wanted():
    cache = after(PromptCache(1, 2), "first", "second")

    assert cache.take((0,), "first and more") == Found(0, len("first"), restored=True, put_away=True)
    cache.keep(0, "first and more")
    after(cache, "third")
    assert cache.take((0,), "first and more, again").shared == len("first and more")


def test_memory_keeps_the_latest_and_of_two_texts_the_longer_one():
    cache = after(PromptCache(1, 2), "first", "second", "third", "last")
    assert cache.take((0,), "first").shared == 0

    cache = after(PromptCache(2, 2), "first")
    for text in ("first, longer", "second", "third"):
        cache.keep(cache.take((1,), text).slot, text)
    after(cache, "last")
    assert cache.take((0,), "first, longer still").shared == len("first, longer"), "the shorter one takes no place"


def test_a_long_text_in_memory_is_not_given_up_for_a_short_beginning():
    cache = after(PromptCache(1, 2), "system: " + "a" * 100, "other")

    assert cache.take((0,), "system: b").shared == 0
