"""What is inconsistent in this hive, and its repair."""
