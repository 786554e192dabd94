"""Distributed hyperparameter search for the char-LSTM: Ray Tune, Optuna, ASHA."""
