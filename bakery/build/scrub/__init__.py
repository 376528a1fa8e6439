"""What an image should not hand on: found by rules, taken out, kept sealed, put back."""
