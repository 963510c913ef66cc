"""Chat with a model whose linear layers run on a board, or in integers with a board's time calculated."""
