"""Benchmarks: `make bench` prints one table of each and writes VAR_DIR/bench.json."""
