"""The house rules, as a command (``python -m tests.house``) and as tests of themselves."""
