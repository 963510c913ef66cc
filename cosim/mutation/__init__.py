"""Does the regression notice when the design is changed? Mutants say."""
