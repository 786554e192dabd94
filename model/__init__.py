"""A character-level LSTM language model and its data; usable without Ray."""
