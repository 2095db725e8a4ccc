"""The pages of training, for the owners and engineers of a project."""
