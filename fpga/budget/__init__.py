"""Budget of a token on a board: what serial line, memory and array take."""
