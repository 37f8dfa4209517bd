"""Reading rows out of files that people supply: bounded memory, one outcome per row, no code run from a file."""
