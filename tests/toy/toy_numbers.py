"""Numbers of the toy."""


def draw(seed, count):
    """Pseudo-random numbers by a fixed rule."""
    return [(seed * 7919 + i * 104729) % 1000 for i in range(count)]  # any fixed rule
