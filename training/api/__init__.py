"""The operations of training, for programs that show a token; see `annotations.api`."""
