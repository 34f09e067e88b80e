"""This file's folder is on the import path of every test below it: rl_toys and stage_toys are shared."""
