"""What differs between the organism and a user's model: start, tasks, scenes, evals. One object, chosen once."""
