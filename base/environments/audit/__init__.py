"""Tools that examine tasks and graders; no run imports them."""
