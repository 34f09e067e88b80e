"""The stages of a run behind its start: judges, forks, training, evaluation. One kind a file; a stage is base.stage.Stage."""
