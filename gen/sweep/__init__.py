"""Design spaces: accelerators x recipes x boards, what each combination costs and gives, and which are worth it."""
