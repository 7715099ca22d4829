"""What a program is made of: steps that compute one tensor forward and pass its gradient backward."""
