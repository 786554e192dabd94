"""A character- or word-level LSTM language model and its data; usable without Ray."""
