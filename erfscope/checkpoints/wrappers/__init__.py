"""Other libraries' networks and programs, made to behave like ours."""
