"""Sign-off of the hardware: a checklist whose every row is judged from results of the campaigns."""
