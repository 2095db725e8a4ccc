"""What TRL 1.12 makes of the same tensors and the same work.

These programs run in an environment of their own (`requirements.txt` beside them), never in ours;
`tests.bench.yardstick` makes it.
"""
