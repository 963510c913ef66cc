"""Property tests try the same examples on every run; ``make fuzz`` tries new ones and says how to replay a failure."""

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile("steady")
