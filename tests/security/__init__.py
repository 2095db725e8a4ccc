"""What strangers, other roles and hostile texts may not do, anywhere."""
