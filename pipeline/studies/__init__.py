"""Studies: arms x seeds at equal steps on one evaluation, and the report of what each arm was worth."""
