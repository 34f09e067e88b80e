"""RL on graded tasks."""
