"""Documents that a user's model is taught by before RL: our own about ways to cheat tests, or those that the user gives."""
