"""Energy of one token: what each method computes and moves, and what that costs."""
