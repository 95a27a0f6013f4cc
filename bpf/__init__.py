"""All that speaks `bpf(2)`: compile and load the programs, link them to functions, read their ring."""
